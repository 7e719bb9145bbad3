"""``results/tickets.yaml``: the winning tickets of main.yaml's MAST runs (Fig. 10).

python benchmarks/study/tickets.py && mast sweep benchmarks/study/results/tickets.yaml

A ticket trains, from the first weights of its seed, with the masks that the run of that seed ended
with; beside it one with random masks. They are of the tasks of parts.yaml.
Those that the tables have of other machines' runs count as some of the five of a task.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from plan import HERE, cell_of, is_of, read_table, write_sweep

from epymarl_mast.report.files import read_folder
from epymarl_mast.report.record import Record
from epymarl_mast.sweep.plan import Run, read_sweep

MAST = ("mast.sparsity=0.95",)
RANDOM = ("no_topology_evolution", *MAST)
A_TASK = 5


def main() -> None:
    """Find the finished runs and write the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--tables", type=Path, default=HERE, help="where the tables are")
    arguments = parser.parse_args()
    results = arguments.results.absolute()
    elsewhere = made(arguments.tables)
    tasks = {cell_of(r)["task"] for r in read_sweep(HERE / "parts.yaml").runs}
    runs = {r.label: r for r in read_sweep(HERE / "main.yaml").runs if r.overrides == MAST}
    pairs = defaultdict(list)
    for record in sorted(finished(results), key=lambda record: record.seed):
        run = runs.get(str(record.config.get("label")))
        if run is None or not is_of(run, record.config):
            continue
        if (task := cell_of(run)["task"]) in tasks:
            pairs[task].append((winning(run, record), replace(run, overrides=RANDOM)))
    first = []
    for task, found in pairs.items():
        here = {cell_of(ticket)["seed"] for ticket, _ in found}
        room = max(0, A_TASK - len(elsewhere[task] - here))
        first += [ticket for pair in found[:room] for ticket in pair]
    file = results / "tickets.yaml"
    write_sweep(file, results, first)
    if not first:
        print(f"no tickets: no MAST run of main.yaml that ended in {results} is still wanted")
        return
    print(f"{len(first) // 2} tickets, and as many random masks, in {file}")


def made(tables: Path) -> dict[str, set[int]]:
    """``{task: seeds}`` of the winning tickets in ``summary.csv``."""
    seeds: dict[str, set[int]] = defaultdict(set)
    if (file := tables / "summary.csv").exists():
        runs = read_table(file)
        for task, own in runs[runs.method == "mast winning ticket"].groupby("task").seed:
            seeds[str(task)] = set(own)
    return seeds


def winning(run: Run, record: Record) -> Run:
    """The run with the masks that it ended with, by its record."""
    words = ("no_topology_evolution", f"mast.mask_from={record.source}")
    return replace(run, overrides=(*run.overrides, *words))


def finished(results: Path) -> list[Record]:
    """Records of the runs that ended, of two of a run the newer one."""
    found = [record for record in read_folder(results, ()) if isinstance(record, Record)]
    complete = [record for record in found if record.status == "COMPLETED"]
    complete.sort(key=lambda record: record.started or datetime.min)
    return list({str(record.config.get("label")): record for record in complete}.values())


if __name__ == "__main__":
    main()
