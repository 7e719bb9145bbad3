"""Tables and figures of docs/results.md, from ``summary.csv`` and ``curves.csv``.

python benchmarks/study/report.py

Every block of the page between ``<!-- NAME -->`` and ``<!-- end -->`` is made anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from epymarl_mast.report.pictures import COLOURS, STYLE, steps_axis
from epymarl_mast.report.statistics import Aggregate, bootstrap_band
from epymarl_mast.report.tables import markdown

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
CELL = ["method", "sparsity"]
ORDER = ["stock", "dense", "mast", "rigl", "rlx2", "set", "ss", "tiny"]
# Return of uniformly random actions (random_returns.py): on tasks of negative returns a score is
# counted from there, on the others from 0.
RANDOM = {"SimpleSpread-3-v0": -704.6, "SimpleSpeakerListener-v0": -158.3}
_BLOCK = re.compile(r"(<!-- (?P<name>[a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Make every block and figure."""
    runs = of_dense(pd.read_csv(HERE / "summary.csv"))
    curves = pd.read_csv(HERE / "curves.csv")
    page = DOCS / "results.md"

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}\n{BLOCKS[found['name']](runs, curves)}\n\n{found[3]}"

    text = _BLOCK.sub(block, page.read_text(encoding="utf-8"))
    temporary = page.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(page)


def of_dense(runs: pd.DataFrame) -> pd.DataFrame:
    """Each run's score as a share of its task's dense mean, same algorithm and width."""
    group = ["task", "algorithm", "hidden"]
    start = runs.task.map(RANDOM).fillna(0.0)
    gain = runs.final - start
    dense = gain[runs.method == "dense"].groupby([runs[key] for key in group]).mean()
    keys = pd.MultiIndex.from_frame(runs[group])
    return runs.assign(of_dense=gain / dense.reindex(keys).to_numpy())


def main_table(runs: pd.DataFrame, _: pd.DataFrame) -> str:
    """Every method at 90 and 95 % with QMIX, on every task and over all."""
    own = _plain(runs)
    tasks = sorted(own.task.unique())
    rows = []
    for (method, sparsity), cell in _cells(own):
        row = {"method": method, "sparsity": _share(sparsity)}
        for task in tasks:
            row[task] = _mean(cell[cell.task == task].final)
        whole = set(cell.task) == set(tasks)
        row["of dense: mean"] = _interval(cell, "mean") if whole else "–"
        row["of dense: IQM"] = _interval(cell, "iqm") if whole else "–"
        row["size"] = _times(cell.size_ratio.mean())
        row["FLOPs, training"] = _times(cell.flops_train_ratio.mean())
        row["minutes"] = f"{cell.wall_s.mean() / 60:.1f}"
        row["runs"] = str(len(cell))
        rows.append(row)
    return _table(rows)


def critical(runs: pd.DataFrame, _: pd.DataFrame) -> str:
    """Final score against sparsity (Fig. 8), on the tasks that have more than 90 and 95 %."""
    own = _plain(runs, sparsities=None)
    tasks = [t for t in sorted(own.task.unique()) if own[own.task == t].sparsity.nunique() > 3]
    if not tasks:
        return "Not run yet."
    with rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(tasks), 3.2), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, len(tasks)))
        for task, axis in zip(tasks, axes, strict=True):
            here = own[own.task == task]
            level = here[here.method == "dense"].final.mean()
            axis.axhline(level, color="k", linestyle=":", label="dense")
            for colour, method in zip(COLOURS, ("mast", "rigl", "ss"), strict=False):
                cells = here[here.method == method].groupby("sparsity").final
                points = [(s, Aggregate.of([c.to_numpy()])) for s, c in cells]
                mean = np.array([a.mean for _, a in points])
                low, high = np.array([a.mean_interval for _, a in points]).T
                around = np.nan_to_num([mean - low, high - mean])
                axis.errorbar(
                    [100 * s for s, _ in points], mean, yerr=around,
                    color=colour, marker="o", markersize=4, capsize=3, label=method,
                )  # fmt: skip
            axis.set_title(task, fontsize=9, loc="left")
            axis.set_xlabel("sparsity, %")
        axes[0].set_ylabel("final score")
        axes[0].legend(fontsize=8)
        return _save(figure, "study_sparsity", "Final score against sparsity")


