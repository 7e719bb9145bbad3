"""The report's pictures: in colours that colour-blind people can tell apart, and in greyscale too.

A method has the same colour, line and marker in every picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from epymarl_mast.report.record import WIN_RATE
from epymarl_mast.report.results import Curve, Row

# Okabe and Ito's palette, without the yellow that vanishes on white; dark and light in turn.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#D55E00")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one more than colours: 56 pairs
STYLE: Any = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#dddddd", "axes.axisbelow": True, "legend.frameon": False,
    "svg.fonttype": "none", "svg.hashsalt": "mast",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows.

    Attributes:
        name: of its files, without a suffix.
        title: for people.
        figure: matplotlib's.
    """

    name: str
    title: str
    figure: Figure

    def write(self, folder: Path, formats: Sequence[str]) -> list[Path]:
        """Save it as ``name.format`` each."""
        paths = [folder / f"{self.name}.{kind}" for kind in formats]
        for path in paths:
            with rc_context(STYLE):
                self.figure.savefig(path, dpi=150, metadata=_undated(path.suffix))
        return paths


def _undated(suffix: str) -> dict[str, Any] | None:
    """The same picture is the same file."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)


def draw_all(rows: Sequence[Row], curves: Sequence[Curve]) -> list[Picture]:
    """Every picture that the runs have something for."""
    with rc_context(STYLE):
        styles = _styles([row.label for row in rows])
        by_method = _styles([row.method for row in rows])
        tasks = list(dict.fromkeys(row.task for row in rows))
        pictures = [
            _learning(f"curves-{i}", task, [c for c in curves if c.row.task == task], styles)
            for i, task in enumerate(tasks, start=1)
        ]
        for i, task in enumerate(tasks, start=1):
            own = [row for row in rows if row.task == task]
            if len({row.sparsity for row in own if row.sparsity}) > 1:
                pictures.append(_against_sparsity(f"sparsity-{i}", task, own, by_method))
            if len({row.flops_train_ratio for row in own if row.flops_train_ratio}) > 1:
                pictures.append(_against_flops(f"flops-{i}", task, own, by_method))
        timed = [row for row in rows if len(row.minutes)]
        if timed:
            pictures.append(_wall_time(timed, styles))
    return pictures


def _learning(
    name: str, task: str, curves: Sequence[Curve], styles: dict[str, dict[str, Any]]
) -> Picture:
    figure, axes = _figure()
    for curve in curves:
        style = styles[curve.row.label]
        axes.fill_between(
            curve.steps, curve.low, curve.high, color=style["color"], alpha=0.18, linewidth=0
        )
        axes.plot(
            curve.steps, curve.mean, label=f"{curve.row.label} ({curve.row.performance.n})",
            markevery=max(1, len(curve.steps) // 8), **style,
        )  # fmt: skip
    axes.set_xlabel("environment steps")
    steps_axis(axes)
    _performance_axis(axes, curves[0].row.metric)
    return _finish(name, f"{task}: learning curves", figure, axes)


def _against_sparsity(
    name: str, task: str, rows: Sequence[Row], styles: dict[str, dict[str, Any]]
) -> Picture:
    figure, axes = _figure()
    for method in dict.fromkeys(row.method for row in rows):
        own = sorted((row for row in rows if row.method == method), key=lambda row: row.sparsity)
        style = styles[method]
        if all(row.sparsity == 0 for row in own):
            level = own[0].performance.mean
            axes.axhline(level, label=method, color=style["color"], linestyle=style["linestyle"])
            continue
        _points(axes, method, [row.sparsity for row in own], own, style)
    axes.set_xlabel("sparsity")
    axes.set_xticks(sorted({row.sparsity for row in rows if row.sparsity}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}%"))
    _performance_axis(axes, rows[0].metric)
    return _finish(name, f"{task}: performance against sparsity", figure, axes)


def _against_flops(
    name: str, task: str, rows: Sequence[Row], styles: dict[str, dict[str, Any]]
) -> Picture:
    figure, axes = _figure()
    for method in dict.fromkeys(row.method for row in rows):
        own = [(row.flops_train_ratio, row) for row in rows if row.method == method]
        known = sorted(((x, row) for x, row in own if x), key=lambda point: point[0])
        if known:
            _points(axes, method, [x for x, _ in known], [row for _, row in known], styles[method])
    axes.set_xscale("log")
    axes.set_xlabel("FLOPs of an update, of dense")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(_minor))
    _performance_axis(axes, rows[0].metric)
    return _finish(name, f"{task}: performance against FLOPs", figure, axes)


def _points(
    axes: Any, label: str, x: Sequence[float], rows: Sequence[Row], style: dict[str, Any]
) -> None:
    """Means of a method's rows with their intervals, joined."""
    mean = np.array([row.performance.mean for row in rows])
    error = np.abs(np.array([_interval_or_point(row) for row in rows]).T - mean)
    axes.errorbar(x, mean, yerr=error, label=label, capsize=3, **style)


def _wall_time(rows: Sequence[Row], styles: dict[str, dict[str, Any]]) -> Picture:
    several = len({row.task for row in rows}) > 1
    names = [f"{row.task}: {row.label}" if several else row.label for row in rows]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.3 * len(rows)), layout="constrained")
        axes = figure.subplots()
    means = [row.minutes.mean() for row in rows]
    colours = [styles[row.label]["color"] for row in rows]
    axes.barh(names, means, color=colours, alpha=0.75, height=0.6)
    for place, row in enumerate(rows):
        axes.plot(row.minutes, np.full(len(row.minutes), place), "k|", markersize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("minutes of a run (bar: mean; strokes: runs)")
    return Picture("wall-time", "Wall time", figure)


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    return figure, figure.subplots()


def _finish(name: str, title: str, figure: Figure, axes: Any) -> Picture:
    axes.set_title(title, fontsize=10, loc="left")
    entries = len(axes.get_legend_handles_labels()[0])
    if entries > 1:
        figure.legend(loc="outside lower left", ncols=1 if entries < 4 else 2, fontsize=8)
        figure.set_figheight(3.4 + 0.2 * (entries if entries < 4 else (entries + 1) // 2))
    return Picture(name, title, figure)


def _performance_axis(axes: Any, metric: str) -> None:
    if metric == WIN_RATE:
        axes.set_ylabel("test win rate")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axes.set_ylabel(metric.replace("_", " ").replace("test return mean", "test return"))


def _interval_or_point(row: Row) -> tuple[float, float]:
    low, high = row.performance.mean_interval
    return (row.performance.mean,) * 2 if np.isnan(low) else (low, high)


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``{name: style}``; neighbours differ in colour, line and marker at once."""
    distinct = list(dict.fromkeys(names))
    parts = zip(
        distinct,
        islice(cycle(COLOURS), len(distinct)),
        islice(cycle(_LINES), len(distinct)),
        islice(cycle(_MARKERS), len(distinct)),
        strict=True,
    )
    return {
        name: {"color": colour, "linestyle": line, "marker": marker, "markersize": 4}
        for name, colour, line, marker in parts
    }


def steps_axis(axes: Any) -> None:
    """Environment steps along x as 250k, 1.5M."""
    axes.xaxis.set_major_formatter(FuncFormatter(_steps))


def _steps(value: float, _: int) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _minor(value: float, _: int) -> str:
    leading = value / 10 ** np.floor(np.log10(value))
    return f"{value:g}" if round(leading) in (2, 5) else ""
