"""``results/remaining.yaml``: the runs that the tables lack, to go on without the others' results.

python benchmarks/study/remaining.py && mast sweep benchmarks/study/results/remaining.yaml

``mast sweep`` leaves out runs that its folder of results has; this, those that another machine ran.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from plan import (
    CELL,
    HERE,
    SEARCHED,
    STUDIED,
    cell_of,
    lacking,
    read_table,
    runs_of,
    write_sweep,
)


def main() -> None:
    """Write the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--tables", type=Path, default=HERE, help="where the tables are")
    parser.add_argument("--seeds", type=int, nargs="+", help="these alone")
    parser.add_argument("--sweeps", type=Path, nargs="+", default=[*STUDIED, *SEARCHED])
    arguments = parser.parse_args()
    results = arguments.results.absolute()
    runs = runs_of(arguments.sweeps)
    wanted = [r for r in runs if arguments.seeds is None or cell_of(r)["seed"] in arguments.seeds]
    left = lacking(wanted, *tables_in(arguments.tables))
    file = results / "remaining.yaml"
    write_sweep(file, results, left)
    print(
        f"{len(left)} of {len(wanted)} runs in {file}"
        if left
        else f"the tables have all {len(wanted)} runs"
    )


def tables_in(folder: Path) -> list[pd.DataFrame]:
    """``summary.csv``, ``search.csv`` and ``diagnostics.csv``; without rows where there is none."""
    names = ("summary", "search", "diagnostics")
    files = [folder / f"{name}.csv" for name in names]
    empty = pd.DataFrame(columns=[*CELL, "steps"])
    return [read_table(file) if file.exists() else empty for file in files]


if __name__ == "__main__":
    main()
