"""Sacred directories made by hand."""

from __future__ import annotations

import itertools
import json

import pytest

from epymarl_mast.command import merge
from epymarl_mast.overrides import overrides_dir, read_yaml, shipped_overrides

EVALUATIONS = 25


def configuration(*overrides, algorithm="mast_qmix", task="3m", **options):
    """A run's configuration: the shipped algorithm, overrides by short name, options."""
    config = read_yaml(overrides_dir() / "algs" / f"{algorithm}.yaml", "")
    config.update(
        seed=1, t_max=24_000, test_interval=1000, env_args={"map_name": task}, evaluate=False
    )
    for name in overrides:
        merge(config, read_yaml(shipped_overrides()[name], name))
    merge(config["mast"], options.pop("mast", {}))
    return {**config, **options}


@pytest.fixture(scope="session")
def configure():
    return configuration


@pytest.fixture(scope="session")
def record_in():
    return recorder


@pytest.fixture
def record(tmp_path):
    """Write a run whose last 20 evaluations have the mean ``score``; returns its folder."""
    return recorder(tmp_path)


def recorder(root):
    """The same below a folder."""
    numbers = itertools.count(1)

    def write(config, score, *, metric="test_battle_won_mean", status="COMPLETED", costs=None,
              metrics=None, minutes=10, host=None):  # fmt: skip
        folder = root / "sacred" / config["name"] / "task" / str(next(numbers))
        folder.mkdir(parents=True)
        steps = [1000 * i for i in range(EVALUATIONS)]
        values = [0.0] * 5 + [score - 0.05, score + 0.05] * 10
        logged = {metric: values, **{k: [v] * EVALUATIONS for k, v in (costs or {}).items()}}
        recorded = {name: {"steps": steps, "values": v} for name, v in logged.items()}
        run = {
            "status": status,
            "start_time": "2026-01-01T10:00:00.000000",
            "stop_time": f"2026-01-01T10:{minutes:02}:00.000000",
            "host": {"epymarl_mast": host} if host else {},
        }
        for name, content in (
            ("config", config),
            ("metrics", recorded if metrics is None else metrics),
            ("run", run),
        ):
            (folder / f"{name}.json").write_text(json.dumps(content))
        return folder

    return write
