"""Every method at 90 and 95 % with QMIX: the main tables, and the learning curves."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context

from epymarl_mast.report.pictures import STYLE
from sections.drawing import colours_of, draw_curve, legend_below, panels, title
from sections.shares import iqm_share, mean_share, paired_difference
from sections.study import (
    CELL,
    NOT_YET,
    ORDER,
    Section,
    Study,
    caption,
    cells,
    on_every_task,
    plain,
    qmix,
    with_shares,
)
from sections.wording import mean, share, table, times

SWEEPS = ("main.yaml", "first_alpha.yaml", "stock.yaml")
_OF_NEW_ALPHA = ("main.yaml", "stock.yaml")  # without MAST's first one
WINDOWS = (20, 10, 5)  # evaluations; the first is that of a score
RIVAL = "rlx2"  # the sparse method nearest to MAST
BUSY = (0.62, 1.13)  # runs at a time, of the cores; two on four take 0.6 of the time of four


def main_table(study: Study) -> Section:
    """Scores on every task."""
    own = plain(study.runs)
    tasks = sorted(own.task.unique())
    rows = [
        {
            **_names(method, sparsity),
            **{task: mean(cell[cell.task == task].final) for task in tasks},
            "seeds": _seeds(cell),
        }
        for method, sparsity, cell in cells(own)
    ]
    return Section.of(table(rows), caption(own, *SWEEPS)) if rows else Section(NOT_YET)


def of_dense(study: Study) -> Section:
    """Shares of what dense learns, on every task and over all."""
    own = plain(study.runs)
    dense = own[own.method == "dense"]
    tasks = sorted(dense.task.unique())
    rows = []
    for method, sparsity, cell in cells(own[own.task.isin(tasks)]):
        row = _names(method, sparsity)
        for task in tasks:
            here = cell[cell.task == task]
            row[task] = mean_share(here, dense) if len(here) else "–"
        whole = on_every_task(cell, tasks)
        row["mean"] = mean_share(whole, dense) if len(whole) else "–"
        row["IQM"] = iqm_share(whole, dense) if len(whole) else "–"
        row["seeds on every task"] = str(whole.seed.nunique())
        rows.append(row)
    return Section.of(table(rows), caption(own, *SWEEPS)) if rows else Section(NOT_YET)


def differences(study: Study) -> Section:
    """MAST less each other sparse method, by the seeds that both have on every task."""
    own = plain(study.runs)
    rows = _less(own, own[(own.sparsity > 0) & (own.method != "mast")])
    return Section.of(table(rows), caption(own, *SWEEPS)) if rows else Section(NOT_YET)


def _less(own: pd.DataFrame, others: pd.DataFrame) -> list[dict[str, str]]:
    tasks = sorted(own.task.unique())
    mast = own[own.method == "mast"]
    rows = []
    for method, sparsity, cell in cells(others):
        theirs = on_every_task(cell, tasks)
        ours = on_every_task(mast[mast.sparsity == sparsity], tasks)
        ours, theirs = (a[a.seed.isin(b.seed)] for a, b in ((ours, theirs), (theirs, ours)))
        if len(ours):
            better = ours.groupby("task").final.mean() > theirs.groupby("task").final.mean()
            rows.append(
                {
                    "MAST less": method, "sparsity": share(sparsity),
                    "of dense, difference [95 %]": paired_difference(ours, theirs),
                    "tasks on which MAST's mean is higher": f"{better.sum()} of {len(better)}",
                    "seeds": str(ours.seed.nunique()),
                }
            )  # fmt: skip
    return rows


def costs(study: Study) -> Section:
    """What a method costs."""
    own = plain(study.runs)
    machines = _machines(own)
    rows = [
        {
            **_names(method, sparsity),
            "size": times(cell.size_ratio.mean()),
            "FLOPs, training": times(cell.flops_train_ratio.mean()),
            "FLOPs, acting": times(cell.flops_test_ratio.mean()),
            **{name: text for runs in machines for name, text in _times(cell, runs).items()},
        }
        for method, sparsity, cell in cells(own)
    ]
    return Section.of(table(rows), caption(own, *SWEEPS)) if rows else Section(NOT_YET)


def _machines(own: pd.DataFrame) -> list[pd.DataFrame]:
    """The runs of each machine that can be compared, if it has stock on every task.

    Those beside which about as many others ran as it has cores.
    """
    busy = own[(own.at_once / own.cores).between(*BUSY)]
    return [
        runs
        for _, runs in sorted(busy.groupby(["cpu", "cores"]), key=lambda machine: -len(machine[1]))
        if runs[runs.method == "stock"].task.nunique() == own.task.nunique()
    ]


def _times(cell: pd.DataFrame, runs: pd.DataFrame) -> dict[str, str]:
    """Wall time of a method on one machine, the mean over tasks, and beside that of dense ones."""
    own = runs.loc[runs.index.intersection(cell.index)]
    minutes, stock, dense = (
        a.groupby("task").wall_s.mean().reindex(runs.task.unique()) / 60
        for a in (own, runs[runs.method == "stock"], runs[runs.method == "dense"])
    )
    on = f"{runs.cpu.iloc[0]}, {runs.cores.iloc[0]:g} cores"
    of_dense = {} if dense.isna().any() else {f"{on}: of our dense": _mean(minutes / dense, ".2f")}
    return {
        f"{on}: minutes": _mean(minutes, ".1f"),
        f"{on}: of stock dense": _mean(minutes / stock, ".2f"),
        **of_dense,
        f"{on}: runs timed": str(len(own)),
    }


def windows(study: Study) -> Section:
    """Scores by fewer evaluations: whether a verdict hangs on how many make a score."""
    runs = _with_new_alpha(study)
    if runs.empty:
        return Section(NOT_YET)
    keys = ["task", "method", "sparsity", "seed"]
    curves = qmix(study.curves).merge(runs[keys], on=keys).sort_values("step")
    rows, margins = [], []
    for last in WINDOWS:
        used = curves.groupby(keys).tail(last)
        scores = used.groupby(keys).value.mean().rename("final")
        scored = with_shares(runs.drop(columns="final").merge(scores, on=keys))
        rows += [
            {
                "task": str(task), "evaluations": str(last),
                "share of the steps": _share_of_steps(used, curves, task),
                **_beside_dense(here),
            }
            for task, here in scored.groupby("task")
        ]  # fmt: skip
        rival = scored[scored.method == RIVAL]
        margins += [{"evaluations": str(last), **row} for row in _less(scored, rival)]
    rows.sort(key=lambda row: row["task"])
    return Section.of(table(rows), table(margins), caption(runs, *_OF_NEW_ALPHA))


def _share_of_steps(used: pd.DataFrame, curves: pd.DataFrame, task: object) -> str:
    first, last = used[used.task == task].step.min(), curves[curves.task == task].step.max()
    return f"{1 - first / last:.0%}"


def _beside_dense(here: pd.DataFrame) -> dict[str, str]:
    """Dense's score on a task, and what others have of it."""
    found = here.groupby(CELL).of_dense.mean()
    shown = {"dense": mean(here[here.method == "dense"].final)}
    for sparsity in (0.9, 0.95):
        for method in ("mast", RIVAL, "ss"):
            cell = found.get((method, sparsity))
            shown[f"{method} {share(sparsity)}, of dense"] = "–" if cell is None else f"{cell:.1%}"
    return shown


