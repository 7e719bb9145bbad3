"""Runs with ``-m`` that are killed: their entry in the database goes on too.

They talk to the server that the fixture ``mongo`` names (``tests/conftest.py``).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import uuid
from dataclasses import asdict
from types import SimpleNamespace

import gridfs
import pymongo
import pytest
from sacred.observers import MongoObserver
from signalled import CHECKPOINTS, SIGNALLED, record_of, resuming

from epymarl_mast.hosts import EPyMARL
from epymarl_mast.hosts.attach import attach, detach
from epymarl_mast.resume.command import Unfinished, database_option
from epymarl_mast.resume.database import Past, continued_in_database
from epymarl_mast.resume.entry import Entry, note_entry, noted_entry, recorded_address


@pytest.fixture
def databases(mongo):
    """Names of databases that are not there before and after, and a client."""
    names = [f"mast_{uuid.uuid4().hex}" for _ in range(2)]
    with pymongo.MongoClient(f"mongodb://{mongo}") as client:
        at = [("-m", f"{mongo}:{name}") for name in names]
        yield SimpleNamespace(server=mongo, client=client, names=names, at=at)
        if "MAST_TEST_MONGO_URL" in os.environ:
            for name in names:
                client.drop_database(name)


def stored(database):
    """``(entry, {metric: (steps, values)})`` of each run in a database."""
    metrics = list(database.metrics.find({}))
    return [
        (run, {m["name"]: (m["steps"], m["values"]) for m in metrics if m["run_id"] == run["_id"]})
        for run in database.runs.find({}).sort("_id", 1)
    ]


def without_numbers(info):
    return {key: value for key, value in info.items() if key != "metrics"}


def is_whole(database, run, reference):
    """Whether all of an entry is there, and all of it once; ``reference``: of a run left alone."""
    whole, metrics = reference
    [own] = [values for entry, values in stored(database) if entry["_id"] == run["_id"]]
    assert own == metrics
    assert metrics
    assert run["status"] == "COMPLETED"
    assert without_numbers(run["info"]) == without_numbers(whole["info"])
    numbers = {m["name"]: str(m["_id"]) for m in database.metrics.find({"run_id": run["_id"]})}
    assert {m["name"]: m["id"] for m in run["info"]["metrics"]} == numbers
    assert len(run["info"]["metrics"]) == len(numbers)
    names = [artifact["name"] for artifact in run["artifacts"]]
    assert names == [artifact["name"] for artifact in whole["artifacts"]]
    files = gridfs.GridFS(database).find(
        {"filename": {"$regex": f"^artifact://runs/{run['_id']}/"}}
    )
    assert sorted(file._id for file in files) == sorted(a["file_id"] for a in run["artifacts"])
    assert names
    return True


@pytest.fixture
def with_database(command, databases):
    """The command of ``command`` with ``-m`` of the first or second database."""

    def add(which):
        place = command.index("with")
        return (*command[:place], *databases.at[which], *command[place:])

    return add


@pytest.mark.long
def test_killed_and_told_to_end_a_run_goes_on_in_its_entry(
    host, with_database, databases, mast, signalled, tmp_path, kill_test
):
    mast(tmp_path / "whole", *with_database(0))
    [reference] = stored(databases.client[databases.names[0]])
    broken, database = tmp_path / "broken", databases.client[databases.names[1]]
    signalled(broken, with_database(1), at_file=7, signal="9", code=-9)
    [(half, _)] = stored(database)
    assert half["status"] == "RUNNING"
    again = (*resuming(host, broken), *databases.at[1])
    told = signalled(broken, again, at_file=4, signal="15", code=143)
    assert "mast: going on with run 1 of 127.0.0.1" in told.err, told.err
    [(half, _)] = stored(database)
    assert half["status"] == "INTERRUPTED"
    assert half["stop_time"]

    mast(broken, *again)

    [(run, _)] = stored(database)
    assert is_whole(database, run, reference)
    assert len(run["resumed"]) == 2
    assert run["start_time"] == half["start_time"]
    assert run["heartbeat"] > run["resumed"][-1]
    early = (record_of(broken) / "cout.txt").read_text()[:2000]
    assert run["captured_out"].startswith(early)
    assert kill_test.differences(tmp_path / "whole/results", broken / "results") == ["info metrics"]


@pytest.mark.long
def test_in_an_attached_checkout_too(checkout, small_run, run_program, databases, tmp_path):
    clone = tmp_path / "epymarl"
    run_program(["git"], ["clone", "-q", checkout.root, clone], tmp_path)
    attach(EPyMARL(clone))
    main = [clone / "src/main.py", "--config=mast_qmix", "--env-config=gymma"]
    options = ["with", *small_run, *CHECKPOINTS]
    start = [sys.executable, "-c", f"{SIGNALLED}\nimport runpy\nsys.argv.pop(0)\n"
             "sys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
             "runpy.run_path(sys.argv[0], run_name='__main__')\n"]  # fmt: skip
    run_program([sys.executable], [*main, *databases.at[0], *options], clone)
    broken = [*main, *databases.at[0], *options]
    run_program(start, broken, clone, 143, AT_FILE="7", SIGNAL="15")
    run = clone / "results/sacred/mast_qmix/lbforaging:Foraging-8x8-2p-3f-v3/2"
    again = [*main, *databases.at[0], "with", f"mast.resume={run}"]

    done = run_program([sys.executable], again, clone)

    assert "mast: going on with run 2 of 127.0.0.1" in done.err
    database = databases.client[databases.names[0]]
    reference, (entry, _) = stored(database)
    assert is_whole(database, entry, reference)
    assert len(entry["resumed"]) == 1
    detach(EPyMARL(clone))


EARLY, LATE = dt.datetime(2026, 1, 1, 8, 0, 0, 123456), dt.datetime(2026, 1, 1, 9)


class Half:
    """A run that was killed after its checkpoint, in a database and in files."""

    def __init__(self, folder, databases, which=0):
        self.folder, self.databases = folder, databases
        folder.mkdir()
        (folder / "cout.txt").write_text("until the checkpoint, and after it")
        (folder / "masks_1.npz").write_bytes(b"one")
        (folder / "masks_2.npz").write_bytes(b"two")
        files = {"loss": {"steps": [1, 2, 3], "values": [4.0, 5.0, 6.0]}}
        files["loss"]["timestamps"] = [EARLY.isoformat()] * 3
        (folder / "metrics.json").write_text(json.dumps(files))
        self.observer = self.start(which)
        self.observer.log_metrics({"loss": self.values([1, 2, 3], [4.0, 5.0, 6.0])}, {})
        self.observer.log_metrics({"return": self.values([3], [1.0])}, {})
        for name in ("masks_1.npz", "masks_2.npz"):
            self.observer.artifact_event(name, folder / name)
        self.observer.failed_event(LATE, ["a stack"])
        self.entry = Entry.of(self.observer)
        kept = {
            "info": {"loss": [4.0, 5.0], "loss_T": [1, 2], "metrics": [{"name": "x", "id": "y"}]},
            "artifacts": ["masks_1.npz"], "log": len("until the checkpoint"),
        }  # fmt: skip
        self.past = Past.of(folder, kept, LATE, 60.0)

    @staticmethod
    def values(steps, values):
        return {"steps": steps, "values": values, "timestamps": [EARLY] * len(steps)}

    def start(self, which):
        """An observer of one of the databases, whose run has started."""
        observer = MongoObserver(
            f"mongodb://{self.databases.server}", db_name=self.databases.names[which],
            serverSelectionTimeoutMS=500,
        )  # fmt: skip
        observer.started_event(
            ex_info={"sources": [], "base_dir": ""}, command="main", meta_info={},
            host_info={"hostname": "here"},            start_time=EARLY, config={}, _id=None,
        )  # fmt: skip
        return observer

    def check(self, which):
        """That all until the checkpoint is there, once, and nothing later."""
        database = self.databases.client[self.databases.names[which]]
        *_, (run, metrics) = stored(database)
        assert metrics == {"loss": ([1, 2], [4.0, 5.0])}
        [loss] = database.metrics.find({"run_id": run["_id"]})
        assert [time.hour for time in loss["timestamps"]] == [8, 8]
        assert [a["name"] for a in run["artifacts"]] == ["masks_1.npz"]
        grid = gridfs.GridFS(database)
        assert grid.get(run["artifacts"][0]["file_id"]).read() == b"one"
        name = f"artifact://runs/{run['_id']}/"
        assert len(list(grid.find({"filename": {"$regex": name}}))) == 1
        assert run["status"] == "RUNNING"
        assert run["away_seconds"] == 60.0
        assert run["captured_out"] == "until the checkpoint"
        assert run["info"] == {"loss": [4.0, 5.0], "loss_T": [1, 2]}
        assert not run.keys() & {"stop_time", "fail_trace"}
        return run


@pytest.fixture
def half(databases, tmp_path):
    return Half(tmp_path / "1", databases)


def test_an_entry_is_cut_back_to_the_checkpoint(half, capsys):
    half.observer.fs.put(b"unlisted", filename="artifact://runs/1/masks_3.npz")
    for times in (1, 2):  # killed again before anything new
        with continued_in_database(half.entry, half.past):
            observer = half.start(0)
            run = half.check(0)
            assert len(run["resumed"]) == times
            assert f"mast: going on with {half.entry}" in capsys.readouterr().err
            # What this process has not put back yet is shown all the same.
            observer.heartbeat_event(  # as Sacred calls it
                info={}, captured_out=" more", beat_time=LATE, result=None
            )  # fmt: skip
        run = half.databases.client[half.databases.names[0]].runs.find_one({})
        assert run["captured_out"] == "until the checkpoint more"
        assert run["info"]["loss"] == [4.0, 5.0]
    assert observer.run_entry["_id"] == 1


def test_without_a_checkpoint_it_begins_again(half):
    with continued_in_database(half.entry, Past.of(half.folder, None, LATE, 60.0)):
        half.start(0)
    [(run, metrics)] = stored(half.databases.client[half.databases.names[0]])
    assert (metrics, run["artifacts"], run["info"], run["captured_out"]) == ({}, [], {}, "")


def test_another_database_gets_an_entry_with_all_of_it(half, capsys):
    with continued_in_database(half.entry, half.past):
        half.start(1)
    half.check(1)
    [line] = capsys.readouterr().err.splitlines()
    assert f"was {half.entry}, which is another database; it is now run 1 of" in line


@pytest.mark.parametrize("replaced", [False, True])
def test_an_entry_that_is_gone_is_made_anew(half, replaced, capsys):
    database = half.databases.client[half.databases.names[0]]
    if replaced:  # by another run of the same number
        database.runs.update_one({"_id": 1}, {"$set": {"start_time": LATE}})
    else:
        database.runs.delete_one({"_id": 1})
    with continued_in_database(half.entry, half.past):
        half.start(0)
    half.check(0)
    [line] = capsys.readouterr().err.splitlines()
    assert f"{half.entry}, is gone; it is now run {1 + replaced} of" in line
    assert database.runs.count_documents({}) == 1 + replaced


def test_a_server_that_is_lost_meanwhile_costs_the_entry_not_the_run(
    half, monkeypatch, capsys, unused_port
):
    half.databases.server = f"127.0.0.1:{unused_port()}"
    with continued_in_database(half.entry, half.past):
        observer = half.start(0)
        observer.log_metrics({"loss": half.values([3], [1.0])}, {})
        observer.completed_event(LATE, None)
    said = capsys.readouterr().err
    assert said.count("mast: warning: MongoDB is lost (") == 1
    assert "the next --resume with -m" in said


def test_the_note_names_an_entry_and_no_user(half, tmp_path):
    run = SimpleNamespace(observers=[object(), half.observer])
    note_entry(tmp_path, SimpleNamespace(_run_obj=run))
    assert noted_entry(tmp_path) == half.entry
    assert half.entry.address == f"{half.databases.server}:{half.databases.names[0]}"


@pytest.mark.parametrize("change", [{}, {"run": {"$gt": 0}}, {"servers": None}, {"more": "x"}])
def test_a_note_that_is_none_is_not_read(change, tmp_path):
    entry = asdict(Entry("db:27017", "marl", "runs", 3, EARLY.isoformat()))
    note = {**entry, **change} if change else {"run": 1}
    (tmp_path / "database.json").write_text(json.dumps(note))
    assert noted_entry(tmp_path) is None


def test_resumed_without_it_says_how_it_is_continued(tmp_path, mast_options):
    config = {"learner": "mast_q_learner", "mast": mast_options()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "checkpoints").mkdir()
    entry = Entry("db.lab.org:27017", "marl", "runs", 3, EARLY.isoformat())
    (tmp_path / "checkpoints/database.json").write_text(json.dumps(asdict(entry)))
    run = Unfinished.find(str(tmp_path))
    assert run.say([])[0] == (
        "warning: its entry in MongoDB, run 3 of db.lab.org:27017:marl, is not continued: "
        f"--resume {tmp_path} -m db.lab.org:27017:marl does that"
    )
    assert not any("MongoDB" in line for line in run.say(["-m", "marl"]))
    assert run.arguments(["-m", "marl"])[-2:] == ["-m", "marl"]


def test_an_entry_that_was_not_noted_is_known_by_its_start(half, capsys):
    record = {"start_time": EARLY.isoformat(), "host": {"hostname": "here"}}
    (half.folder / "run.json").write_text(json.dumps(record))
    with continued_in_database(None, half.past):
        half.start(0)
    half.check(0)
    assert f"mast: going on with {half.entry}" in capsys.readouterr().err
    (half.folder / "run.json").write_text(json.dumps({**record, "host": {}}))
    with continued_in_database(None, half.past):
        half.start(0)
    assert "no entry of the run in MongoDB is known; it is now run 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("localhost:27017:marl", True), ("env:MAST_THERE", True), ("env:MAST_NOT_THERE", False),
        ("mongodb://me:***@server/marl", False), (3, False), (None, False),
    ],
)  # fmt: skip
def test_an_address_of_the_record_is_taken_if_it_can_be(address, usable, monkeypatch):
    monkeypatch.setenv("MAST_THERE", "marl")
    record = {"meta": {"options": {"--mongo_db": address}}}
    assert recorded_address(record) == (address if usable else None)
    assert recorded_address({"meta": None}) is None
    assert recorded_address({"meta": {"options": None}}) is None


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-m", "marl", "with", "a=1"], ["-m", "marl"]),
        (["--config=x", "--mongo_db=marl", "with"], ["--mongo_db=marl"]),
        (["--mongo_db", "h:1:marl"], ["--mongo_db", "h:1:marl"]),
        (["with", "-m", "marl"], []),
    ],
)
def test_the_option_is_found_in_a_command_line(words, found):
    assert database_option(words) == found
