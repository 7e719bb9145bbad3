"""``-m``: Sacred's MongoDB observer beside its files.

Talks to the server that the fixture ``mongo`` names (``tests/conftest.py``).
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
import uuid
from types import SimpleNamespace

import gridfs
import pymongo
import pytest
from sacred.observers import FileStorageObserver
from sacred.observers.mongo import parse_mongo_db_arg

from epymarl_mast import __version__
from epymarl_mast.command import SacredCommand
from epymarl_mast.errors import OptionError
from epymarl_mast.report.database import read_database
from epymarl_mast.tracking import mongo as mongo_tracking
from epymarl_mast.tracking.mask_history import MaskHistory


@pytest.mark.long
def test_a_run_without_its_mongo_goes_on_in_files(mast_train, records, unused_port, tmp_path):
    address = f"127.0.0.1:{unused_port()}"
    started = time.monotonic()
    done = mast_train(tmp_path, "mast_qmix", "-m", f"mongodb://me:secret@{address}/marl")
    assert time.monotonic() - started < 30  # which Sacred alone would wait before it gave up
    warning = f"mast: warning: MongoDB at mongodb://me:***@{address}/marl does not answer"
    text = done.out + done.err
    assert text.count(warning) == 1
    assert "Traceback" not in text
    [(folder, _, metrics)] = records(tmp_path)
    assert json.loads((folder / "run.json").read_text())["status"] == "COMPLETED"
    assert "loss" in metrics
    assert warning in (folder / "cout.txt").read_text()
    assert "secret" not in text
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"secret" in p.read_bytes()]


@pytest.mark.long_on("epymarl")
def test_a_run_lands_in_mongo_and_in_files(mast_train, records, mongo, tmp_path):
    """All of it, although the number that MongoDB gives it is that of a folder that exists."""
    database = f"mast_{uuid.uuid4().hex}"
    for folder in ("1", "2"):
        task = "lbforaging:Foraging-8x8-2p-3f-v3"
        (tmp_path / "results" / "sacred" / "mast_qmix" / task / folder).mkdir(parents=True)
    options = ("seed=4", "mast.topology_interval=2")
    done = mast_train(tmp_path, "mast_qmix", "-m", f"{mongo}:{database}", *options)
    assert "KeyError" not in done.out + done.err
    assert "pymongo." not in done.out + done.err
    [(folder, config, metrics)] = records(tmp_path)
    assert folder.name == "3"
    assert "mast: run 1 of MongoDB is recorded in" in done.err
    files = json.loads((folder / "run.json").read_text())
    client = pymongo.MongoClient(f"mongodb://{mongo}")
    try:
        [run] = client[database].runs.find({})
        assert run["status"] == "COMPLETED"
        assert run["config"]["mast"]["sparsity"] == 0.9
        assert run["config"]["seed"] == config["seed"] == 4
        stored = {doc["name"]: doc["values"] for doc in client[database].metrics.find({})}
        assert stored == metrics
        for made_with in (run["host"]["epymarl_mast"], files["host"]["epymarl_mast"]):
            assert made_with["version"] == __version__
            assert made_with["host"] in ("epymarl", "pymarlzooplus")
            assert made_with["host_version"]
            assert made_with["packages"]["lbforaging"]
        masks = {a["name"]: a["file_id"] for a in run["artifacts"] if "masks" in a["name"]}
        history = MaskHistory.of_run(folder)
        assert len(masks) == len(history.steps) > 2
        last = f"masks_{history.steps[-1]:012d}.npz"
        assert (
            gridfs.GridFS(client[database]).get(masks[last]).read() == (folder / last).read_bytes()
        )
    finally:
        client.drop_database(database) if "MAST_TEST_MONGO_URL" in os.environ else None
        client.close()


@pytest.mark.long
def test_a_mongo_that_is_killed_costs_nothing(mast_train, records, own_mongo, tmp_path):
    address, server = own_mongo

    def kill_while_training():
        with pymongo.MongoClient(f"mongodb://{address}") as client:
            while not client["marl"].metrics.count_documents({}):
                time.sleep(0.1)
        server.kill()

    killer = threading.Thread(target=kill_while_training)
    killer.start()
    done = mast_train(tmp_path, "mast_qmix", "-m", f"{address}:marl", "t_max=6000")
    killer.join()
    text = done.out + done.err
    assert text.count(f"mast: warning: MongoDB at {address} is lost") == 1, text
    assert text.count("is incomplete, that in files is complete") == 1
    assert "Traceback" not in text
    assert "thread" not in text.lower().replace("stopping all threads", "")
    [(folder, _, metrics)] = records(tmp_path)
    assert json.loads((folder / "run.json").read_text())["status"] == "COMPLETED"
    assert len(metrics["loss"]) > 50
    assert len(MaskHistory.of_run(folder).steps) > 1


class Server:
    """The collection of runs of a server that can be away."""

    def __init__(self):
        self.away, self.stored, self.saved = False, [], 0

    def update_one(self, query, update, upsert=False):
        if self.away:
            raise pymongo.errors.AutoReconnect("connection closed")
        self.saved += 1
        if "name" in query:
            self.stored.append((query["name"], update["$push"]["values"]["$each"]))
        return SimpleNamespace(upserted_id=None)


def test_what_a_server_misses_is_sent_when_it_is_back(monkeypatch, capsys):
    monkeypatch.setattr(mongo_tracking, "_problem", lambda url: "")
    observer = mongo_tracking._observer_class()("mongodb://me:secret@server", db_name="marl")
    server = observer.runs = observer.metrics = Server()
    observer.run_entry = {"_id": 1, "info": {}}

    def beat(name, value):
        data = {"steps": [1], "values": [value], "timestamps": [0]}
        observer.log_metrics({name: data}, {})
        observer.heartbeat_event({}, "", None, None)

    beat("loss", 1.0)
    server.away = True
    beat("loss", 2.0)
    beat("return", 3.0)
    observer.artifact_event("name", "/nowhere/that/exists")  # not tried: it is away
    server.away = False
    beat("loss", 4.0)
    observer.completed_event(None, None)
    assert server.stored == [("loss", [1.0]), ("loss", [2.0]), ("return", [3.0]), ("loss", [4.0])]
    said = capsys.readouterr().err
    assert said.count("is lost (connection closed)") == 1
    assert said.count("answers again") == 1
    assert "secret" not in said
    assert "incomplete" not in said


def test_a_slow_server_gets_each_metric_once(monkeypatch):
    """Sacred ends a run beside a heartbeat that takes longer than 2 s."""
    monkeypatch.setattr(mongo_tracking, "_problem", lambda url: "")
    observer = mongo_tracking._observer_class()("mongodb://server", db_name="marl")
    server = observer.runs = observer.metrics = Server()
    observer.run_entry = {"_id": 1, "info": {}}
    sent, update = threading.Event(), server.update_one

    def slow_update(*args, **named):
        sent.set()
        time.sleep(0.3)
        return update(*args, **named)

    server.update_one = slow_update
    data = {"steps": [1], "values": [1.0], "timestamps": [0]}
    heartbeat = threading.Thread(target=observer.log_metrics, args=({"loss": data}, {}))
    heartbeat.start()
    sent.wait()
    observer.completed_event(None, None)
    heartbeat.join()
    assert server.stored == [("loss", [1.0])]


def test_a_password_is_recorded_nowhere(tmp_path):
    options = {"--mongo_db": "mongodb://me:secret@server/marl", "--sql": None, "--force": False}
    meta = {"command": "my_main", "options": {**options, "--sql": "postgresql://me:secret@db/x"}}
    with mongo_tracking.runs_survive_mongo():
        observer = FileStorageObserver(tmp_path)
        for _ in range(2):  # the second time, its folder exists
            observer.started_event(
                ex_info={"sources": [], "base_dir": ""}, command="my_main", host_info={},
                start_time=dt.datetime(2026, 1, 1), config={}, meta_info=meta, _id=1,
            )  # fmt: skip
    for folder in ("1", "2"):
        record = json.loads((tmp_path / folder / "run.json").read_text())
        assert "secret" not in str(record)
        assert record["meta"]["options"] == {
            "--mongo_db": "mongodb://me:***@server/marl", "--sql": "postgresql://me:***@db/x",
            "--force": False,
        }  # fmt: skip
    assert meta["options"]["--mongo_db"] == "mongodb://me:secret@server/marl"


@pytest.mark.parametrize(
    "address", ["mongodb://me:secret@server:27017", "me:secret@server:27017:marl", "a b"]
)
def test_an_address_that_cannot_be_read_is_one_line(address):
    with pytest.raises(OptionError, match="host:port:database and mongodb://") as error:
        SacredCommand.parse(["-m", address])
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "mongodb://me:sec/ret@server/marl", "mongodb://me:x://secret@server/marl",
        "mongodb://me:se%ret@server/marl", "mongodb://me:secret@server:99999/marl",
        "mongodb://me:secret@[::1/marl", "mongodb+srv://me:sec/ret@server/marl",
    ],
)  # fmt: skip
def test_an_address_that_the_driver_cannot_read_is_one_line(address):
    with pytest.raises(OptionError, match="special characters of user and password") as error:
        SacredCommand.parse(["-m", address])
    with pytest.raises(OptionError, match="special characters"):
        list(read_database(address, ()))
    assert "ret@" not in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "mongodb://me:secret@server/marl", "--typo"],
        ["-mmongodb://me:secret@server/marl", "--typo"],
        ["me:secret@server:27017:marl", "x"],
    ],
)
def test_a_command_line_that_cannot_be_read_is_shown_without_its_password(words):
    with pytest.raises(OptionError, match="cannot read") as error:
        SacredCommand.parse(words)
    assert "secret" not in str(error.value)
    assert "me:***@server" in str(error.value)


@pytest.mark.parametrize(
    "address", ["marl", "localhost:27017", "db.lab.org:27017:marl", "localhost:27017:marl.runs!10"]
)
def test_sacreds_own_forms_of_an_address_are_taken(address):
    SacredCommand.parse(["-m", address])
    assert parse_mongo_db_arg(address)
