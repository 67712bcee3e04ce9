"""Waveform to waveform: what happens to a clip before a model takes it."""

from ..waveforms import normalise_level
from .burst_regions import BurstRegion, cut_regions, find_burst_regions
from .channels import mono
from .decode import load_audio, read_audio
from .denoise import mmse_stsa, mmse_stsa_gain
from .highpass import highpass
from .level import normalise_peak
from .resampling import resample
from .speed import change_speed
from .streaming import stream_recording
from .transforms import TRANSFORMS, Transform, apply_transforms, read_transforms
from .voice_activity import trim_silence
from .zero_frequency import zero_frequency_filter

__all__ = [
    "TRANSFORMS",
    "BurstRegion",
    "Transform",
    "apply_transforms",
    "change_speed",
    "cut_regions",
    "find_burst_regions",
    "highpass",
    "load_audio",
    "mmse_stsa",
    "mmse_stsa_gain",
    "mono",
    "normalise_level",
    "normalise_peak",
    "read_audio",
    "read_transforms",
    "resample",
    "stream_recording",
    "trim_silence",
    "zero_frequency_filter",
]
