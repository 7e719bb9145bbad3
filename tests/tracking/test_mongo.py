"""``-m`` and what it needs; tests/hosts/test_mongo.py has whole runs."""

from __future__ import annotations

import datetime
import sys

import pytest

from epymarl_mast.tracking.mongo import runs_survive_mongo

NOW = datetime.datetime(2026, 1, 1)


def started(address):
    """The observer of a run that has begun."""
    mongo = pytest.importorskip("sacred.observers.mongo")
    with runs_survive_mongo():
        observer = mongo.MongoObserver(f"mongodb://{address}/marl")
    about = {"ex_info": {"base_dir": "", "sources": []}, "command": "main", "host_info": {}}
    observer.started_event(**about, start_time=NOW, config={}, meta_info={}, _id=None)
    return observer


def test_a_run_needs_no_mongodb_driver(monkeypatch):
    """It is an extra of its own, as -m is an option."""
    observers = pytest.importorskip("sacred.observers")
    monkeypatch.setitem(sys.modules, "pymongo", None)
    monkeypatch.setitem(sys.modules, "pymongo.errors", None)
    before = observers.FileStorageObserver.started_event
    with runs_survive_mongo():
        assert observers.FileStorageObserver.started_event is not before
    assert observers.FileStorageObserver.started_event is before


def test_a_server_that_is_gone_is_said_once_and_ends_nothing(own_mongo, capsys):
    """Metrics that are not there are no sign of a server, nor is the last save an error."""
    address, server = own_mongo
    observer = started(address)
    server.kill()
    server.wait()
    observer.heartbeat_event({}, "", NOW, None)
    observer.log_metrics({}, {})
    observer.completed_event(NOW, None)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("is lost") == 1, said
    assert said.count("incomplete, that in files is complete") == 1, said
    assert "answers again" not in said
