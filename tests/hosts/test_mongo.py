"""``-m``: Sacred's MongoDB observer beside its files.

Talks to the server in $MAST_TEST_MONGO_URL (host:port), else to the test double beside this file.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pymongo
import pytest


@pytest.fixture
def mongo():
    """``host:port`` of a server."""
    if url := os.environ.get("MAST_TEST_MONGO_URL"):
        yield url
        return
    script = Path(__file__).with_name("minimongo.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        yield f"127.0.0.1:{server.stdout.readline().strip()}"
        server.kill()


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.long
def test_a_run_without_its_mongo_goes_on_in_files(mast_train, records, tmp_path):
    address = f"127.0.0.1:{unused_port()}"
    started = time.monotonic()
    done = mast_train(tmp_path, "mast_qmix", "-m", f"{address}:marl")
    assert time.monotonic() - started < 30  # which Sacred alone would wait before it gave up
    warning = f"mast: warning: MongoDB at {address} does not answer"
    text = done.out + done.err
    assert text.count(warning) == 1
    assert "Traceback" not in text
    [(folder, _, metrics)] = records(tmp_path)
    assert json.loads((folder / "run.json").read_text())["status"] == "COMPLETED"
    assert "loss" in metrics
    assert warning in (folder / "cout.txt").read_text()


def test_a_run_lands_in_mongo_and_in_files(mast_train, records, mongo, tmp_path):
    database = f"mast_{uuid.uuid4().hex}"
    done = mast_train(tmp_path, "mast_qmix", "-m", f"{mongo}:{database}")
    assert "KeyError" not in done.out + done.err
    assert "pymongo." not in done.out + done.err
    [(_, _, metrics)] = records(tmp_path)
    client = pymongo.MongoClient(f"mongodb://{mongo}")
    try:
        [run] = client[database].runs.find({})
        assert run["status"] == "COMPLETED"
        assert run["config"]["mast"]["sparsity"] == 0.9
        stored = {doc["name"]: doc["values"] for doc in client[database].metrics.find({})}
        assert stored["mast_sparsity_total"] == metrics["mast_sparsity_total"]
        assert stored["loss"] == metrics["loss"]
    finally:
        client.drop_database(database) if "MAST_TEST_MONGO_URL" in os.environ else None
        client.close()