def curves_figure(runs: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Learning curves of QMIX at 90 and 95 %."""
    own = curves[(curves.algorithm == "qmix") & (curves.hidden == 64)]
    tasks = sorted(own.task.unique())
    with rc_context(STYLE):
        figure = Figure(figsize=(6.8, 2.6 * len(tasks)), layout="constrained")
        grid = np.atleast_2d(figure.subplots(len(tasks), 2, sharex="row", sharey="row"))
        for row, task in zip(grid, tasks, strict=True):
            for axis, sparsity in zip(row, (0.9, 0.95), strict=True):
                here = own[(own.task == task) & own.sparsity.isin([0.0, sparsity])]
                _draw_curves(axis, here)
                axis.set_title(f"{task}, {sparsity:.0%}", fontsize=8, loc="left")
                steps_axis(axis)
        drawn = {line.get_label(): line for axis in grid.flat for line in axis.get_lines()}
        named = [name for name in ORDER if name in drawn]
        figure.legend(
            [drawn[name] for name in named], named, loc="outside lower center", ncols=4, fontsize=8
        )
        return _save(figure, "study_curves", "Learning curves")


def _draw_curves(axis: Any, here: pd.DataFrame) -> None:
    styles = dict(zip(ORDER, [*COLOURS, "#999999"], strict=True))
    for method in (m for m in ORDER if m in set(here.method)):
        table = here[here.method == method].assign(point=lambda t: (t.step / 1e4).round())
        runs = table.pivot_table(index="seed", columns="point", values="value").dropna(axis=1)
        low, high = bootstrap_band(runs.to_numpy())
        steps = runs.columns.to_numpy() * 1e4
        axis.fill_between(steps, low, high, color=styles[method], alpha=0.15, linewidth=0)
        axis.plot(steps, runs.mean(), color=styles[method], label=method)


def parts(runs: pd.DataFrame, _: pd.DataFrame) -> str:
    """MAST without each of its parts."""
    return _variants(runs, lambda m: m == "mast" or m.startswith("mast no_"))


def operators(runs: pd.DataFrame, _: pd.DataFrame) -> str:
    """MAST with other target operators (Fig. 16)."""
    return _variants(runs, lambda m: m == "mast" or m.startswith("mast mast.operator="))


def agents(*_: pd.DataFrame) -> str:
    """Density of each agent's own network at the end (Fig. 12)."""
    table = pd.read_csv(HERE / "densities.csv")
    cells = table.groupby(["task", "agent"]).density
    rows = [
        {
            "task": task, "agent": str(agent), "density": _mean(own), "runs": str(len(own)),
        }
        for (task, agent), own in cells
    ]  # fmt: skip
    return _table(rows)


def _variants(runs: pd.DataFrame, wanted: Callable[[str], bool]) -> str:
    own = runs[(runs.algorithm == "qmix") & (runs.hidden == 64) & runs.method.map(wanted)]
    others = own[own.method != "mast"]
    same = ["task", "seed"]
    own = own.merge(others[same].drop_duplicates(), on=same)  # MAST by the same seeds
    own = own[own.sparsity.isin([0.0, *others.sparsity])]
    rows = []
    for (task, method, sparsity), cell in own.groupby(["task", *CELL]):
        aggregate = Aggregate.of([cell.final.to_numpy()])
        rows.append({
            "task": task, "method": method.replace("mast mast.", ""), "sparsity": _share(sparsity),
            "score [95 %]": _with_interval(aggregate.mean, aggregate.mean_interval),
            "of dense": f"{cell.of_dense.mean():.1%}", "runs": str(len(cell)),
        })  # fmt: skip
    return _table(rows)


def others(runs: pd.DataFrame, _: pd.DataFrame) -> str:
    """Other algorithms and widths."""
    own = runs[(runs.algorithm != "qmix") | (runs.hidden != 64)]
    rows = []
    for (task, algorithm, hidden, method, sparsity), cell in own.groupby(
        ["task", "algorithm", "hidden", *CELL]
    ):
        aggregate = Aggregate.of([cell.final.to_numpy()])
        rows.append({
            "task": task, "algorithm": algorithm, "hidden": str(hidden), "method": method,
            "sparsity": _share(sparsity),
            "score [95 %]": _with_interval(aggregate.mean, aggregate.mean_interval),
            "of dense": f"{cell.of_dense.mean():.1%}", "runs": str(len(cell)),
        })  # fmt: skip
    return _table(rows)


def _plain(
    runs: pd.DataFrame, sparsities: tuple[float, ...] | None = (0.0, 0.9, 0.95)
) -> pd.DataFrame:
    """QMIX, 64 units, the methods of the main table."""
    own = runs[(runs.algorithm == "qmix") & (runs.hidden == 64) & runs.method.isin(ORDER)]
    return own if sparsities is None else own[own.sparsity.isin(sparsities)]


def _cells(own: pd.DataFrame) -> list[tuple[tuple[str, float], pd.DataFrame]]:
    cells = [((str(m), float(s)), cell) for (m, s), cell in own.groupby(CELL)]
    return sorted(cells, key=lambda item: (item[0][1], ORDER.index(item[0][0])))


def _table(rows: list[dict[str, str]]) -> str:
    return markdown(pd.DataFrame(rows)) if rows else "Not run yet."


def _interval(cell: pd.DataFrame, kind: str) -> str:
    """Over tasks: mean or IQM with its interval, each task resampled by itself."""
    scores = [own.of_dense.to_numpy() for _, own in cell.groupby("task")]
    aggregate = Aggregate.of(scores)
    return _with_interval(getattr(aggregate, kind), getattr(aggregate, f"{kind}_interval"))


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{value:.3f}" + ("" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]")


def _mean(scores: pd.Series) -> str:
    spread = "" if len(scores) < 2 else f" ± {scores.std():.3f}"
    return f"{scores.mean():.3f}{spread}" if len(scores) else "–"


def _share(sparsity: float) -> str:
    return f"{100 * sparsity:g} %" if sparsity else "dense"


def _times(ratio: float) -> str:
    return "1" if ratio == 1 else f"{ratio:.3f} ({1 / ratio:.0f}×)"


def _save(figure: Figure, name: str, title: str) -> str:
    figure.savefig(DOCS / "figures" / f"{name}.png", dpi=130)
    return f"![{title}](figures/{name}.png)"


BLOCKS = {
    "main": main_table,
    "curves": curves_figure,
    "critical": critical,
    "parts": parts,
    "operators": operators,
    "others": others,
    "agents": agents,
}

if __name__ == "__main__":
    main()
