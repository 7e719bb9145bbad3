"""A real sweep that is killed and goes on, and the same on a local Ray cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from epymarl_mast.sweep.plan import read_sweep
from epymarl_mast.sweep.state import RunState

OPTIONS = {
    "t_max": 200, "test_nepisode": 2, "test_interval": 100, "log_interval": 100,
    "learner_log_interval": 50, "batch_size": 4, "buffer_size": 8, "mast.engine": "masked",
    "mast.sparsity": [0.9, 0.95],
}  # fmt: skip


def start(file, *options):
    settings = {**os.environ, "MAST_HOST_PLOTS": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
    settings.pop("EPYMARL_HOME", None)
    program = [sys.executable, "-m", "epymarl_mast", "sweep", file, "--workers", "2", *options]
    return subprocess.Popen(
        program, cwd=file.parent, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def wait_for_finished(runs, count):
    end = time.monotonic() + 120
    while sum(RunState(run).finished for run in runs) < count:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.long
def test_killed_it_goes_on_and_ray_gives_the_same(sweep_file, records):
    file = sweep_file(options=OPTIONS, configs=["mast_qmix"])
    runs = read_sweep(file).runs
    process = start(file)
    wait_for_finished(runs, 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    first = {run.id: RunState(run).seconds for run in runs}
    again = start(file)
    said = again.communicate(timeout=300)[0]
    assert again.returncode == 0, said
    assert "finished before" in said
    assert all(RunState(run).seconds == s for run in runs if (s := first[run.id]) is not None)
    found = {config["label"]: metrics for _, config, metrics in records(file.parent)}
    assert len(records(file.parent)) == len(runs) == 4  # what the kill left behind went on
    assert set(found) == {f"sweep-{run.id}" for run in runs}

    pytest.importorskip("ray")
    ray = start(sweep_file(options=OPTIONS, configs=["mast_qmix"], results="ray"), "--ray")
    said = ray.communicate(timeout=300)[0]
    assert ray.returncode == 0, said
    theirs = {
        config["label"]: metrics
        for folder, config, metrics in records(file.parent)
        if "ray" in folder.relative_to(file.parent).parts
    }
    assert theirs == found


@pytest.mark.long
def test_interrupted_it_says_how_to_go_on_and_sacred_notes_it(sweep_file, tmp_path):
    file = sweep_file(options={**OPTIONS, "t_max": 100_000})
    process = start(file)
    end = time.monotonic() + 120
    while len(list(tmp_path.glob("results/sacred/*/*/*/metrics.json"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert said.endswith("sweep.yaml goes on\n")
    statuses = [
        json.loads(path.read_text())["status"]
        for path in tmp_path.glob("results/sacred/*/*/*/run.json")
    ]
    assert statuses == ["INTERRUPTED"] * 2
    assert not any(RunState(run).finished for run in read_sweep(file).runs)
