"""Learning curves, and how many of their evaluations make a score."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import rc_context
from plan import LAST

from epymarl_mast.report.pictures import STYLE
from sections.drawing import (
    colours_of,
    draw_curve,
    legend_below,
    panels,
    returns_axis,
    steps_labels,
    title,
)
from sections.main_table import minus
from sections.study import (
    NOT_YET,
    ORDER,
    RUN,
    VARIANT,
    Section,
    Study,
    caption,
    cells,
    gained,
    plain,
    with_shares,
)
from sections.wording import cell_names, mean, share, table

SWEEPS = ("main.yaml", "stock.yaml")
WINDOWS = (LAST, 10, 5)  # last evaluations
REACHED, SMOOTHED = 0.9, 5  # share of dense's final gain that counts as learned, evaluations
RIVAL = "rlx2"  # the sparse method nearest to MAST
BESIDE = ("mast", RIVAL, "ss")  # methods whose windows are shown


def windows(study: Study) -> Section:
    """Scores by fewer evaluations: whether a verdict hangs on how many make a score."""
    runs = plain(study.runs)
    runs = runs[runs.method.isin(["dense", *BESIDE])]
    if runs.empty:
        return Section(NOT_YET)
    curves = study.curves_of(runs)
    rows, margins = [], []
    for last in WINDOWS:
        used = curves.groupby(RUN).tail(last)
        scores = used.groupby(RUN).value.mean().rename("final")
        scored = with_shares(runs.drop(columns="final").merge(scores, on=RUN))
        rows += [
            {
                "task": str(task), "evaluations": str(last),
                "share of the steps": _share_of_steps(used, curves, task),
                **_beside_dense(here),
            }
            for task, here in scored.groupby("task")
        ]  # fmt: skip
        rival = scored[scored.method == RIVAL]
        margins += [{"evaluations": str(last), **row} for row in minus(scored, rival)]
    rows.sort(key=lambda row: row["task"])
    return Section.of(table(rows), table(margins), caption(runs, "main.yaml"))


def _share_of_steps(used: pd.DataFrame, curves: pd.DataFrame, task: object) -> str:
    first, last = used[used.task == task].step.min(), curves[curves.task == task].step.max()
    return f"{1 - first / last:.0%}"


def _beside_dense(here: pd.DataFrame) -> dict[str, str]:
    """Dense's score on a task, and what others have of it."""
    found = here.groupby(VARIANT).of_dense.mean()
    shown = {"dense": mean(here[here.method == "dense"].final)}
    for sparsity in (0.9, 0.95):
        for method in BESIDE:
            cell = found.get((method, sparsity))
            shown[f"{method} {share(sparsity)}, of dense"] = "–" if cell is None else f"{cell:.1%}"
    return shown


def speed(study: Study) -> Section:
    """Environment steps until a method has learned most of what dense knows at the end."""
    runs = _shown(study)
    if runs.empty:
        return Section(NOT_YET)
    curves = study.curves_of(runs)
    smooth = curves.assign(
        value=curves.groupby(RUN).value.transform(lambda run: run.rolling(SMOOTHED).mean())
    )
    dense = runs[runs.method == "dense"].groupby("task").gain.mean()
    there = smooth[gained(smooth, "value") >= REACHED * smooth.task.map(dense)]
    first = there.groupby(RUN).step.min().rename("first").reset_index()
    reached = runs.merge(first, how="left", on=RUN)
    tasks = sorted(runs.task.unique())
    rows = [
        {
            **cell_names(method, sparsity),
            **{task: _median_steps(cell.loc[cell.task == task, "first"]) for task in tasks},
        }
        for method, sparsity, cell in cells(reached)
    ]  # fmt: skip
    return Section.of(table(rows), caption(runs, *SWEEPS))


def _median_steps(steps: pd.Series) -> str:
    """In thousands, of runs that never got there too: – if they are half."""
    if steps.empty:
        return "–"
    median = steps.fillna(np.inf).median()
    shown = f"{median / 1000:.0f}k" if np.isfinite(median) else "–"
    return shown if steps.notna().all() else f"{shown} ({steps.notna().sum()} of {len(steps)})"


def curves(study: Study) -> Section:
    """Learning curves, and the evaluations that are scored, in grey."""
    runs = _shown(study)
    if runs.empty:
        return Section(NOT_YET)
    own = study.curves_of(runs)
    tasks = sorted(own.task.unique())
    scored = own.groupby(RUN).tail(LAST).groupby("task").step.agg(["min", "max"])
    colours = colours_of(ORDER)
    with rc_context(STYLE):
        figure, grid = panels(len(tasks), 2, 3.4, 2.6, sharex="row", sharey="row")
        for row, task in zip(grid, tasks, strict=True):
            for axis, sparsity in zip(row, (0.9, 0.95), strict=True):
                here = own[(own.task == task) & own.sparsity.isin([0.0, sparsity])]
                for method in (m for m in ORDER if m in set(here.method)):
                    draw_curve(axis, here[here.method == method], colours[method], method)
                axis.axvspan(*scored.loc[task], color="k", alpha=0.05, linewidth=0)
                title(axis, f"{task}, {sparsity:.0%}")
            returns_axis(row[0], task)
        steps_labels(grid)
        legend_below(figure, grid.flat, ORDER)
    return Section.of(caption(runs, *SWEEPS), study_curves=("Learning curves", figure))


def _shown(study: Study) -> pd.DataFrame:
    """Runs of the methods that have a colour."""
    runs = plain(study.runs)
    return runs[runs.method.isin(ORDER)]
