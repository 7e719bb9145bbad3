"""What a method costs: weights, FLOPs, and wall time beside stock dense on the same machine."""

from __future__ import annotations

import pandas as pd

from sections.study import NOT_YET, Section, Study, caption, cells, first_mast, plain
from sections.wording import cell_names, table, times

SWEEPS = ("main.yaml", "first_alpha.yaml", "stock.yaml", "dense_mast.yaml")
BUSY = (0.62, 1.13)  # runs at a time, of the cores; two on four take 0.6 of the time of four


def costs(study: Study) -> Section:
    """What every method of the main table costs, and MAST with its first α."""
    own = pd.concat([plain(study.runs), first_mast(study.runs)])
    if own.empty:
        return Section(NOT_YET)
    ratios = [
        {
            **cell_names(method, sparsity),
            "size": times(cell.size_ratio.mean()),
            "FLOPs, training": times(cell.flops_train_ratio.mean()),
            "FLOPs, acting": times(cell.flops_test_ratio.mean()),
        }
        for method, sparsity, cell in cells(own)
    ]
    low, high = BUSY
    blocks = [
        table(ratios),
        f"Wall times, where {low} to {high} of the study's runs ran at once for every core:",
    ]
    for runs in _machines(own):
        blocks += [f"{runs.cpu.iloc[0]}, {runs.cores.iloc[0]:g} cores:", table(_times(runs))]
    return Section.of(*blocks, caption(own, *SWEEPS))


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


def _times(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Wall times on one machine of the methods that it ran on every task, as means over tasks.

    Of what a dense run takes: the mean of the ratios of each task.
    """
    tasks = runs.task.unique()
    stock, dense = (
        runs[runs.method == method].groupby("task").wall_s.mean().reindex(tasks)
        for method in ("stock", "dense")
    )
    rows = []
    for method, sparsity, cell in cells(runs):
        seconds = cell.groupby("task").wall_s.mean().reindex(tasks)
        if seconds.notna().all():
            beside = {} if dense.isna().any() else {"of our dense": _mean(seconds / dense)}
            rows.append(
                {
                    **cell_names(method, sparsity), "minutes": f"{seconds.mean() / 60:.1f}",
                    "of stock dense": _mean(seconds / stock), **beside, "runs": str(len(cell)),
                }
            )  # fmt: skip
    return rows


def _mean(ratios: pd.Series) -> str:
    return f"{ratios.mean():.2f}"
