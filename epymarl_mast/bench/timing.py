"""Interleaved timing and its statistics. Samples are milliseconds, first calls seconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Timing:
    """Repeated measurements of one thing.

    Attributes:
        samples_ms: one figure a repetition, in the order measured; milliseconds.
        first_call_s: the first call, compilation included, outside the samples; seconds.
    """

    samples_ms: tuple[float, ...]
    first_call_s: float

    @property
    def median_ms(self) -> float:
        """Median of the samples."""
        return float(np.median(self.samples_ms))

    @property
    def quartiles_ms(self) -> tuple[float, float]:
        """First and third quartile of the samples."""
        low, high = np.percentile(self.samples_ms, [25, 75])
        return float(low), float(high)

    def as_record(self) -> dict[str, object]:
        """All figures as plain numbers."""
        return {
            "samples_ms": list(self.samples_ms),
            "median_ms": self.median_ms,
            "quartiles_ms": list(self.quartiles_ms),
            "first_call_s": self.first_call_s,
        }


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is than stock.

    Attributes:
        median: median of stock over median of ours.
        quartiles: first and third quartile of stock / ours over the rounds; a round holds one
            sample of each, taken one after the other.
    """

    median: float
    quartiles: tuple[float, float]

    @classmethod
    def of(cls, stock: Timing, ours: Timing) -> Ratio:
        """The ratio of two interleaved timings."""
        by_round = np.divide(stock.samples_ms, ours.samples_ms)
        low, high = np.percentile(by_round, [25, 75])
        return cls(stock.median_ms / ours.median_ms, (float(low), float(high)))


def interleave(
    calls: Mapping[str, Callable[[], None]],
    repeats: int,
    *,
    device: str = "cpu",
    parts: int = 1,
    warm_up: int = 1,
) -> dict[str, Timing]:
    """Time calls in rounds, so that a change of load meets them all.

    Each round has an order of its own, always the same for its number: what a call finds in the
    caches depends on the one before, and none is to have always the same one there.

    Args:
        calls: ``{name: what to time}``.
        repeats: samples of each.
        device: ``cuda`` waits for the device before and after each call.
        parts: equal parts of a call; a sample is the time of one of them.
        warm_up: calls of each between the first and the samples, not reported.
    """
    first = {name: _seconds(call, device) for name, call in calls.items()}
    for _ in range(warm_up):
        for call in calls.values():
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, chance = list(calls), random.Random(0)
    for _ in range(repeats):
        chance.shuffle(order)
        for name in order:
            samples[name].append(1e3 * _seconds(calls[name], device) / parts)
    return {name: Timing(tuple(samples[name]), first[name]) for name in calls}


def _seconds(call: Callable[[], None], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
