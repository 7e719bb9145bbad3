"""The study's sweeps, and its tables from made-up records."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from epymarl_mast.hosts import find_host
from epymarl_mast.launch import prepare
from epymarl_mast.sweep.plan import read_sweep

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"
DOCS = Path(__file__).parents[2] / "docs"


def _module(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def summarise():
    return _module("summarise")


@pytest.fixture
def report():
    return _module("report")


@pytest.mark.parametrize("file", sorted(STUDY.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_kind_of_run_passes_the_checks(file):
    runs = read_sweep(file).runs
    kinds = {(run.config, run.overrides): run for run in runs}
    for run in kinds.values():
        prepare(find_host(run.host), run.host_arguments)


def test_make_study_runs_every_sweep():
    [line] = [
        x for x in (STUDY.parents[1] / "Makefile").read_text().splitlines() if "for file" in x
    ]
    assert {f.stem for f in STUDY.glob("*.yaml")} == set(
        line.split(" in ")[1].split(";")[0].split()
    )


def test_methods_have_short_names(summarise):
    runs = [run for file in summarise.sweeps(STUDY / "results") for run in read_sweep(file).runs]
    names = {summarise.method_of(run) for run in runs}
    assert {"stock", "dense", "mast", "rigl", "ss", "set", "rlx2", "tiny"} < names
    assert {n for n in names if n.startswith("mast ")} == {
        "mast no_soft_mellowmax", "mast no_td_lambda", "mast no_dual_buffers",
        "mast no_topology_evolution", "mast no_sparsity", "mast mast.operator=mellowmax",
        "mast mast.operator=softmax", "mast per_agent",
    }  # fmt: skip


def test_a_record_becomes_a_row(summarise, tmp_path, monkeypatch):
    run = next(
        r for r in read_sweep(STUDY / "main.yaml").runs if "mast.sparsity=0.95" in r.overrides
    )
    folder = tmp_path / "sacred" / "1"
    folder.mkdir(parents=True)
    options = dict(run.options)
    config = {
        "label": f"sweep-{run.id}", "name": "mast_qmix", "seed": 1, "hidden_dim": 64,
        "t_max": options["t_max"], "env_args": {"key": options["env_args.key"]},
        "mast": {"sparsity": 0.95, "topology": "rigl"},
    }  # fmt: skip
    record = {
        "status": "COMPLETED", "start_time": "2026-01-01T00:00:00",
        "stop_time": "2026-01-01T00:05:00",
        "host": {"epymarl_mast": {"commit": "0123456789abcdef"}},
    }  # fmt: skip
    returns = {"steps": [*range(0, 250, 10)], "values": [0.0] * 5 + [0.25, 0.75] * 10}
    ratio = {"steps": [10], "values": [0.06]}
    density = {"steps": [10, 20], "values": [0.1, 0.125]}
    metrics = {
        "test_return_mean": returns, "mast_size_ratio": ratio, "mast_density_agent_1": density,
    }  # fmt: skip
    for name, content in (("config", config), ("run", record), ("metrics", metrics)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    written = {}
    monkeypatch.setattr(summarise, "_write", lambda table, path: written.update({path.name: table}))
    monkeypatch.setattr("sys.argv", ["summarise.py", "--results", str(tmp_path)])
    summarise.main()
    [row] = written["summary.csv"].to_dict("records")
    assert list(row) == summarise.COLUMNS
    assert row == {
        "task": "Foraging-5x5-2p-1f-v3", "algorithm": "qmix", "method": "mast", "sparsity": 0.95,
        "hidden": 64, "seed": 1, "final": 0.5, "steps": 200_000, "wall_s": 300.0,
        "flops_train_ratio": 1.0, "flops_test_ratio": 1.0, "size_ratio": 0.06,
        "commit": "0123456789",
    }  # fmt: skip
    densities = written["densities.csv"].to_dict("records")
    assert densities == [{"task": row["task"], "seed": 1, "agent": 1, "density": 0.125}]
    assert written["curves.csv"].value.tolist() == returns["values"]


def test_scores_are_shares_of_their_own_dense_runs(report, monkeypatch):
    monkeypatch.setattr(report, "RANDOM", {"b": -30.0})
    common = {"algorithm": "qmix", "hidden": 64}
    runs = pd.DataFrame(
        [
            {"task": "a", "method": "dense", "final": 0.8, **common},
            {"task": "a", "method": "dense", "final": 0.4, **common},
            {"task": "a", "method": "mast", "final": 0.9, **common},
            {"task": "a", "method": "mast", "final": 0.9, **common, "hidden": 256},
            {"task": "b", "method": "dense", "final": -10.0, **common},
            {"task": "b", "method": "mast", "final": -15.0, **common},
        ]
    )
    shares = report.of_dense(runs).of_dense
    assert shares[2] == pytest.approx(0.9 / 0.6)
    assert pd.isna(shares[3])  # no dense runs of that width
    assert shares[5] == pytest.approx(0.75)


def test_the_page_has_the_tables_of_the_summary(report):
    """``make study-report`` was run after the last change of ``summary.csv``."""
    runs = report.of_dense(pd.read_csv(STUDY / "summary.csv"))
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    for table in (report.main_table, report.parts, report.operators, report.others):
        assert table(runs, None) in page
