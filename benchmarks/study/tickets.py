"""``results/tickets.yaml``: the winning tickets of main.yaml's MAST runs (Fig. 10).

python benchmarks/study/tickets.py && mast sweep benchmarks/study/results/tickets.yaml

A ticket trains, from the first weights of its seed, with the masks that the run of that seed ended
with. The random ones to compare with are ``no_topology_evolution`` in parts.yaml.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from epymarl_mast.report.files import read_folder
from epymarl_mast.report.record import Record
from epymarl_mast.sweep.plan import Run, read_sweep

HERE = Path(__file__).parent
MAST = ("mast.sparsity=0.95",)
SEEDS = 5


def main() -> None:
    """Find the finished runs and write the sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    results = parser.parse_args().results.absolute()
    runs = {f"sweep-{r.id}": r for r in read_sweep(HERE / "main.yaml").runs if r.overrides == MAST}
    tickets = [
        ticket(runs[label], Path(record.source))
        for record in read_folder(results, ())
        if isinstance(record, Record) and record.status == "COMPLETED"
        if (label := str(record.config.get("label"))) in runs and record.seed <= SEEDS
    ]
    plan = {"host": "pymarlzooplus", "results": str(results), "runs": tickets}
    (results / "tickets.yaml").write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    print(f"{len(tickets)} tickets in {results / 'tickets.yaml'}")


def ticket(run: Run, record: Path) -> dict[str, Any]:
    """The run of a sweep's list that trains with the masks of a record."""
    options = dict(run.options)
    seed = options.pop("seed")
    return {
        "config": run.config,
        "environment": {"env-config": run.env_config},
        "overrides": [*MAST, "no_topology_evolution", f"mast.mask_from={record}"],
        "options": options,
        "seed": seed,
    }


if __name__ == "__main__":
    main()