def curves(study: Study) -> Section:
    """Learning curves."""
    own = qmix(study.curves)
    tasks = sorted(own.task.unique())
    if not tasks:
        return Section(NOT_YET)
    colours = colours_of(ORDER)
    with rc_context(STYLE):
        figure, grid = panels(len(tasks), 2, 3.4, 2.6, sharex="row", sharey="row")
        for row, task in zip(grid, tasks, strict=True):
            for axis, sparsity in zip(row, (0.9, 0.95), strict=True):
                here = own[(own.task == task) & own.sparsity.isin([0.0, sparsity])]
                for method in (m for m in ORDER if m in set(here.method)):
                    draw_curve(axis, here[here.method == method], colours[method], method)
                title(axis, f"{task}, {sparsity:.0%}")
        legend_below(figure, grid.flat, ORDER)
    said = caption(_with_new_alpha(study), *_OF_NEW_ALPHA)
    return Section.of(said, study_curves=("Learning curves", figure))


def _with_new_alpha(study: Study) -> pd.DataFrame:
    runs = plain(study.runs)
    return runs[runs.method.isin(ORDER)]


def _names(method: str, sparsity: float) -> dict[str, str]:
    return {"method": method, "sparsity": share(sparsity)}


def _seeds(cell: pd.DataFrame) -> str:
    """How many, of all tasks alike or from fewest to most."""
    counts = cell.groupby("task").seed.nunique()
    return f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"


def _mean(of_tasks: pd.Series[float], style: str) -> str:
    """– where a task has none."""
    return "–" if of_tasks.isna().any() else f"{of_tasks.mean():{style}}"
