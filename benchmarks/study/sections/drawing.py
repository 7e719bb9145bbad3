"""What the figures share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from epymarl_mast.report.pictures import COLOURS, STYLE, steps_axis
from epymarl_mast.report.statistics import Aggregate, bootstrap_band
from sections.study import ORDER
from sections.wording import ENOUGH

PALETTE = (*COLOURS, "#999999")
# Test returns from the first fifth on: before it they are so low that nothing else could be seen.
_RETURNS_OF_MPE = {"SimpleSpread-3-v0": (-660, -540), "SimpleSpeakerListener-v0": (-90, -55)}
_GRID = 1e4  # environment steps: evaluations of all runs are brought to this grid


def panels(
    rows: int, columns: int, width: float, height: float, **shared: Any
) -> tuple[Figure, Any]:
    """A figure and its axes as a 2-D array; inches of a panel."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def draw_curve(axis: Any, own: pd.DataFrame, colour: str, label: str, line: str = "-") -> None:
    """Mean over seeds of one method against environment steps.

    With a 95 % band, or each of fewer than ``ENOUGH`` runs as a thin line.

    Args:
        axis: matplotlib's.
        own: rows with ``seed``, ``step`` and ``value``.
        colour: of the line.
        label: in the legend.
        line: style of the line.
    """
    gridded = own.assign(point=(own.step / _GRID).round())
    runs = gridded.pivot_table(index="seed", columns="point", values="value").dropna(axis=1)
    if runs.empty:
        return
    steps = runs.columns.to_numpy() * _GRID
    if 1 < len(runs) < ENOUGH:
        axis.plot(steps, runs.T, color=colour, alpha=0.3, linewidth=0.5)
    elif len(runs) >= ENOUGH:
        low, high = bootstrap_band(runs.to_numpy())
        axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.plot(steps, runs.mean(), color=colour, label=label, linestyle=line)
    steps_axis(axis)


def learning_curves(curves: pd.DataFrame, names: dict[str, str], height: float) -> Figure:
    """A panel for each task, two in a row, with a curve for each method.

    Args:
        curves: evaluations of some runs.
        names: of the methods, in the legend.
        height: of a panel, inches.
    """
    tasks = sorted(curves.task.unique())
    colours = colours_of(names)
    with rc_context(STYLE):
        figure, grid = panels((len(tasks) + 1) // 2, min(2, len(tasks)), 3.4, height)
        for task, axis in zip(tasks, grid.flat, strict=False):
            for method, name in names.items():
                here = curves[(curves.task == task) & (curves.method == method)]
                draw_curve(axis, here, colours[method], name)
            title(axis, task)
            returns_axis(axis, task)
        for axis in grid.flat[len(tasks) :]:
            axis.remove()
        steps_labels(grid)
        legend_below(figure, grid.flat[: len(tasks)])
    return figure


def draw_interval(axis: Any, at: float, scores: pd.Series, colour: str, **style: Any) -> None:
    """Mean of some runs, with its 95 % interval if they are enough, and each as a small dot."""
    aggregate = Aggregate.of([scores.to_numpy()])
    interval = aggregate.mean_interval if len(scores) >= ENOUGH else (aggregate.mean,) * 2
    around = np.abs(np.array(interval) - aggregate.mean)
    axis.plot([at] * len(scores), scores, ".", color=colour, alpha=0.35, markersize=4)
    axis.errorbar(
        [at], [aggregate.mean], yerr=around.reshape(2, 1),
        color=colour, marker="o", markersize=5, capsize=3, linestyle="none", **style,
    )  # fmt: skip


def legend_below(
    figure: Figure, axes: Iterable[Any], order: Iterable[str] = (), columns: int = 4
) -> None:
    """One legend for all panels, of what is drawn in any of them."""
    drawn: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            drawn.setdefault(label, handle)
    names = [*(n for n in order if n in drawn), *(n for n in drawn if n not in set(order))]
    if names:
        handles = [drawn[name] for name in names]
        figure.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=8)


def returns_axis(axis: Any, task: str) -> None:
    """A panel of test returns, from where methods differ."""
    axis.set_ylabel("test return")
    if task in _RETURNS_OF_MPE:
        axis.set_ylim(_RETURNS_OF_MPE[task])


def steps_labels(grid: Any) -> None:
    """What the axes of the lowest panels of a 2-D array are."""
    for axis in grid[-1]:
        axis.set_xlabel("environment steps")


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: a method of the main table has the same one in every figure."""
    methods = dict(zip(ORDER, PALETTE, strict=True))
    wanted = list(names)
    free = iter(c for c in PALETTE if c not in {methods.get(name) for name in wanted})
    return {name: methods.get(name) or next(free) for name in wanted}


def title(axis: Any, text: str) -> None:
    """Of one panel."""
    axis.set_title(text, fontsize=8, loc="left")
