"""A page in the browser where a recording is made or dropped, and a saved model's answers are seen."""

from .demo_page import MOST_KEPT_SECONDS, open_demo

__all__ = ["MOST_KEPT_SECONDS", "open_demo"]
