"""benchmarks/soak.py itself, for a few thousand steps."""

from __future__ import annotations

import json
import sys

import pytest


@pytest.mark.long
def test_a_short_soak(host, run_program, repository, tmp_path):
    where = str(host.root) if host.name == "epymarl" else host.name
    run_program(
        [sys.executable, repository / "benchmarks" / "soak.py"],
        ["--host", where, "--steps", "4000", "--every", "100", "--buffer", "30",
         "--out", "soak.json", "mast.topology_interval=5", "mast.engine=masked"],
        tmp_path,
    )  # fmt: skip
    seen = json.loads((tmp_path / "soak.json").read_text())
    assert seen["violations"] == []
    assert seen["checks_of_invariants"] > 25
    assert seen["topology_updates"] > 5
    for name in ("resident", "resident_less_free_heap", "in_use", "python_blocks"):
        middle, low, high = seen["per_1000_steps"][name]
        assert low <= middle <= high
