"""A saved model over many clips, or over long recordings: tables of what it predicts."""

from .finding import find_bursts
from .predicting import ON_BAD, load_pipeline, predict

__all__ = ["ON_BAD", "find_bursts", "load_pipeline", "predict"]
