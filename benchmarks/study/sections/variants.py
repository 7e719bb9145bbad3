"""Sparsities (Fig. 8), MAST without its parts, operators (Fig. 16), Δ_m, other algorithms."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from epymarl_mast.report.pictures import STYLE
from sections.drawing import (
    colours_of,
    draw_interval,
    learning_curves,
    legend_below,
    panels,
    title,
)
from sections.shares import mean_share, paired_difference
from sections.study import (
    AT,
    FIRST_ALPHA,
    FIRST_MAST,
    NOT_YET,
    VARIANT,
    Section,
    Study,
    caption,
    of_same_seeds,
    qmix,
)
from sections.wording import ENOUGH, cell_names, mean_interval, named, share, table

CRITICAL = ("mast", FIRST_MAST, "rigl", "ss")  # of Fig. 8
INTERVAL = " mast.topology_interval=25"  # of interval.yaml
MAX = "mast no_soft_mellowmax"  # which no α changes
# As summary.csv has them, and as Fig. 16 does.
OPERATORS = {
    "mast": "soft_mellowmax, α = 10",
    FIRST_MAST: "soft_mellowmax, α = 1",
    "mast mast.operator=mellowmax": "mellowmax",
    f"mast mast.operator=softmax{FIRST_ALPHA}": "softmax, α = 1",
    MAX: "max",
}


def critical(study: Study) -> Section:
    """Final score against sparsity, on the tasks that have more than 90 and 95 %."""
    own = qmix(study.runs)
    own = own[own.method.isin(["dense", *CRITICAL])]
    own = own.groupby("task").filter(lambda task: task.sparsity.nunique() > 3)
    if own.empty:
        return Section(NOT_YET)
    rows = [
        {
            "task": task, **cell_names(method, sparsity), **_score(cell),
            "MAST minus it, of dense [95 %]": _mast_minus(cell, own) if sparsity else "–",
        }
        for (task, method, sparsity), cell in own.groupby(["task", *VARIANT])
    ]  # fmt: skip
    return Section.of(
        table(rows), caption(own, "main.yaml", "first_alpha.yaml", "sparsities.yaml"),
        study_sparsity=("Final score against sparsity", _against_sparsity(own)),
    )  # fmt: skip


def _against_sparsity(own: pd.DataFrame) -> Figure:
    tasks = sorted(own.task.unique())
    colours = colours_of(CRITICAL)
    with rc_context(STYLE):
        figure, [axes] = panels(1, len(tasks), 3.4, 3.2)
        for task, axis in zip(tasks, axes, strict=True):
            here = own[own.task == task]
            level = here[here.method == "dense"].final.mean()
            axis.axhline(level, color="k", linestyle=":", label="dense")
            for nth, (method, colour) in enumerate(colours.items()):
                mine = here[here.method == method].groupby("sparsity").final
                at = 100 * mine.mean().index + 0.25 * (nth - 1.5)  # beside each other
                axis.plot(at, mine.mean(), color=colour, linewidth=1)
                for i, (_, scores) in enumerate(mine):
                    draw_interval(axis, at[i], scores, colour, label=None if i else named(method))
            title(axis, task)
            axis.set_xlabel("sparsity, %")
        axes[0].set_ylabel("final score")
        legend_below(figure, axes)
    return figure


def _mast_minus(cell: pd.DataFrame, own: pd.DataFrame) -> str:
    """By the seeds that both have."""
    mast = own[own.method == "mast"].merge(cell[["task", "sparsity", "seed"]])
    if mast.empty or set(cell.method) == {"mast"}:
        return "–"
    return paired_difference(mast, cell)


def parts(study: Study) -> Section:
    """MAST without each of its parts: with the default α, then with the first one."""
    blocks = []
    for heading, mast, sweeps in (
        ("With α = 10, the default:", "mast", ("main.yaml", "dense_mast.yaml")),
        ("With α = 1:", FIRST_MAST, ("main.yaml", "first_alpha.yaml")),
    ):
        method, alpha = study.runs.method, re.escape(mast.removeprefix("mast"))
        without = method.str.fullmatch(rf"mast no_\w+{alpha}") | (method == MAX)
        own = _beside_mast(study.runs, without, mast)
        if own.empty:
            continue
        rows = [
            {
                "task": task, **cell_names(method, sparsity),
                **_beside(cell, own, mast),
            }
            for (task, method, sparsity), cell in own.groupby(["task", *VARIANT])
        ]  # fmt: skip
        blocks += [heading, table(rows), caption(own, *sweeps, "parts.yaml")]
    return Section.of(*blocks) if blocks else Section(NOT_YET)


def operators(study: Study) -> Section:
    """MAST with each of the target operators."""
    own = _beside_mast(study.runs, study.runs.method.isin(OPERATORS))
    own = of_same_seeds(own, own[~own.method.isin(["mast", FIRST_MAST])])
    if own.empty:
        return Section(NOT_YET)
    own = own.assign(operator=own.method.map(OPERATORS))
    rows = [
        {"task": task, "operator": operator, "sparsity": share(sparsity), **_beside(cell, own)}
        for (task, operator, sparsity), cell in own.groupby(["task", "operator", "sparsity"])
    ]
    figure = learning_curves(study.curves_of(own), OPERATORS, 2.9)
    return Section.of(
        table(rows), caption(own, "main.yaml", "first_alpha.yaml", "parts.yaml"),
        study_operators=("Learning curves by target operator", figure),
    )  # fmt: skip


def interval(study: Study) -> Section:
    """A topology interval in proportion to MPE's updates, beside the default's same seeds."""
    runs = qmix(study.runs)
    runs = runs[runs.sparsity == AT]
    scaled = runs[runs.method.str.endswith(INTERVAL)]
    rows, both = [], []
    for (task, name), cell in scaled.groupby(["task", "method"]):
        method = name.removesuffix(INTERVAL)
        default = of_same_seeds(runs[runs.method == method], cell)
        cell = of_same_seeds(cell, default)
        if cell.empty:
            continue
        both += [cell, default]
        rows += [{
            "task": task, "method": method,
            "Δ_m = 200 [95 %]": mean_interval(default.final),
            "Δ_m = 25 [95 %]": mean_interval(cell.final),
            "difference, of dense [95 %]": paired_difference(cell, default),
            "seeds": str(len(default)),
        }]  # fmt: skip
    if not rows:
        return Section(NOT_YET)
    return Section.of(table(rows), caption(pd.concat(both), "main.yaml", "interval.yaml"))


def others(study: Study) -> Section:
    """Other algorithms and widths."""
    runs = study.runs
    own = runs[(runs.algorithm != "qmix") | (runs.hidden != 64)]
    # Single runs of earlier plans are in summary.csv alone.
    own = own.groupby(["task", "algorithm", "hidden", *VARIANT]).filter(lambda c: len(c) >= ENOUGH)
    if own.empty:
        return Section(NOT_YET)
    rows = []
    for (task, algorithm, hidden), here in own.groupby(["task", "algorithm", "hidden"]):
        for (method, sparsity), cell in here.groupby(VARIANT):
            rate = str(method).partition(" lr=")[2]  # "", which no method has, for the hosts'
            rows.append({
                "task": task, "algorithm": algorithm, "hidden": str(hidden),
                **cell_names(method, sparsity), "score [95 %]": mean_interval(cell.final),
                "of dense": _share_of("dense", cell, here),
                "of dense, same rate": _share_of(f"dense lr={rate}", cell, here),
                "runs": str(len(cell)),
            })  # fmt: skip
    return Section.of(table(rows), caption(own, "algorithms.yaml", "vdn.yaml", "width.yaml"))


def _share_of(method: str, cell: pd.DataFrame, here: pd.DataFrame) -> str:
    """Of what a dense method has learned, where it was run."""
    dense = here[here.method == method]
    return "–" if dense.empty else mean_share(cell, dense)


def _beside_mast(runs: pd.DataFrame, wanted: pd.Series, mast: str = "mast") -> pd.DataFrame:
    """Wanted runs of QMIX with 64 units, and MAST's at 95 % by the seeds of any of them."""
    own = qmix(runs[(wanted | (runs.method == mast)) & runs.sparsity.isin([AT, 0.0])])
    return of_same_seeds(own, own[own.method != mast])


def _score(cell: pd.DataFrame) -> dict[str, str]:
    return {
        "score [95 %]": mean_interval(cell.final),
        "of dense": "–" if cell.of_dense.isna().any() else f"{cell.of_dense.mean():.1%}",
        "runs": str(len(cell)),
    }


def _beside(cell: pd.DataFrame, own: pd.DataFrame, method: str = "mast") -> dict[str, str]:
    """A variant's score, and that of MAST with the same sparsity by the same seeds.

    MAST's own row has all its runs that are beside any variant.
    """
    score = _score(cell)
    mast = own[own.method == method].merge(cell[["task", "seed"]])
    if set(cell.method) == {method} or mast.empty:
        return {**score, "MAST, same seeds": "–", "difference, of dense [95 %]": "–"}
    return {
        **score,
        "MAST, same seeds": mean_interval(mast.final),
        "difference, of dense [95 %]": paired_difference(cell, mast),
    }
