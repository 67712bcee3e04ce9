"""Waveform to waveform: what happens to a clip before a model hears it."""

from ..waveforms import normalise_level
from .decode import AudioError, load_audio

__all__ = ["AudioError", "load_audio", "normalise_level"]
