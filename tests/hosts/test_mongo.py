"""``-m``: Sacred's MongoDB observer beside its files.

Talks to the server that the fixture ``mongo`` names (``tests/conftest.py``).
"""

from __future__ import annotations

import json
import os
import time
import uuid

import pymongo
import pytest


@pytest.mark.long
def test_a_run_without_its_mongo_goes_on_in_files(mast_train, records, unused_port, tmp_path):
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
