"""A resumed run goes on in its entry of a MongoDB.

Talks to the server that the fixture ``mongo`` names (``tests/conftest.py``).
"""

from __future__ import annotations

import datetime as dt
import os
import uuid
from types import SimpleNamespace

import gridfs
import pymongo
import pytest
from sacred.observers import mongo as sacreds

from epymarl_mast.resume.database import entry_continued, recorded_address

START = dt.datetime(2026, 1, 2, 3, 4, 5, 678_901)
LOGGED = dt.datetime(2026, 1, 2, 4)
CHECKPOINT = dt.datetime(2026, 1, 2, 5)


@pytest.fixture
def database(mongo):
    name = f"mast_{uuid.uuid4().hex}"
    with pymongo.MongoClient(f"mongodb://{mongo}") as client:
        yield SimpleNamespace(name=name, address=f"{mongo}:{name}", data=client[name], url=mongo)
        client.drop_database(name) if "MAST_TEST_MONGO_URL" in os.environ else None


@pytest.fixture
def start(database):
    """Start a run of Sacred's observer in the database."""

    def observe(start_time=START):
        observer = sacreds.MongoObserver(database.url, db_name=database.name)
        observer.started_event(
            ex_info={"name": "pymarl", "sources": [], "base_dir": ""}, command="my_main",
            host_info={"hostname": "machine"}, start_time=start_time, config={"seed": 1},
            meta_info={}, _id=None,
        )  # fmt: skip
        return observer

    return observe


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run.json").write_text(
        f'{{"start_time": "{START.isoformat()}", "host": {{"hostname": "machine"}}}}'
    )
    (tmp_path / "cout.txt").write_text("as far as the checkpoint, and beyond")
    return tmp_path


def log(observer, info, **metrics):
    for name, (steps, values) in metrics.items():
        columns = {"steps": steps, "values": values, "timestamps": [LOGGED] * len(steps)}
        observer.log_metrics({name: columns}, info)


def add_masks(observer, tmp_path, *names):
    for name in names:
        (tmp_path / name).write_text(name)
        observer.artifact_event(name, str(tmp_path / name))


KEPT = {
    "info": {"loss": [3.0, 2.0, 1.5], "loss_T": [10, 20, 30]},
    "artifacts": ["masks_1.npz"],
    "log": len("as far as the checkpoint"),
}


def test_an_entry_is_what_it_was_at_the_checkpoint_and_goes_on(
    database, start, folder, tmp_path, monkeypatch
):
    """The database had two of the three losses that the checkpoint has, and newer things too."""
    start(START - dt.timedelta(seconds=1))  # another run
    info = {}
    killed = start()
    log(killed, info, loss=([10, 20], [3.0, 2.0]), later=([99], [9.0]))
    add_masks(killed, tmp_path, "masks_1.npz", "masks_2.npz")
    killed.heartbeat_event(info, "as far as the checkpoint, and beyond", LOGGED, None)
    killed.interrupted_event(LOGGED, "INTERRUPTED")

    with entry_continued(folder, KEPT, CHECKPOINT.isoformat()):
        goes_on = start()
        info = {"metrics": info["metrics"][:1]}
        log(goes_on, info, loss=([40], [1.0]), later=([41], [7.0]))
        add_masks(goes_on, tmp_path, "masks_3.npz")
        goes_on.heartbeat_event(info, ", and on", LOGGED, None)
        goes_on.completed_event(LOGGED, None)

    assert database.data.runs.count_documents({}) == 2
    run = database.data.runs.find_one({"status": "COMPLETED"})
    assert run["captured_out"] == "as far as the checkpoint, and on"
    assert len(run["resumed"]) == 1
    assert run["config"] == {"seed": 1}
    assert [a["name"] for a in run["artifacts"]] == ["masks_1.npz", "masks_3.npz"]
    files = gridfs.GridFS(database.data)
    assert [files.get(a["file_id"]).read() for a in run["artifacts"]] == [
        b"masks_1.npz", b"masks_3.npz",
    ]  # fmt: skip
    assert database.data["fs.files"].count_documents({}) == 2
    stored = {doc["name"]: doc for doc in database.data.metrics.find({"run_id": run["_id"]})}
    assert stored["loss"]["steps"] == [10, 20, 30, 40]
    assert stored["loss"]["values"] == [3.0, 2.0, 1.5, 1.0]
    assert stored["loss"]["timestamps"] == [LOGGED, LOGGED, CHECKPOINT, LOGGED]
    assert stored["later"]["values"] == [7.0]
    listed = {one["name"]: one["id"] for one in run["info"]["metrics"]}
    assert listed == {name: str(doc["_id"]) for name, doc in stored.items()}


def test_without_a_checkpoint_an_entry_begins_again(database, start, folder):
    killed = start()
    log(killed, {}, loss=([10], [3.0]))
    with entry_continued(folder, None, ""):
        log(start(), {}, loss=([10], [3.0]))
    [run] = database.data.runs.find({})
    assert run["status"] == "RUNNING"
    [loss] = database.data.metrics.find({})
    assert loss["values"] == [3.0]
    assert loss["run_id"] == run["_id"]


def test_a_database_that_has_no_entry_of_the_run_gets_one(database, start, folder, capsys):
    start(START + dt.timedelta(milliseconds=2))
    with entry_continued(folder, KEPT, CHECKPOINT.isoformat()):
        start(START)
    assert database.data.runs.count_documents({}) == 2
    assert (
        "mast: this database has no entry of the run: a new one is made" in capsys.readouterr().err
    )


@pytest.mark.parametrize("meta", [None, {}, {"options": None}, {"options": {"--mongo_db": 3}}])
def test_a_record_may_name_no_database(meta):
    assert recorded_address({"meta": meta}) is None
