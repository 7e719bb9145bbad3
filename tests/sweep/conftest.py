"""Files of sweeps, and runs that take no training."""

from __future__ import annotations

import sys

import pytest
import yaml

from epymarl_mast.sweep import one_run
from epymarl_mast.sweep.plan import Run

LBF = {
    "env-config": "gymma",
    "env_args.key": "lbforaging:Foraging-8x8-2p-3f-v3",
    "env_args.time_limit": 25,
}


@pytest.fixture
def environment():
    return LBF


@pytest.fixture
def sweep_file(tmp_path):
    """Write a sweep's file; the usual one has 2 algorithms, 2 sparsities and 2 seeds."""

    def write(**changes):
        content = {
            "host": "pymarlzooplus",
            "configs": ["mast_qmix", "mast_vdn"],
            "environments": [LBF],
            "options": {"t_max": 300, "mast.sparsity": [0.9, 0.95]},
            "seeds": 2,
            **changes,
        }
        content = {key: value for key, value in content.items() if value is not None}
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


PROGRAM = "import sys; print('ran', *sys.argv[1:]); sys.exit('seed=13' in sys.argv)"


@pytest.fixture
def quick_run(tmp_path, monkeypatch):
    """A run that takes no time in place of training; the one with seed 13 fails."""
    monkeypatch.setattr(one_run, "PROGRAM", (sys.executable, "-c", PROGRAM))
    return lambda seed=1, mongo=None: Run(
        "mast_qmix", "gymma", (), (("seed", seed),), None, str(tmp_path), mongo
    )
