"""From selected runs to the numbers of the tables and the curves.

Legend: n runs, P evaluations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import savgol_filter

from epymarl_mast.report.record import Array, Record
from epymarl_mast.report.selection import Selection
from epymarl_mast.report.statistics import Aggregate, bootstrap_band

SMOOTHING = (21, 2)  # window and order, as in the paper (§4.1)
_MOST_POINTS = 400


@dataclass(frozen=True)
class Row:
    """A method at one sparsity on one task, or over several tasks.

    Attributes:
        task: its name; ``all tasks`` for an aggregate over them.
        method: see ``methods.py``.
        sparsity: asked for.
        metric: what ``performance`` is of.
        scores: (n,) final performance of each run.
        performance: aggregate of the scores.
        dense_mean: mean of the dense method on this task; None where it has no runs.
        of_dense: mean divided by that; None where it is not above 0, or not there.
        size_ratio, flops_train_ratio, flops_test_ratio: of dense, as logged; None for a stock
            algorithm.
        minutes: (n,) wall time of each run.
    """

    task: str
    method: str
    sparsity: float
    metric: str
    scores: Array
    performance: Aggregate
    dense_mean: float | None
    of_dense: float | None
    size_ratio: float | None
    flops_train_ratio: float | None
    flops_test_ratio: float | None
    minutes: Array

    @property
    def label(self) -> str:
        """Method and sparsity."""
        return f"{self.method} {self.sparsity:.0%}" if self.sparsity else self.method


@dataclass(frozen=True)
class Curve:
    """Learning curve of a row.

    Attributes:
        steps: (P,) environment steps.
        mean, low, high: (P,) mean over the runs, and its 95 % bootstrap interval.
    """

    row: Row
    steps: Array
    mean: Array
    low: Array
    high: Array


def final_performance(record: Record, metric: str, last: int) -> float:
    """Mean of the last evaluations (paper §4.1: 20)."""
    return float(record.series[metric].values[-last:].mean())


def rows(selection: Selection, last: int, dense: str | None) -> list[Row]:
    """A row for each task, method and sparsity.

    Args:
        selection: the runs.
        last: how many evaluations make a score.
        dense: the method to compare with; None: of the same algorithm the one called ``… dense``,
            else the stock algorithm.
    """
    cells = _cells(selection)
    scores = {
        cell: np.array([final_performance(r, selection.metric[cell[0]], last) for r in runs])
        for cell, runs in cells.items()
    }
    found = []
    for (task, method, sparsity), runs in cells.items():
        reference = scores.get((task, _dense_of(method, runs[0], dense, scores, task), 0.0))
        dense_mean = None if reference is None else float(reference.mean())
        own = scores[(task, method, sparsity)]
        found.append(
            Row(
                task=task,
                method=method,
                sparsity=sparsity,
                metric=selection.metric[task],
                scores=own,
                performance=Aggregate.of([own]),
                dense_mean=dense_mean,
                of_dense=float(own.mean()) / dense_mean if dense_mean and dense_mean > 0 else None,
                size_ratio=_logged(runs, "mast_size_ratio"),
                flops_train_ratio=_logged(runs, "mast_flops_train_ratio"),
                flops_test_ratio=_logged(runs, "mast_flops_test_ratio"),
                minutes=np.array([r.seconds / 60 for r in runs if r.seconds is not None]),
            )
        )
    return found


def over_tasks(found: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Aggregates of the methods that have runs on every one of several tasks.

    Scores are divided by the dense method's mean where every row has one above 0. Else they are as
    they are, or there is no aggregate where tasks have different metrics.

    Returns:
        The rows, and notes for the reader where scores could not be divided.
    """
    tasks = {row.task for row in found}
    by_label: dict[tuple[str, float], list[Row]] = defaultdict(list)
    for row in found:
        by_label[(row.method, row.sparsity)].append(row)
    whole = [own for own in by_label.values() if {row.task for row in own} == tasks]
    if len(tasks) < 2 or not whole:
        return [], []
    reasons = sorted(
        {_why_not_divided(row) for own in whole for row in own if row.of_dense is None}
    )
    if reasons and len({row.metric for row in found}) > 1:
        return [], [f"all tasks is left out, as tasks have several metrics: {'; '.join(reasons)}"]
    notes = [f"all tasks: scores are not divided by dense means: {'; '.join(reasons)}"]
    return [_over_tasks(own, to_dense=not reasons) for own in whole], notes if reasons else []


