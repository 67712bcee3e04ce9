"""Files to batches."""

from .corpora import load_bursts

__all__ = ["load_bursts"]
