"""Sparsities (Fig. 8), MAST without its parts, operators (Fig. 16), Δ_m, other algorithms."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context

from epymarl_mast.report.pictures import STYLE
from sections.drawing import colours_of, draw_curve, draw_interval, legend_below, panels, title
from sections.shares import paired_difference
from sections.study import (
    CELL,
    FIRST_MAST,
    NEW_ALPHA,
    NOT_YET,
    Section,
    Study,
    caption,
    of_same_seeds,
    qmix,
)
from sections.wording import mean, mean_interval, share, table

AT = 0.95  # sparsity of parts.yaml
CRITICAL = ("mast", FIRST_MAST, "rigl", "ss")  # of Fig. 8
INTERVAL = " mast.topology_interval=25"  # of interval.yaml
# The settings of search/sharpness.yaml, as search.csv has them.
SHARPNESS = tuple(f"mast mast.alpha={alpha} mast.omega=10.0" for alpha in ("1.0", "10.0"))
# As summary.csv has them, and as Fig. 16 does.
OPERATORS = {
    f"mast{NEW_ALPHA}": "soft_mellowmax, α = 10",
    "mast": "soft_mellowmax, α = 1",
    "mast mast.operator=mellowmax": "mellowmax",
    "mast mast.operator=softmax": "softmax",
    "mast no_soft_mellowmax": "max",
}


def critical(study: Study) -> Section:
    """Final score against sparsity, on the tasks that have more than 90 and 95 %."""
    own = qmix(study.runs)
    own = own[own.method.isin(["dense", *CRITICAL])]
    own = own.groupby("task").filter(lambda task: task.sparsity.nunique() > 3)
    tasks = sorted(own.task.unique())
    if not tasks:
        return Section(NOT_YET)
    colours = colours_of(CRITICAL)
    with rc_context(STYLE):
        figure, [axes] = panels(1, len(tasks), 3.4, 3.2)
        for task, axis in zip(tasks, axes, strict=True):
            here = own[own.task == task]
            level = here[here.method == "dense"].final.mean()
            axis.axhline(level, color="k", linestyle=":", label="dense")
            for nth, (method, colour) in enumerate(colours.items()):
                mine = here[here.method == method].groupby("sparsity").final
                axis.plot(100 * mine.mean().index, mine.mean(), color=colour, linewidth=1)
                for at, (sparsity, scores) in enumerate(mine):
                    beside = 100 * float(str(sparsity)) + 0.25 * (nth - 1)
                    draw_interval(axis, beside, scores, colour, label=None if at else method)
            title(axis, task)
            axis.set_xlabel("sparsity, %")
        axes[0].set_ylabel("final score")
        legend_below(figure, axes)
    rows = [
        {"task": task, "method": method, "sparsity": share(sparsity), **_score(cell)}
        for (task, method, sparsity), cell in own.groupby(["task", *CELL])
    ]
    return Section.of(
        table(rows), caption(own, "main.yaml", "first_alpha.yaml", "sparsities.yaml"),
        study_sparsity=("Final score against sparsity", figure),
    )  # fmt: skip


def parts(study: Study) -> Section:
    """MAST without each of its parts: with the default α, then with the first one."""
    alphas = {
        "With α = 10, the default:": (study, "main.yaml"),
        "With α = 1; `mast` here is the main table's `mast mast.alpha=1.0`:": (
            study.of_first_alpha(), "first_alpha.yaml",
        ),
    }  # fmt: skip
    blocks = []
    for heading, (named, sweep) in alphas.items():
        own = _beside_mast(named.runs, named.runs.method.str.fullmatch(r"mast no_\w+"))
        if own.empty:
            continue
        rows = [
            {"task": task, "method": method, "sparsity": share(sparsity), **_beside(cell, own)}
            for (task, method, sparsity), cell in own.groupby(["task", *CELL])
        ]
        blocks += [heading, table(rows), caption(own, sweep, "parts.yaml")]
    return Section.of(*blocks) if blocks else Section(NOT_YET)


def operators(study: Study) -> Section:
    """MAST with each of the target operators."""
    study = study.of_first_alpha()
    own = _beside_mast(study.runs, study.runs.method.isin(OPERATORS))
    own = of_same_seeds(own, own[~own.method.isin(["mast", f"mast{NEW_ALPHA}"])])
    if own.empty:
        return Section(NOT_YET)
    own = own.assign(operator=own.method.map(OPERATORS))
    rows = [
        {"task": task, "operator": operator, "sparsity": share(sparsity), **_beside(cell, own)}
        for (task, operator, sparsity), cell in own.groupby(["task", "operator", "sparsity"])
    ]
    keys = ["task", "method", "sparsity", "seed"]
    curves = qmix(study.curves).merge(own[keys], on=keys)
    tasks = sorted(own.task.unique())
    colours = colours_of(OPERATORS)
    with rc_context(STYLE):
        figure, [axes] = panels(1, len(tasks), 3.4, 2.9)
        for task, axis in zip(tasks, axes, strict=True):
            for method, operator in OPERATORS.items():
                here = curves[(curves.task == task) & (curves.method == method)]
                draw_curve(axis, here, colours[method], operator)
            title(axis, task)
        axes[0].set_ylabel("test return")
        legend_below(figure, axes)
    return Section.of(
        table(rows), caption(own, "main.yaml", "first_alpha.yaml", "parts.yaml"),
        study_operators=("Learning curves by target operator", figure),
    )  # fmt: skip


def search(study: Study) -> Section:
    """What other α and ω of Soft Mellowmax do, on tasks and seeds of no other table."""
    own = study.search
    if own.empty:
        return Section(NOT_YET)
    settings = own.groupby(["task", "seed"]).method.transform("nunique")
    rows = []
    for method, cell in own[settings == own.method.nunique()].groupby("method"):
        row = {"operator": _setting(method)}
        for task, scores in cell.groupby("task").final:
            row[str(task)] = mean(scores)
        row["runs"] = str(len(cell))
        rows.append(row)
    minutes = f"{own.wall_s.sum() / 60:.0f} minutes of one core in all. "
    sweeps = caption(own, "search/operator.yaml", "search/sharpness.yaml")
    return Section.of(table(rows), *_again(own), minutes + sweeps)


def _again(search: pd.DataFrame) -> list[str]:
    """The two settings that were run on more seeds, and their difference by the same ones."""
    first, new = (search[search.method == setting] for setting in SHARPNESS)
    both = first.merge(new, on=["task", "seed"], suffixes=("", "_new"))
    rows = [
        {
            "task": task,
            **{_setting(name): mean_interval(here[column])
               for name, column in zip(SHARPNESS, ("final", "final_new"), strict=True)},
            "difference [95 %]": mean_interval(here.final_new - here.final),
            "not lower on": f"{(here.final_new >= here.final).sum()} of {len(here)} seeds",
        }
        for task, here in both.groupby("task")
    ]  # fmt: skip
    return [table(rows)] if rows else []


def _setting(method: object) -> str:
    return str(method).removeprefix("mast ").replace("mast.", "")


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
    if own.empty:
        return Section(NOT_YET)
    rows = [
        {
            "task": task, "algorithm": algorithm, "hidden": str(hidden), "method": method,
            "sparsity": share(sparsity), **_score(cell),
        }
        for (task, algorithm, hidden, method, sparsity), cell in own.groupby(
            ["task", "algorithm", "hidden", *CELL]
        )
    ]  # fmt: skip
    return Section.of(table(rows), caption(own, "algorithms.yaml", "vdn.yaml", "width.yaml"))


def _beside_mast(runs: pd.DataFrame, wanted: pd.Series) -> pd.DataFrame:
    """Wanted runs of QMIX with 64 units, and MAST's at 95 % by the seeds of any of them."""
    mast = runs.method == "mast"
    own = qmix(runs[(wanted | mast) & runs.sparsity.isin([AT, 0.0])])
    return of_same_seeds(own, own[own.method != "mast"])


def _score(cell: pd.DataFrame) -> dict[str, str]:
    return {
        "score [95 %]": mean_interval(cell.final),
        "of dense": "–" if cell.of_dense.isna().any() else f"{cell.of_dense.mean():.1%}",
        "runs": str(len(cell)),
    }


def _beside(cell: pd.DataFrame, own: pd.DataFrame) -> dict[str, str]:
    """A variant's score, and that of MAST with the same sparsity by the same seeds.

    MAST's own row has all its runs that are beside any variant.
    """
    score = _score(cell)
    mast = own[own.method == "mast"].merge(cell[["task", "seed"]])
    if set(cell.method) == {"mast"} or mast.empty:
        return {**score, "MAST, same seeds": "–", "difference, of dense [95 %]": "–"}
    same = cell[cell.seed.isin(mast.seed)]
    return {
        **score,
        "MAST, same seeds": mean_interval(mast.final),
        "difference, of dense [95 %]": paired_difference(same, mast),
    }
