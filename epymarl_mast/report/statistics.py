"""Aggregates of final performances and their uncertainty (Agarwal et al., NeurIPS 2021).

Legend: n runs of one task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from epymarl_mast.report.record import Array

RESAMPLES = 10_000
CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class Aggregate:
    """What a row of the table says of some scores.

    Attributes:
        n: how many.
        mean, std: of all; std is the sample's (n - 1), nan for one run.
        iqm: interquartile mean: of the middle half, that of scipy's ``trim_mean(…, 0.25)``.
        mean_interval, iqm_interval: 95 % percentile bootstrap intervals, nan for one run.
    """

    n: int
    mean: float
    std: float
    iqm: float
    mean_interval: Interval
    iqm_interval: Interval

    @classmethod
    def of(cls, tasks: Sequence[Array], seed: int = 0) -> Aggregate:
        """Of the scores of one or several tasks.

        The bootstrap is stratified: runs are drawn again within each task.

        Args:
            tasks: (n,) scores each; n may differ.
            seed: of the bootstrap.
        """
        scores = np.concatenate(tasks)
        several = len(scores) > 1
        return cls(
            n=len(scores),
            mean=float(scores.mean()),
            std=float(scores.std(ddof=1)) if several else float("nan"),
            iqm=float(stats.trim_mean(scores, 0.25)),
            mean_interval=_interval(tasks, np.mean, seed),
            iqm_interval=_interval(tasks, _iqm, seed),
        )


def bootstrap_band(curves: Array, seed: int = 0) -> tuple[Array, Array]:
    """95 % interval of the mean of curves (n, P) at every point; a line for one curve."""
    if len(curves) < 2:
        return curves[0], curves[0]
    draws = np.random.default_rng(seed).integers(len(curves), size=(1000, len(curves)))
    weights = np.stack([np.bincount(d, minlength=len(curves)) for d in draws]) / len(curves)
    low, high = np.percentile(weights @ curves, _TAILS, axis=0)
    return low, high


_TAILS = (50 * (1 - CONFIDENCE), 100 - 50 * (1 - CONFIDENCE))


def _interval(tasks: Sequence[Array], statistic: Callable[..., Any], seed: int) -> Interval:
    """Percentile bootstrap, each task resampled by itself; nan where a task has one run."""
    if any(len(scores) < 2 for scores in tasks):
        return float("nan"), float("nan")

    def of_all(*drawn: Array, axis: int) -> Any:
        return statistic(np.concatenate(drawn, axis=axis), axis=axis)

    found = stats.bootstrap(
        tuple(tasks), of_all, n_resamples=RESAMPLES, confidence_level=CONFIDENCE,
        method="percentile", vectorized=True, rng=np.random.default_rng(seed),
    )  # fmt: skip
    interval = found.confidence_interval
    return float(interval.low), float(interval.high)


def _iqm(scores: Array, axis: int) -> Any:
    return stats.trim_mean(scores, 0.25, axis=axis)
