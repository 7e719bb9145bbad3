"""What a sweep does with a run that was interrupted; the commands that are run are quick ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from epymarl_mast.sweep import one_run
from epymarl_mast.sweep.one_run import execute
from epymarl_mast.sweep.state import RunState, halves

# Says what it was told, and refuses to go on with records that hold a file "refuse".
TRAIN = """
import pathlib, os, sys
print("ran", *sys.argv[1:], os.environ.get("MAST_SWEEP_MONGO", ""))
if "--resume" in sys.argv:
    record = pathlib.Path(sys.argv[sys.argv.index("--resume") + 1])
    if (record / "refuse").exists():
        print("mast: error: refused")
        sys.exit(2)
"""

HOLD = """
import pathlib, sys
from epymarl_mast.resume.lock import hold
hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(quick_run, monkeypatch):
    monkeypatch.setattr(one_run, "PROGRAM", (sys.executable, "-c", TRAIN))
    return quick_run()


@pytest.fixture
def half(tmp_path):
    """A record of a run that has not completed; checkpoints by their steps, seconds ago."""
    count = 0

    def make(run, *steps, ago=0, status="RUNNING", mast=True):
        nonlocal count
        count += 1
        folder = tmp_path / "sacred/mast_qmix/task" / str(count)
        (folder / "checkpoints").mkdir(parents=True)
        config = {"label": run.label, **({"mast": {}} if mast else {})}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "run.json").write_text(json.dumps({"status": status}))
        for step in steps:
            (folder / f"checkpoints/checkpoint_{step:012d}.json").write_text("{}")
        for file in folder.rglob("*.json"):
            os.utime(file, times=(0, file.stat().st_mtime - ago))
        return folder

    return make


def log(run):
    return RunState(run).log.read_text().splitlines()


@pytest.mark.parametrize("steps", [(), (100, 200)])
def test_it_goes_on_in_its_record(run, half, steps):
    """Without a checkpoint too: the record is that of the run which begins again."""
    folder = half(run, *steps, status="FAILED")
    RunState(run).folder.mkdir(parents=True)
    RunState(run).log.write_text("what it said before\n")
    assert execute(run) == 0
    assert log(run) == ["what it said before", f"ran train --resume {folder} "]
    assert RunState(run).finished
    assert RunState(run).in_one_go == (not steps)


def test_the_newest_with_a_checkpoint_is_tried_first(run, quick_run, half):
    made = [half(run, 900, ago=50), half(run, ago=1), half(run, 100, ago=20), half(run, ago=5)]
    half(quick_run(seed=2), 1000)
    half(run, status="COMPLETED")
    found = halves([run])[run]
    assert [h.folder for h in found] == [made[2], made[0], made[1], made[3]]
    assert [h.step for h in found] == [100, 900, -1, -1]


def test_refused_it_begins_anew_and_says_so(run, half):
    folder = half(run, 100)
    (folder / "refuse").touch()
    assert execute(run) == 0
    told, refused, anew, begun = log(run)
    assert told == f"ran train --resume {folder} "
    assert refused == "mast: error: refused"
    assert anew == f"mast: {folder} cannot be gone on with (see above): the run begins anew"
    assert begun.startswith("ran train --config=mast_qmix --env-config=gymma with seed=1")
    assert RunState(run).in_one_go


def test_a_run_that_somebody_else_trains_is_not_begun_twice(run, half):
    folder = half(run, 100)
    (folder / "refuse").touch()
    program = [sys.executable, "-c", HOLD, folder / "checkpoints"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(program, **pipes) as other:
        assert other.stdout.readline() == b"held\n"
        assert execute(run) == 2
        other.stdin.close()
    assert [line.split()[0] for line in log(run)] == ["ran", "mast:"]
    assert not RunState(run).finished
    assert execute(run) == 0


def test_an_algorithm_of_the_host_begins_anew(run, half):
    half(run, mast=False)
    assert execute(run) == 0
    assert [line.split()[2] for line in log(run)] == ["--config=mast_qmix"]


def test_the_database_is_handed_on_unseen(run, quick_run, half):
    run = quick_run(mongo="mongodb://me:secret@server/marl")
    folder = half(run, 100)
    assert execute(run) == 0
    assert log(run) == [
        f"ran train --resume {folder} -m env:MAST_SWEEP_MONGO mongodb://me:secret@server/marl"
    ]
