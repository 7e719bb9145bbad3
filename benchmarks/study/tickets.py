"""``results/tickets.yaml``: the winning tickets of main.yaml's MAST runs (Fig. 10).

python benchmarks/study/tickets.py && mast sweep benchmarks/study/results/tickets.yaml

A ticket trains, from the first weights of its seed, with the masks that the run of that seed ended
with. The random ones to compare with are ``no_topology_evolution`` in parts.yaml.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import yaml
from plan import HERE, cell_of, listed

from epymarl_mast.report.files import read_folder
from epymarl_mast.report.record import Record
from epymarl_mast.sweep.plan import read_sweep

MAST = ("mast.sparsity=0.95",)
A_TASK = 5


def main() -> None:
    """Find the finished runs and write the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    results = parser.parse_args().results.absolute()
    runs = {r.label: r for r in read_sweep(HERE / "main.yaml").runs if r.overrides == MAST}
    tickets = defaultdict(list)
    for record in sorted(finished(results), key=lambda record: record.seed):
        if (run := runs.get(str(record.config.get("label")))) is not None:
            words = ("no_topology_evolution", f"mast.mask_from={record.source}")
            tickets[cell_of(run)["task"]].append(listed(run, *words))
    first = [ticket for of_task in tickets.values() for ticket in of_task[:A_TASK]]
    plan = {"host": "pymarlzooplus", "results": str(results), "runs": first}
    (results / "tickets.yaml").write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    print(f"{len(first)} tickets in {results / 'tickets.yaml'}")


def finished(results: Path) -> list[Record]:
    """Records of the runs that ended."""
    found = [record for record in read_folder(results, ()) if isinstance(record, Record)]
    return [record for record in found if record.status == "COMPLETED"]


if __name__ == "__main__":
    main()
