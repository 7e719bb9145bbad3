"""``results/rerun/rerun.yaml``: the runs of a cell of the tables, by the names that it has there.

python benchmarks/study/rerun.py Foraging-6x6-2p-2f-v3 rigl 0.95 --seeds 3
mast sweep benchmarks/study/results/rerun/rerun.yaml
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from plan import CELL, HERE, SEARCHED, STUDIED, cell_of, is_diagnostic, runs_of, write_sweep

from epymarl_mast.sweep.plan import Run


def main() -> None:
    """Write the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("method", help="as in summary.csv")
    parser.add_argument("sparsity", type=float, help="0 for dense")
    parser.add_argument("--algorithm", default="qmix")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seeds", type=int, nargs="+", help="these alone")
    parser.add_argument("--logged", action="store_true", help="the run of diagnostics.csv")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "rerun")
    asked = parser.parse_args()
    cell = {name: getattr(asked, name) for name in CELL if name != "seed"}
    runs = [run for run in runs_of([*STUDIED, *SEARCHED]) if is_diagnostic(run) == asked.logged]
    try:
        found = of_cell(runs, cell, asked.seeds)
    except ValueError as error:
        parser.error(str(error))
    file = asked.results.absolute() / "rerun.yaml"
    write_sweep(file, file.parent, found)
    print(f"{len(found)} of the study's runs in {file}")


def of_cell(runs: Sequence[Run], cell: dict[str, object], seeds: Sequence[int] | None) -> list[Run]:
    """The runs of a cell, each once.

    Args:
        runs: of the study's sweeps.
        cell: its names, those of a row but for the seed.
        seeds: these alone; None: all.

    Raises:
        ValueError: naming the first value that none of them has, and those that they have.
    """
    left = [(run, cell_of(run)) for run in {run.label: run for run in runs}.values()]
    wanted = [(name, [value]) for name, value in cell.items()]
    if seeds is not None:
        wanted.append(("seed", list(seeds)))
    for name, values in wanted:
        there = {own[name] for _, own in left}
        if unknown := [value for value in values if value not in there]:
            known = ", ".join(map(str, sorted(there)))
            raise ValueError(
                f"no sweep here has {name} {unknown[0]!r} for that; they have: {known}"
            )
        left = [(run, own) for run, own in left if own[name] in values]
    return [run for run, _ in left]


if __name__ == "__main__":
    main()
