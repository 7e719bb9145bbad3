"""Shares of what dense learns, with intervals in which the dense runs are drawn again too.

Legend: n runs of one task.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from epymarl_mast.report.statistics import CONFIDENCE, RESAMPLES, Aggregate
from sections.wording import ENOUGH, with_interval


def mean_share(cell: pd.DataFrame, dense: pd.DataFrame) -> str:
    """Mean over tasks of the mean gain over that of dense, with its 95 % interval.

    Args:
        cell: runs, by the same seeds on every task.
        dense: those they are compared with, of these tasks.
    """
    return _share(cell, dense, partial(np.mean, axis=-1))


def iqm_share(cell: pd.DataFrame, dense: pd.DataFrame) -> str:
    """The same for the interquartile mean over the runs of all tasks."""
    return _share(cell, dense, partial(stats.trim_mean, proportiontocut=0.25, axis=-1))


def paired_difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """Mean of ``of_dense`` of ours less theirs by the same task and seed, with its 95 % interval.

    Both are by the same seeds on every task, each of which is resampled by itself.
    """
    both = ours.merge(theirs, on=["task", "seed"], suffixes=("", "_of_theirs"))
    both["difference"] = both.of_dense - both.of_dense_of_theirs
    tasks = [own.difference.to_numpy() for _, own in both.groupby("task")]
    aggregate = Aggregate.of(tasks)
    return with_interval(aggregate.mean, aggregate.mean_interval, min(map(len, tasks)), "+.3f")


def _share(cell: pd.DataFrame, dense: pd.DataFrame, summary: Callable[..., Any]) -> str:
    """Of the shares of all tasks together; every task's runs, and its dense ones, are a sample."""
    tasks = sorted(cell.task.unique())
    samples = [
        runs[runs.task == task].gain.to_numpy() for runs in (cell, dense) for task in tasks
    ]  # each (n,)

    def of_all(*drawn: Any, axis: int = -1) -> Any:
        pairs = zip(drawn[: len(tasks)], drawn[len(tasks) :], strict=True)
        shares = [ours / theirs.mean(axis=axis, keepdims=True) for ours, theirs in pairs]
        return summary(np.concatenate(shares, axis=axis))

    runs = min(map(len, samples))
    if runs < ENOUGH:
        return with_interval(float(of_all(*samples)), (np.nan, np.nan), runs)
    found = stats.bootstrap(
        samples, of_all, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile",
        vectorized=True, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return with_interval(float(of_all(*samples)), (found.low, found.high), runs)
