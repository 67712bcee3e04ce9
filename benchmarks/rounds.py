"""Timing by turns: every contestant once a round, so that a machine that drifts slows all of them alike."""

import statistics
import time

import torch
from tqdm.auto import tqdm


def time_by_turns(contestants: dict, rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each call, per contestant: ``warm_up`` rounds uncounted, then ``rounds``."""
    seconds = {name: [] for name in contestants}
    for turn in tqdm(range(warm_up + rounds), desc="rounds", unit="round"):
        for name, call in contestants.items():
            synchronise()
            start = time.perf_counter()
            call()
            synchronise()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def synchronise():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ratio(seconds: dict, slower: str, faster: str) -> tuple[float, float, float]:
    """Lowest, median and highest of ``slower``'s time over ``faster``'s, round by round."""
    pairs = [a / b for a, b in zip(seconds[slower], seconds[faster], strict=True)]
    return min(pairs), statistics.median(pairs), max(pairs)


def describe(label: str, low_median_high: tuple[float, float, float], wanted: str) -> str:
    low, median, high = low_median_high
    return f"{label}: {median:.3f} (lowest {low:.3f}, highest {high:.3f}; wanted {wanted})"
