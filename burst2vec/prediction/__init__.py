"""A saved model over many clips, or over long recordings: tables of what it predicts."""

from .predicting import ON_BAD, predict

__all__ = ["ON_BAD", "predict"]
