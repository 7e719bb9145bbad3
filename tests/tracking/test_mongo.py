"""``-m`` and what it needs; tests/hosts/test_mongo.py has whole runs."""

from __future__ import annotations

import sys

import pytest

from epymarl_mast.tracking.mongo import runs_survive_mongo


def test_a_run_needs_no_mongodb_driver(monkeypatch):
    """It is an extra of its own, as -m is an option."""
    observers = pytest.importorskip("sacred.observers")
    monkeypatch.setitem(sys.modules, "pymongo", None)
    monkeypatch.setitem(sys.modules, "pymongo.errors", None)
    before = observers.FileStorageObserver.started_event
    with runs_survive_mongo():
        assert observers.FileStorageObserver.started_event is not before
    assert observers.FileStorageObserver.started_event is before
