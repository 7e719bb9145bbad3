"""Runs in a MongoDB, as Sacred's observer writes them."""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid

import gridfs
import pandas as pd
import pymongo
import pytest

from epymarl_mast.errors import OptionError
from epymarl_mast.report.database import read_database
from epymarl_mast.report.make import Request, make_report
from epymarl_mast.report.record import RETURN
from epymarl_mast.tracking.address import is_address, without_password


@pytest.fixture
def database(mongo, configure):
    """``host:port:name`` of a database with three runs."""
    name = f"mast_{uuid.uuid4().hex}"
    started = dt.datetime(2026, 1, 1, 10)
    with pymongo.MongoClient(f"mongodb://{mongo}") as client:
        for run, (score, status) in enumerate(
            [(0.25, "COMPLETED"), (0.75, "COMPLETED"), (9.0, "FAILED")], start=1
        ):
            client[name].runs.insert_one(
                {"_id": run, "status": status, "config": configure(seed=run, task="lbf"),
                 "start_time": started, "stop_time": started + dt.timedelta(minutes=run),
                 "host": {"epymarl_mast": {"version": "1"}}}
            )  # fmt: skip
            client[name].metrics.insert_one(
                {"run_id": run, "name": RETURN, "steps": [0, 12_000, 24_000],
                 "timestamps": [started] * 3, "values": [0.0, score, score]}
            )  # fmt: skip
        yield f"{mongo}:{name}"
        if "MAST_TEST_MONGO_URL" in os.environ:
            client.drop_database(name)


def test_a_database_gives_the_same_numbers_as_folders(database, tmp_path):
    lines = list(make_report(Request((database,), tmp_path / "out", last=2)))
    assert "2 runs compared, 1 left out" in lines
    assert any(line.endswith("run 3: not complete: FAILED") for line in lines)
    [row] = pd.read_csv(tmp_path / "out" / "performance.csv").to_dict("records")
    assert (row["runs"], row["mean"], row["minutes"]) == (2, 0.5, 1.5)


def test_the_page_becomes_an_artifact_of_its_runs(database, tmp_path):
    server, _, name = database.rpartition(":")
    for _ in range(2):
        list(make_report(Request((database,), tmp_path / "out", last=2, attach=True)))
    with pymongo.MongoClient(f"mongodb://{server}") as client:
        runs = {run["_id"]: run.get("artifacts", []) for run in client[name].runs.find({})}
        [first], [second] = runs[1], runs[2]
        assert first == second
        assert first["name"] == "report.html"
        stored = gridfs.GridFS(client[name]).get(first["file_id"]).read()
        assert stored == (tmp_path / "out" / "report.html").read_bytes()
        assert not runs[3]  # it is not in the tables


def test_the_page_becomes_an_artifact_in_folders(record, configure, tmp_path):
    run, left_out = record(configure(), 0.5), record(configure(), 0.5, status="FAILED")
    (tmp_path / "mine").write_text("mine")
    (run / "report.html").symlink_to(tmp_path / "mine")  # by whoever made the record
    for _ in range(2):
        list(make_report(Request((str(tmp_path),), tmp_path / "out", attach=True)))
    assert (run / "report.html").read_bytes() == (tmp_path / "out" / "report.html").read_bytes()
    said = json.loads((run / "run.json").read_text())
    assert said["artifacts"] == ["report.html"]
    assert said["status"] == "COMPLETED"
    assert not (left_out / "report.html").exists()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_server_that_does_not_answer_is_one_line(unused_port, monkeypatch):
    monkeypatch.setattr("epymarl_mast.report.database._SECONDS_TO_ANSWER", 0.2)
    with pytest.raises(OptionError, match=r"MongoDB 127\.0\.0\.1:") as error:
        list(read_database(f"127.0.0.1:{unused_port()}:marl", [RETURN]))
    assert "\n" not in str(error.value)
    with pytest.raises(OptionError, match="names no database"):
        list(read_database("mongodb://localhost:27017", [RETURN]))


def test_what_is_an_address_and_how_it_is_shown():
    assert is_address("localhost:27017:marl")
    assert is_address("mongodb://me:secret@server/marl")
    assert not is_address("results/sacred:old/a:b")
    assert without_password("mongodb://me:secret@server/marl") == "mongodb://me:***@server/marl"
    assert without_password("localhost:27017:marl") == "localhost:27017:marl"
    assert without_password("mongodb://me:a://b@server/marl") == "mongodb://me:***@server/marl"
    assert (
        without_password("mongodb://server/marl?tls=true&tlsCertificateKeyFilePassword=secret&w=1")
        == "mongodb://server/marl?tls=true&tlsCertificateKeyFilePassword=***&w=1"
    )
