"""``results/remaining.yaml``: the runs that the tables lack, to go on without the others' results.

python benchmarks/study/remaining.py && mast sweep benchmarks/study/results/remaining.yaml

``mast sweep`` leaves out runs that its folder of results has; this, those that another machine ran.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from plan import (
    CELL,
    DIAGNOSTIC_RUNS,
    HERE,
    cell_of,
    is_diagnostic,
    key_of,
    read_table,
    write_sweep,
)

from epymarl_mast.sweep.plan import Run, read_sweep


def main() -> None:
    """Write the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--tables", type=Path, default=HERE, help="where the tables are")
    parser.add_argument("--seeds", type=int, nargs="+", help="these alone")
    parser.add_argument("--sweeps", type=Path, nargs="+", default=sorted(HERE.glob("*.yaml")))
    arguments = parser.parse_args()
    results = arguments.results.absolute()
    runs = [run for file in arguments.sweeps for run in read_sweep(file).runs]
    wanted = [r for r in runs if arguments.seeds is None or cell_of(r)["seed"] in arguments.seeds]
    left = lacking(wanted, arguments.tables)
    file = results / "remaining.yaml"
    write_sweep(file, results, left)
    print(
        f"{len(left)} of {len(wanted)} runs in {file}"
        if left
        else f"the tables have all {len(wanted)} runs"
    )


def lacking(runs: list[Run], tables: Path) -> list[Run]:
    """Those of some runs that have no row in ``summary.csv``, or ``diagnostics.csv``.

    A row of fewer or more steps than the sweep asks for is not of its run.
    """
    counted = _cells(tables / "summary.csv", [*CELL, "steps"])
    logged = _cells(tables / "diagnostics.csv", CELL, **DIAGNOSTIC_RUNS)
    return [
        run
        for run in runs
        if (
            key_of(run) not in logged
            if is_diagnostic(run)
            else (*key_of(run), dict(run.options)["t_max"]) not in counted
        )
    ]


def _cells(file: Path, names: list[str], **constant: object) -> set[tuple[object, ...]]:
    if not file.exists():
        return set()
    table = read_table(file).assign(**constant)
    return set(table[names].itertuples(index=False, name=None))


if __name__ == "__main__":
    main()
