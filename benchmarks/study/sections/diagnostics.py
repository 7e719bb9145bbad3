"""Overestimation (Fig. 5b) and the effect of the second buffer (Fig. 6), as runs log them."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from plan import LAST

from epymarl_mast.report.pictures import STYLE
from epymarl_mast.report.record import RETURN, WIN_RATE
from sections.drawing import (
    colours_of,
    draw_curve,
    legend_below,
    panels,
    returns_axis,
    steps_labels,
    title,
)
from sections.study import FIRST_MAST, NOT_YET, RUN, Section, Study, caption
from sections.wording import cell_names, mean_interval, named, table

LOGGED = [*RUN, "commit"]
UNTRAINED_STEPS = 20_000  # before them returns are so low that nothing else could be seen
ESTIMATED, REALISED = "mast_value_estimated", "mast_value_realised"
ONE_BUFFER = "mast no_dual_buffers"
METHODS = (
    "dense", "mast", FIRST_MAST, "mast no_soft_mellowmax", "mast no_td_lambda", ONE_BUFFER,
)  # fmt: skip
# Metric, method, legend and line of each curve of a distance.
DISTANCES = (
    ("mast_distance_batch", ONE_BUFFER, "one buffer: batch", "-"),
    ("mast_distance_batch", "mast", "two buffers: batch", "-"),
    ("mast_distance_large", "mast", "two buffers: its part from the large one", "--"),
    ("mast_distance_newest", "mast", "two buffers: its part from the small one", ":"),
)


def overestimation(study: Study) -> Section:
    """Values that the networks gave to test episodes beside the returns that followed."""
    own = study.diagnostics[study.diagnostics.method.isin(METHODS)]
    both = own[own.metric.isin([ESTIMATED, REALISED])]
    if both.empty:
        return Section(NOT_YET)
    wide = both.pivot_table(index=[*LOGGED, "step"], columns="metric", values="value").reset_index()
    wide["over"] = wide[ESTIMATED] - wide[REALISED]
    last = wide.sort_values("step").groupby(LOGGED).tail(LAST)
    each = last.groupby(LOGGED)[[ESTIMATED, REALISED, "over"]].mean().reset_index()
    rows = [
        {
            "task": task, **cell_names(method, sparsity),
            "estimated": f"{cell[ESTIMATED].mean():.3f}",
            "realised": f"{cell[REALISED].mean():.3f}",
            "estimated − realised [95 %]": mean_interval(cell.over), "runs": str(len(cell)),
        }
        for (task, method, sparsity), cell in each.groupby(["task", "method", "sparsity"])
    ]  # fmt: skip
    return Section.of(
        table(rows), caption(each, "overestimation.yaml", "buffers.yaml"),
        study_overestimation=("Estimated value and realised return", _values(wide)),
    )  # fmt: skip


def _values(wide: pd.DataFrame) -> Figure:
    tasks = sorted(wide.task.unique())
    drawn = wide[wide.step >= UNTRAINED_STEPS]
    colours = colours_of(METHODS)
    with rc_context(STYLE):
        figure, grid = panels(len(tasks), 2, 3.4, 2.8)
        for task, (values, difference) in zip(tasks, grid, strict=True):
            for method in METHODS:
                here = drawn[(drawn.task == task) & (drawn.method == method)]
                for metric, line in ((ESTIMATED, "-"), (REALISED, "--")):
                    label = named(method) if line == "-" else "_realised"  # not in the legend
                    value = here.assign(value=here[metric])
                    draw_curve(values, value, colours[method], label, line)
                draw_curve(difference, here.assign(value=here.over), colours[method], named(method))
            difference.axhline(0.0, color="k", linewidth=0.8)
            title(values, f"{task}: estimated (–), realised (- -)")
            title(difference, f"{task}: estimated − realised")
            values.set_ylabel("return, standardised")
        steps_labels(grid)
        legend_below(figure, grid.flat, columns=3)
    return figure


def dual_buffers(study: Study) -> Section:
    """How far the policy is from what it learns from, with one buffer and two."""
    own = study.diagnostics[study.diagnostics.method.isin(["mast", ONE_BUFFER])]
    # Where both have been run.
    own = own.groupby("task").filter(lambda here: here.method.nunique() == 2)
    if own.empty:
        return Section(NOT_YET)
    tasks = sorted(own.task.unique())
    colours = colours_of([ONE_BUFFER, "mast"])
    with rc_context(STYLE):
        figure, grid = panels(len(tasks), 2, 3.4, 2.6, sharex="row")
        for task, (distance, score) in zip(tasks, grid, strict=True):
            here = own[own.task == task]
            for metric, method, label, line in DISTANCES:
                mine = here[(here.metric == metric) & (here.method == method)]
                draw_curve(distance, mine, colours[method], label, line)
            scores = _score_of(here)
            for method, label in (
                (ONE_BUFFER, "one buffer: score"),
                ("mast", "two buffers: score"),
            ):
                draw_curve(score, scores[scores.method == method], colours[method], label)
            title(distance, f"{task}: actions not greedy, share")
            title(score, f"{task}: score")
            returns_axis(score, task)
        steps_labels(grid)
        legend_below(figure, grid[:, 0], columns=2)
    each = own[LOGGED].drop_duplicates()
    return Section.of(
        table(_distances(own)), caption(each, "overestimation.yaml", "buffers.yaml"),
        study_buffers=("Distance of batches from the policy, and learning curves", figure),
    )  # fmt: skip


def _distances(own: pd.DataFrame) -> list[dict[str, str]]:
    """Mean distance while the score is taken, and the score, with one buffer and two."""
    scores = _score_of(own).sort_values("step").groupby(["task", "method", "seed"]).tail(LAST)
    begin = scores.groupby("task").step.min()
    rows = []
    for (task, method), cell in own.groupby(["task", "method"]):
        row = {"task": task, "buffers": "one" if method == ONE_BUFFER else "two"}
        for name in ("batch", "large", "newest"):
            mine = cell[(cell.metric == f"mast_distance_{name}") & (cell.step >= begin[task])]
            mine = mine.groupby("seed").value.mean()
            row[f"distance: {name}"] = mean_interval(mine) if len(mine) else "–"
        here = scores[(scores.task == task) & (scores.method == method)]
        score = here.groupby("seed").value.mean()
        row["score [95 %]"] = mean_interval(score)
        one = scores[(scores.task == task) & (scores.method == ONE_BUFFER)]
        better = (score - one.groupby("seed").value.mean()).dropna()
        row["two minus one [95 %]"] = "–" if method == ONE_BUFFER else _difference(better)
        row["runs"] = str(cell.seed.nunique())
        rows.append(row)
    return rows


def _difference(better: pd.Series) -> str:
    """By the same seeds."""
    return f"{mean_interval(better)}, above 0 on {(better > 0).sum()} of {len(better)} seeds"


def _score_of(own: pd.DataFrame) -> pd.DataFrame:
    """The rows that a score is made of."""
    won = set(own[own.metric == WIN_RATE].task)
    return own[own.metric == own.task.map(lambda task: WIN_RATE if task in won else RETURN)]
