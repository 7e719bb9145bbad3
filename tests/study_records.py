"""Made-up records of runs of the study, and its tables from them."""

from __future__ import annotations

import json
from pathlib import Path

from epymarl_mast.sweep.plan import read_sweep

STUDY = Path(__file__).parents[1] / "benchmarks" / "study"
FIRST = " mast.alpha=1.0"  # how methods with the first default end
RETURNS = {"test_return_mean": {"steps": [0, 10], "values": [0.0, 0.5]}}


def make_record(run, results, metrics, name=None, **changes):
    """A finished run's folder; ``changes`` of run.json."""
    folder = results / "sacred" / (name or run.id)
    folder.mkdir(parents=True)
    options = dict(run.options)
    config = {
        "label": f"sweep-{run.id}", "name": "mast_qmix", "seed": options["seed"], "hidden_dim": 64,
        "t_max": options["t_max"], "env_args": {"key": options["env_args.key"]},
        "mast": {"sparsity": 0.95, "topology": "rigl"},
    }  # fmt: skip
    record = {
        "status": "COMPLETED", "start_time": "2026-01-01T00:00:00",
        "stop_time": "2026-01-01T00:05:00",
        "host": {"cpu": "AMD EPYC", "epymarl_mast": {"commit": "0123456789abcdef+changes"}},
        **changes,
    }  # fmt: skip
    for file, content in (("config", config), ("run", record), ("metrics", metrics)):
        (folder / f"{file}.json").write_text(json.dumps(content))
    return folder


def run_with(module, monkeypatch, *arguments):
    """Run a file of the study."""
    monkeypatch.setattr("sys.argv", [f"{module.__name__}.py", *map(str, arguments)])
    module.main()


def summarised(summarise, results, tables, monkeypatch):
    """``{file: table}`` after summarise.py."""
    tables.mkdir(exist_ok=True)
    run_with(summarise, monkeypatch, "--results", results, "--tables", tables)
    return {file.name: summarise.read_table(file) for file in tables.iterdir()}


def main_run(sparsity=0.95, seed=1, task="5x5"):
    """MAST's run of main.yaml."""
    [run] = [
        r for r in read_sweep(STUDY / "main.yaml").runs
        if r.overrides == (f"mast.sparsity={sparsity}",)
        and dict(r.options)["seed"] == seed and task in str(r.options)
    ]  # fmt: skip
    return run
