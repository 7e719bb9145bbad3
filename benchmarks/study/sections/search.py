"""What defaults were chosen by: runs on tasks and seeds of no other table."""

from __future__ import annotations

import pandas as pd

from sections.study import NOT_YET, VARIANT, Section, Study, caption
from sections.wording import cell_names, mean, mean_interval, table

# The settings of search/sharpness.yaml, as search.csv has them; the second is the default since.
SHARPNESS = tuple(f"mast mast.alpha={alpha} mast.omega=10.0" for alpha in ("1.0", "10.0"))
RATED = ("dense", "mast", "rlx2")  # methods whose learning rate was tried


def operator(study: Study) -> Section:
    """What other α and ω of Soft Mellowmax do, on tasks and seeds of no other table."""
    runs = study.search
    mast = runs.method.str.startswith("mast ") & ~runs.method.str.contains(" lr=")
    own = runs[mast & (runs.algorithm == "qmix")]
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
    sweeps = caption(own, "search/operator.yaml", "search/sharpness.yaml")
    return Section.of(table(rows), *_again(own), _cost(own) + sweeps)


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


def learning_rate(study: Study) -> Section:
    """What other learning rates do, beside the hosts' by the same seeds."""
    tried = study.search.assign(method=study.search.method.replace(SHARPNESS[-1], "mast"))
    tried = tried[tried.method.str.split(" lr=").str[0].isin(RATED)]
    compared = tried[tried.method.str.contains(" lr=")][["task", "algorithm", "seed"]]
    own = tried.merge(compared.drop_duplicates())
    if own.empty:
        return Section(NOT_YET)
    cells = own.groupby(["task", "algorithm", *VARIANT])
    rows = [
        {
            "task": task, "algorithm": algorithm, **cell_names(method, sparsity),
            "score": mean(cell.final), "runs": str(len(cell)),
        }
        for (task, algorithm, method, sparsity), cell in cells
    ]  # fmt: skip
    sweeps = ("operator", "learning_rate_qmix", "learning_rate_vdn")
    names = [f"search/{sweep}.yaml" for sweep in sweeps]
    of_operator = (own.algorithm == "qmix") & (own.method == "mast")  # counted there
    cost = _cost(own[~of_operator], f"without the search's {of_operator.sum()} runs")
    return Section.of(table(rows), cost + caption(own, *names))


def _cost(own: pd.DataFrame, of: str = "in all") -> str:
    return f"{own.wall_s.sum() / 60:.0f} minutes of one core {of}. "
