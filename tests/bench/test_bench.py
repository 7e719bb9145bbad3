"""Every command gives sane figures on each host. How fast anything is, is not tested."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from epymarl_mast.bench.memory import measure as measure_memory
from epymarl_mast.bench.plan import DIMS, Plan
from epymarl_mast.bench.workplace import Workplace
from epymarl_mast.hosts import EPyMARL, PyMARLzooPlus

MACHINE = {"cpu", "cores", "gpu", "load", "python", "torch", "numpy", "numba", "host"}


def any_host():
    """A checkout where there is one, for it is the main host; else the package."""
    path = os.environ.get("EPYMARL_HOME") or Path.home() / "epymarl"
    checkout = EPyMARL(Path(path))
    return checkout if EPyMARL.is_checkout(checkout.root) else PyMARLzooPlus.installed()


def check_side(side, samples):
    assert len(side["samples_ms"]) == samples
    assert min(side["samples_ms"]) > 0
    low, high = side["quartiles_ms"]
    assert low <= side["median_ms"] <= high
    assert side["median_ms"] == pytest.approx(np.median(side["samples_ms"]))
    assert side["first_call_s"] > 0


def check_pair(record, samples):
    for side in ("stock", "ours"):
        check_side(record[side], samples)
    ratio = record["stock"]["median_ms"] / record["ours"]["median_ms"]
    assert record["ratio_median"] == pytest.approx(ratio)
    low, high = record["ratio_quartiles"]
    assert 0 < low <= high


def check_record(record, host, density):
    assert record["command"].startswith("mast bench ")
    assert record["machine"].keys() >= MACHINE
    assert record["machine"]["host"] == host.name
    assert record["machine"]["host_version"] == host.version
    assert record["settings"]["density"] == density


def test_learner(measure, host):
    record, printed = measure(
        "learner", "--dims=lbf", "--density=0.05", "--hidden=16", "--repeats=2", "--no-memory",
        "mast.topology_interval=50", "lr=0.001",
    )  # fmt: skip
    check_record(record, host, 0.05)
    check_pair(record, 2)
    for side in ("mast", "mast_topology_update"):
        check_side(record[side], 2)
    plain, shipped = record["mast_options"]["ours"], record["mast_options"]["mast"]
    assert plain["sparsity"] == shipped["sparsity"] == 0.95
    assert (plain["topology"], plain["operator"], plain["target"]) == ("static", "max", "one_step")
    assert plain["online_batch_size"] == 0
    assert (shipped["topology"], shipped["operator"]) == ("rigl", "soft_mellowmax")
    assert shipped["online_batch_size"] == 8
    assert record["topology_interval"] == 50
    usual, due = record["mast"]["median_ms"], record["mast_topology_update"]["median_ms"]
    cost = usual * 49 / 50 + due / 50
    expected = cost / record["ours"]["median_ms"] - 1
    assert record["overhead_of_mast"] == pytest.approx(expected)
    assert record["settings"]["sizes"]["steps"] == 50
    assert record["engines"].keys() == {"ours", "mast", "mast_topology_update"}
    for part in ("overhead of MAST", "stock / this", record["machine"]["cpu"]):
        assert part in printed


def test_learner_without_evolution(measure):
    record, _ = measure(
        "learner", "--density=1.0", "--hidden=16", "--repeats=1", "--no-memory",
        "mast.topology=dense",
    )  # fmt: skip
    assert record["mast_options"]["ours"]["sparsity"] == 0.0
    assert record["topology_interval"] is None
    assert "mast_topology_update" not in record


def test_memory_of_an_update(where, own_environment):
    peaks = [measure_memory(Plan(where, hidden=16), side) for side in ("stock", "mast")]
    assert all(peak is None or 0.1 < peak < 1000 for peak in peaks), peaks


def test_acting(measure, host, caplog):
    record, printed = measure("acting", "--dims=lbf", "--hidden=16", "--repeats=2")
    check_record(record, host, 0.1)
    check_pair(record, 2)
    check_pair(record["runner_step"], 2)
    assert record["parts"].keys() == {"stock", "ours"}
    assert "runner's step" in printed
    assert "checkpoints" not in printed + caplog.text  # of which there are none to warn of


@pytest.mark.long
def test_end_to_end(measure_on):
    """On one host, the other being tried part by part below: imports alone take seconds."""
    host = any_host()
    record, printed = measure_on(
        host, "end-to-end", "--steps=100", "--rounds=1", "--hidden=16",
        "batch_size=4", "test_nepisode=1", "mast.topology_interval=5",
    )  # fmt: skip
    check_record(record, host, 0.1)
    check_pair(record, 1)
    for side in ("stock", "ours", "dense"):
        assert min(record[side]["imports_s"] + record[side]["warm_up_s"]) > 0
    by_sparsity = record["dense"]["median_ms"] / record["ours"]["median_ms"]
    assert record["sparsity_ratio_median"] == pytest.approx(by_sparsity)
    assert record["dense_engine"] in ("masked", "sparse")
    for part in ("round 1 of 1, ours", "by sparsity alone", "imports", "warm-up", "stock / this"):
        assert part in printed


def test_what_end_to_end_times_is_there(host):
    assert callable(Workplace(host, DIMS["lbf"]).host_module("run").run_sequential)