def _why_not_divided(row: Row) -> str:
    if row.dense_mean is None:
        return f"no dense runs to compare {row.method} with on {row.task}"
    return f"the dense mean on {row.task} is {row.dense_mean:.3g}"


def _over_tasks(own: Sequence[Row], to_dense: bool) -> Row:
    scores = [
        row.scores / row.dense_mean if to_dense and row.dense_mean else row.scores for row in own
    ]
    aggregate = Aggregate.of(scores)
    return Row(
        task="all tasks",
        method=own[0].method,
        sparsity=own[0].sparsity,
        metric="share of dense" if to_dense else own[0].metric,
        scores=np.concatenate(scores),
        performance=aggregate,
        dense_mean=None,
        of_dense=aggregate.mean if to_dense else None,
        size_ratio=_mean([row.size_ratio for row in own]),
        flops_train_ratio=_mean([row.flops_train_ratio for row in own]),
        flops_test_ratio=_mean([row.flops_test_ratio for row in own]),
        minutes=np.concatenate([row.minutes for row in own]),
    )


def dense_notes(found: Sequence[Row]) -> list[str]:
    """What to know about tasks whose dense mean nothing can be divided by."""
    means = {(row.task, row.dense_mean) for row in found if row.dense_mean is not None}
    return [
        f"of dense is empty on {task}: the dense mean there is {mean:.3g}"
        for task, mean in sorted(means)
        if mean <= 0
    ]


def curves(selection: Selection, found: Sequence[Row], smooth: bool) -> list[Curve]:
    """Learning curves, on the steps that all runs of a row reached.

    Args:
        selection: the runs.
        found: what :func:`rows` gave.
        smooth: filter each run by Savitzky–Golay, where it has enough evaluations.
    """
    cells = _cells(selection)
    return [_curve(row, cells[(row.task, row.method, row.sparsity)], smooth) for row in found]


def _curve(row: Row, runs: Sequence[Record], smooth: bool) -> Curve:
    series = [run.series[row.metric] for run in runs]
    first = max(float(s.steps[0]) for s in series)
    end = min(float(s.steps[-1]) for s in series)
    points = min(_MOST_POINTS, max(len(s.steps) for s in series))
    steps = np.linspace(min(first, end), end, points)
    values = [
        np.interp(steps, s.steps, _smoothed(s.values) if smooth else s.values) for s in series
    ]
    stacked = np.stack(values)
    return Curve(row, steps, stacked.mean(axis=0), *bootstrap_band(stacked))


def _smoothed(values: Array) -> Array:
    window, order = SMOOTHING
    if len(values) < window:
        return values
    filtered: Array = savgol_filter(values, window, order)
    return filtered


def _cells(selection: Selection) -> dict[tuple[str, str, float], list[Record]]:
    cells: dict[tuple[str, str, float], list[Record]] = defaultdict(list)
    for run, method in zip(selection.runs, selection.methods, strict=True):
        cells[(run.task, method, run.sparsity)].append(run)
    return dict(sorted(cells.items()))


def _dense_of(
    method: str, run: Record, dense: str | None,
    scores: dict[tuple[str, str, float], Array], task: str,
) -> str:  # fmt: skip
    if dense is not None:
        return dense
    ours, stock = f"{run.name} dense", run.name.removeprefix("mast_")
    candidates = [ours, *([method] if (task, method, 0.0) in scores else []), stock]
    return next((name for name in candidates if (task, name, 0.0) in scores), "")


def _logged(runs: Sequence[Record], metric: str) -> float | None:
    return _mean([run.last(metric) for run in runs])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None
