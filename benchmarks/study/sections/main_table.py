"""Every method at 90 and 95 % with QMIX: scores, shares of dense, MAST beside the others."""

from __future__ import annotations

import pandas as pd

from sections.shares import iqm_share, mean_share, paired_difference
from sections.study import (
    DENSE_MAST,
    NOT_YET,
    Section,
    Study,
    caption,
    cells,
    first_mast,
    on_every_task,
    plain,
)
from sections.wording import cell_names, mean, named, share, table

FAILED = 0.8  # share of dense below which a run has failed
SWEEPS = ("main.yaml", "stock.yaml", "dense_mast.yaml")


def main_table(study: Study) -> Section:
    """Scores on every task."""
    own = plain(study.runs)
    return Section.of(table(_scores(own)), caption(own, *SWEEPS)) if len(own) else Section(NOT_YET)


def of_dense(study: Study) -> Section:
    """Shares of what dense learns, on every task and over all."""
    own = plain(study.runs)
    rows = _shares(own, own[own.method == "dense"])
    return Section.of(table(rows), caption(own, *SWEEPS)) if rows else Section(NOT_YET)


def differences(study: Study) -> Section:
    """MAST minus each other sparse method, and minus what it is without sparsity."""
    own = plain(study.runs)
    own = own[own.method != "stock"]
    dense = own[own.method == DENSE_MAST]
    rows = minus(own, own[(own.sparsity > 0) & (own.method != "mast")])
    for sparsity in (0.9, 0.95):
        rows += minus(own, dense, sparsity)
    return (
        Section.of(table(rows), caption(own, "main.yaml", "dense_mast.yaml"))
        if rows
        else Section(NOT_YET)
    )


def first_alpha(study: Study) -> Section:
    """MAST with its first α, in the form of the three tables above."""
    own, first = plain(study.runs), first_mast(study.runs)
    if first.empty:
        return Section(NOT_YET)
    dense = own[own.method == "dense"]
    mast = own[(own.method == "mast") & own.sparsity.isin(first.sparsity)]
    return Section.of(
        table(_scores(first)), table(_shares(first, dense)), table(minus(own, first)),
        caption(pd.concat([first, dense, mast]), "main.yaml", "first_alpha.yaml"),
    )  # fmt: skip


def minus(own: pd.DataFrame, others: pd.DataFrame, at: float | None = None) -> list[dict[str, str]]:
    """MAST minus each other method, by the seeds that both have on every task.

    Args:
        own: runs that MAST's are among.
        others: those it is compared with.
        at: MAST's sparsity; of none, that of the other.
    """
    tasks = sorted(own.task.unique())
    mast = own[own.method == "mast"]
    rows = []
    for method, sparsity, cell in cells(others):
        theirs = on_every_task(cell, tasks)
        ours = on_every_task(mast[mast.sparsity == (at or sparsity)], tasks)
        ours, theirs = (a[a.seed.isin(b.seed)] for a, b in ((ours, theirs), (theirs, ours)))
        if len(ours):
            better = ours.groupby("task").final.mean() > theirs.groupby("task").final.mean()
            rows.append(
                {
                    "MAST minus": named(method), "at": share(at or sparsity),
                    "of dense, difference [95 %]": paired_difference(ours, theirs),
                    "tasks on which MAST's mean is higher": f"{better.sum()} of {len(better)}",
                    "seeds": str(ours.seed.nunique()),
                }
            )  # fmt: skip
    return rows


def _scores(own: pd.DataFrame) -> list[dict[str, str]]:
    tasks = sorted(own.task.unique())
    return [
        {
            **cell_names(method, sparsity),
            **{task: mean(cell[cell.task == task].final) for task in tasks},
            "seeds": _seeds(cell),
        }
        for method, sparsity, cell in cells(own)
    ]


def _shares(own: pd.DataFrame, dense: pd.DataFrame) -> list[dict[str, str]]:
    tasks = sorted(dense.task.unique())
    rows = []
    for method, sparsity, cell in cells(own[own.task.isin(tasks)]):
        row = cell_names(method, sparsity)
        for task in tasks:
            here = cell[cell.task == task]
            row[task] = mean_share(here, dense) if len(here) else "–"
        whole = on_every_task(cell, tasks)
        row["mean"] = mean_share(whole, dense) if len(whole) else "–"
        row["IQM"] = iqm_share(whole, dense) if len(whole) else "–"
        row[f"runs below {FAILED}"] = f"{(cell.of_dense < FAILED).sum()} of {len(cell)}"
        row["seeds on every task"] = str(whole.seed.nunique())
        rows.append(row)
    return rows


def _seeds(cell: pd.DataFrame) -> str:
    """How many, of all tasks alike or from fewest to most."""
    counts = cell.groupby("task").seed.nunique()
    return f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"
