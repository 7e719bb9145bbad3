"""Runs that are killed or told to end, gone on with, and compared with runs left alone."""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid

import pymongo
import pytest
from signalled import CHECKPOINTS, MAST, SIGNALLED, record_of, resuming

from epymarl_mast.hosts import EPyMARL
from epymarl_mast.hosts.attach import attach, detach


@pytest.mark.long_on("epymarl")
def test_killed_and_told_to_end_a_run_goes_on_as_if_nothing_was(
    host, command, mast, signalled, tmp_path, kill_test
):
    mast(tmp_path / "whole", *command)
    broken = tmp_path / "broken"
    signalled(broken, command, at_file=5, signal="9", code=-9)
    assert list(record_of(broken).glob("checkpoints/*.tmp"))
    told = signalled(broken, resuming(host, broken), at_file=4, signal="15", code=143)
    assert "mast: interrupted; the results so far are in" in told.err
    assert "by: mast train --resume" in told.err
    assert "Traceback" not in told.err
    assert json.loads((record_of(broken) / "run.json").read_text())["status"] == "INTERRUPTED"

    done = mast(broken, *resuming(host, broken))

    assert "mast: going on from step" in done.err
    assert kill_test.differences(tmp_path / "whole/results", broken / "results") == []
    entry = json.loads((record_of(broken) / "run.json").read_text())
    assert len(entry["resumed"]) == 2
    assert entry["artifacts"]
    assert not (record_of(broken) / "checkpoints").exists()
    finished = mast(broken, "train", "--resume", record_of(broken), code=2)
    assert "has completed: there is nothing to go on with" in finished.err


@pytest.mark.long
def test_a_run_goes_on_in_its_entry_of_a_mongodb(
    host, command, mast, signalled, tmp_path, records, mongo
):
    """By itself: the address is in the record."""
    database = f"mast_{uuid.uuid4().hex}"
    with_mongo = (*command[:5], "-m", f"{mongo}:{database}", *command[5:])
    broken = tmp_path / "broken"
    signalled(broken, with_mongo, at_file=5, signal="9", code=-9)

    mast(broken, *resuming(host, broken))

    [(folder, _, metrics)] = records(broken)
    with pymongo.MongoClient(f"mongodb://{mongo}") as client:
        [run] = client[database].runs.find({})
        stored = {doc["name"]: doc["values"] for doc in client[database].metrics.find({})}
        client.drop_database(database) if "MAST_TEST_MONGO_URL" in os.environ else None
    assert run["status"] == "COMPLETED"
    assert str(run["_id"]) == folder.name
    assert stored == metrics
    assert {a["name"] for a in run["artifacts"]} >= {f.name for f in folder.glob("masks_*.npz")}


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        ("runner=mast_parallel", "batch_size_run=3"),
        ("mast.sparsity=auto", "mast.auto_interval=1", "mast.auto_min=0.3"),
        ("rlx2", "mast.dynamic_buffer_minimum=4", "mast.dynamic_buffer_interval=2"),
        ("mast.engine=auto", "per_agent"),
        ("dense", "standardise_returns=True"),
    ],
    ids=lambda options: options[0],
)
def test_every_kind_of_run_goes_on(host, command, options, mast, signalled, tmp_path, kill_test):
    if "rlx2" in options:
        command = tuple(o for o in command if not o.startswith("mast.online"))
    elif "dense" in options:
        command = tuple(o for o in command if not o.startswith("mast.topology"))
    mast(tmp_path / "whole", *command, *options)
    broken = tmp_path / "broken"
    signalled(broken, (*command, *options), at_file=7, signal="9", code=-9)

    mast(broken, *resuming(host, broken))

    found = kill_test.differences(tmp_path / "whole/results", broken / "results")
    allowed = {"masks: other files"} if "dense" in options else set()  # there are none
    assert set(found) <= allowed


@pytest.mark.long
@pytest.mark.parametrize("algorithm", ["mast_facmac", "mast_ow_qmix", "mast_cw_qmix", "mast_res"])
def test_every_algorithm_goes_on(host, command, algorithm, mast, signalled, tmp_path, kill_test):
    command = tuple(o.replace("mast_qmix", algorithm) for o in command)
    mast(tmp_path / "whole", *command)
    broken = tmp_path / "broken"
    signalled(broken, command, at_file=7, signal="9", code=-9)

    mast(broken, *resuming(host, broken))

    assert kill_test.differences(tmp_path / "whole/results", broken / "results") == []


@pytest.mark.long
def test_a_run_goes_on_without_what_it_started_from(
    host, command, mast, signalled, tmp_path, kill_test
):
    """From another folder, with the masks gone that a relative path named."""
    mast(tmp_path / "source", *command, "save_model=True")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        shutil.copytree(record_of(tmp_path / "source"), folder / "source")
    command = (*command, "mast.topology=static", "mast.mask_from=source")
    mast(whole, *command)
    signalled(broken, command, at_file=7, signal="9", code=-9)
    shutil.rmtree(broken / "source")

    mast(tmp_path, *resuming(host, broken))

    assert kill_test.differences(whole / "results", broken / "results") == []


