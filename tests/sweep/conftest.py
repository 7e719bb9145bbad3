"""Files of sweeps, and runs that take no training."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

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


@dataclasses.dataclass(frozen=True)
class QuickRun(Run):
    """Runs another command of ours in place of training."""

    instead: tuple[str, ...] = ("--version",)

    @property
    def arguments(self):
        return list(self.instead)


@pytest.fixture
def quick_run(tmp_path):
    def make(*instead, seed=1):
        run = QuickRun("mast_qmix", "gymma", (), (("seed", seed),), None, str(tmp_path), None)
        return dataclasses.replace(run, instead=instead or ("--version",))

    return make
