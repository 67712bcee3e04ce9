"""How many processes there is room for."""

import os


def usable_cores() -> int:
    """Those that this process may use: a batch system grants fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