@pytest.mark.long
def test_a_damaged_checkpoint_is_said_and_the_one_before_is_used(
    host, command, mast, signalled, tmp_path, kill_test
):
    mast(tmp_path / "whole", *command)
    broken = tmp_path / "broken"
    signalled(broken, command, at_file=12, signal="9", code=-9)
    newest = sorted(record_of(broken).glob("checkpoints/checkpoint_*.json"))[-1]
    state = newest.with_name(newest.name.replace("checkpoint_", "state_")).with_suffix(".pt")
    state.write_bytes(state.read_bytes()[:-10])
    (record_of(broken) / "run.json").write_text("{torn")

    done = mast(broken, *resuming(host, broken))

    assert f"mast: warning: {state.name} has" in done.err
    assert kill_test.differences(tmp_path / "whole/results", broken / "results") == []


@pytest.mark.long
def test_a_last_checkpoint_that_finds_no_room_is_said(
    host, command, mast, run_program, tmp_path, kill_test
):
    mast(tmp_path / "whole", *command)
    broken = tmp_path / "broken"
    broken.mkdir()
    full = "    if calls >= int(os.environ['AT_FILE']): raise OSError(28, 'No space left')\n"
    program = MAST.replace("    return store(", f"{full}    return store(")

    settings = {"AT_FILE": "9", "SIGNAL": "15"}
    told = run_program([sys.executable, "-c", program], command, broken, 143, **settings)

    record = json.loads((record_of(broken) / "run.json").read_text())
    assert "mast: warning: there is no checkpoint of step" in told.err
    assert f"mast: go on with it, from step {record['last_checkpoint']}, by:" in told.err
    mast(broken, *resuming(host, broken))
    assert kill_test.differences(tmp_path / "whole/results", broken / "results") == []


@pytest.mark.long
def test_other_arithmetic_is_said(host, command, signalled, run_program, tmp_path):
    signalled(tmp_path, (*command, "mast.engine=auto"), at_file=7, signal="9", code=-9)

    program = [sys.executable, "-m", "epymarl_mast"]
    done = run_program(program, resuming(host, tmp_path), tmp_path, 0, NUMBA_DISABLE_JIT="1")

    [said] = [line for line in done.err.splitlines() if "but not bit for bit" in line]
    assert said.startswith("mast: warning: the run goes on, but not bit for bit: its checkpoint is")
    assert "engine sparse (here masked)" in said


@pytest.mark.long
def test_a_checkpoint_of_another_run_is_refused_by_its_first_difference(
    host, command, mast, signalled, tmp_path
):
    for name, options in (("one", ()), ("two", ("lr=0.001",))):
        signalled(tmp_path / name, (*command, *options), at_file=7, signal="9", code=-9)
    one, two = (record_of(tmp_path / name) / "checkpoints" for name in ("one", "two"))
    for file in (*two.iterdir(),):
        file.unlink()
    for file in one.iterdir():
        (two / file.name).write_bytes(file.read_bytes())

    files = {file: file.read_bytes() for file in record_of(tmp_path / "two").glob("*.*")}

    done = mast(tmp_path / "two", *resuming(host, tmp_path / "two"), code=2)

    assert {file: file.read_bytes() for file in files} == files
    assert "the checkpoint is of a run with lr=0.0005, this one has lr=0.001" in done.err


@pytest.mark.long
def test_an_attached_checkout_goes_on_by_an_option(
    checkout, small_run, run_program, tmp_path, kill_test
):
    clone = tmp_path / "epymarl"
    run_program(["git"], ["clone", "-q", checkout.root, clone], tmp_path)
    attach(EPyMARL(clone))
    arguments = [clone / "src/main.py", "--config=mast_qmix", "--env-config=gymma", "with",
                 *small_run, *CHECKPOINTS]  # fmt: skip
    start = [sys.executable, "-c", f"{SIGNALLED}\nimport runpy\nsys.argv.pop(0)\n"
             "sys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
             "runpy.run_path(sys.argv[0], run_name='__main__')\n"]  # fmt: skip
    run_program([sys.executable], arguments, clone)
    told = run_program(start, arguments, clone, 143, AT_FILE="7", SIGNAL="15")
    assert "Traceback" not in told.err
    run = clone / "results/sacred/mast_qmix/lbforaging:Foraging-8x8-2p-3f-v3/2"
    assert json.loads((run / "run.json").read_text())["status"] == "INTERRUPTED"

    run_program([sys.executable], [*arguments[:4], f"mast.resume={run}"], clone)

    whole = run.with_name("1")
    for name in ("info.json",):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert json.loads((run / "run.json").read_text())["status"] == "COMPLETED"
    assert not run.with_name("3").exists()
    detach(EPyMARL(clone))
