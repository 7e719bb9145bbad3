"""Every method at 90 and 95 % with QMIX: the main table, and the learning curves."""

from __future__ import annotations

import pandas as pd
from matplotlib import rc_context

from epymarl_mast.report.pictures import STYLE
from sections.drawing import colours_of, draw_curve, legend_below, panels, title
from sections.study import NOT_YET, ORDER, Section, Study, caption, cells, plain, qmix
from sections.wording import mean, over_tasks, share, table, times


def main_table(study: Study) -> Section:
    """On every task and over all, with what it costs."""
    own = plain(study.runs)
    if own.empty:
        return Section(NOT_YET)
    tasks = sorted(own.task.unique())
    stock = own[own.method == "stock"]
    rows = []
    for method, sparsity, cell in cells(own):
        row = {"method": method, "sparsity": share(sparsity)}
        for task in tasks:
            row[task] = mean(cell[cell.task == task].final)
        whole = set(cell.task) == set(tasks)
        row["of dense: mean"] = over_tasks(cell, "mean") if whole else "–"
        row["of dense: IQM"] = over_tasks(cell, "iqm") if whole else "–"
        row["size"] = times(cell.size_ratio.mean())
        row["FLOPs, training"] = times(cell.flops_train_ratio.mean())
        row["minutes"], row["wall time, of stock dense"] = _wall_times(cell, stock)
        row["runs"] = str(len(cell))
        rows.append(row)
    return Section.of(table(rows), caption(own, "main.yaml", "stock.yaml"))


def _wall_times(cell: pd.DataFrame, stock: pd.DataFrame) -> tuple[str, str]:
    """Minutes, and wall time over that of the host's own QMIX: means over the cell's tasks.

    Of runs on one CPU, that of most stock runs; – where a task has none of either on it.
    """
    cpu = stock.cpu.value_counts().index[:1]
    ours, theirs = (
        runs[runs.cpu.isin(cpu)].groupby("task").wall_s.mean().reindex(cell.task.unique())
        for runs in (cell, stock)
    )
    minutes, ratio = ours.mean(skipna=False) / 60, (ours / theirs).mean(skipna=False)
    return (
        "–" if pd.isna(minutes) else f"{minutes:.1f}",
        "–" if pd.isna(ratio) else f"{ratio:.2f}",
    )


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
    return Section.of(
        caption(plain(study.runs), "main.yaml", "stock.yaml"),
        study_curves=("Learning curves", figure),
    )
