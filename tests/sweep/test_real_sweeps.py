"""A real sweep that is killed and goes on, and the same on a local Ray cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import uuid

import pymongo
import pytest

from epymarl_mast.resume.places import newest_checkpoint, step_of
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
    runs = [path.parent for path in tmp_path.glob("results/sacred/*/*/*/run.json")]
    assert all(newest_checkpoint(run) for run in runs)


def descendants(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    own = [int(word) for word in found.stdout.split()]
    return [*own, *(below for child in own for below in descendants(child))]


def kill_after_a_checkpoint(process, results, step):
    """End a sweep and its runs at once, after a checkpoint later than a step; that one's step."""
    end = time.monotonic() + 120
    while True:
        assert time.monotonic() < end
        assert process.poll() is None, process.stdout.read()
        newest = [step_of(p) for p in results.glob("sacred/*/*/*/checkpoints/checkpoint_*.json")]
        if newest and max(newest) > step:
            break
        time.sleep(0.02)
    for pid in (process.pid, *descendants(process.pid)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    return max(newest)


@pytest.mark.long
def test_a_run_that_is_killed_goes_on_in_its_record_by_every_way_to_call(
    sweep_file, records, mongo, tmp_path
):
    """Killed under mast sweep, then under --only as on SLURM, it comes to its end under Ray."""
    options = {**OPTIONS, "mast.sparsity": 0.9, "t_max": 2500, "mast.checkpoint_interval": 50}
    databases = [f"mast_{uuid.uuid4().hex}" for _ in range(2)]
    whole, file = (
        sweep_file(
            options=options, configs=["mast_qmix"], seeds=1, results=results,
            mongo=f"{mongo}:{database}",
        ).rename(tmp_path / f"{results}.yaml")
        for results, database in zip(("whole", "broken"), databases, strict=True)
    )  # fmt: skip
    alone = start(whole)
    said = alone.communicate(timeout=300)[0]
    assert alone.returncode == 0, said
    [run] = read_sweep(file).runs
    last = 0
    for how in ((), ("--only", run.id)):
        last = kill_after_a_checkpoint(start(file, *how), tmp_path / "broken", last)

    again = start(file, *(["--ray"] if importlib.util.find_spec("ray") else []))
    said = again.communicate(timeout=300)[0]

    assert again.returncode == 0, said
    log = RunState(run).log.read_text()
    assert log.count("mast: going on from step") == 2
    assert f"mast: going on from step {last:,}" in log
    assert log.count("mast: going on with run 1 of 127.0.0.1") == 2
    [(_, _, metrics)] = records(tmp_path / "broken")
    [(_, _, expected)] = records(tmp_path / "whole")
    assert metrics == expected
    with pymongo.MongoClient(f"mongodb://{mongo}") as client:
        for database in databases:
            stored = {m["name"]: m["values"] for m in client[database].metrics.find({})}
            assert stored == expected
            [entry] = client[database].runs.find({})
            assert entry["status"] == "COMPLETED"
            if "MAST_TEST_MONGO_URL" in os.environ:
                client.drop_database(database)
