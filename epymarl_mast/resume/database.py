"""The entry of a run in a MongoDB: found again, cut back to a checkpoint, and continued."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from epymarl_mast.resume.record import logged_metrics, now, text_of_log
from epymarl_mast.resume.values import revive
from epymarl_mast.whole_files import read_json

_ENDING = ("stop_time", "fail_trace")


def recorded_address(record: Mapping[str, Any]) -> str | None:
    """What stood after ``-m`` when the run was started, as its ``run.json`` has it.

    Passwords are not recorded: with one, the address has ``***`` in its place.
    """
    meta = record.get("meta")
    options = meta.get("options") if isinstance(meta, Mapping) else None
    address = options.get("--mongo_db") if isinstance(options, Mapping) else None
    return address if isinstance(address, str) else None


@contextmanager
def entry_continued(folder: Path, kept: Mapping[str, Any] | None, when: str) -> Iterator[None]:
    """Inside, the next run that Sacred starts with ``-m`` goes on in this run's entry.

    That is the one of the same start, to the millisecond, on the same machine. Where the database
    has none, a new one is made, which a line says.

    Args:
        folder: the run's Sacred directory.
        kept: what ``record.noted`` gave, None for the start.
        when: wall time of the checkpoint, in ISO format.
    """
    if importlib.util.find_spec("pymongo") is None:
        yield
        return
    from sacred.observers import mongo

    observer: Any = mongo.MongoObserver
    begin = observer.started_event
    before: dict[int, list[dict[str, str]]] = {}  # metrics by observer, which has no hash
    record, log = read_json(folder / "run.json"), text_of_log(folder, kept)

    def started(self: Any, **named: Any) -> Any:
        entry = _entry(self.runs, record)
        if entry is None:
            print(
                "mast: this database has no entry of the run: a new one is made, with what is "
                "logged from here on", file=sys.stderr, flush=True,
            )  # fmt: skip
            return begin(self, **named)
        self.run_entry = _cut_back(self, entry, kept, when)
        before[id(self)] = [
            {"name": doc["name"], "id": str(doc["_id"])}
            for doc in self.metrics.find({"run_id": entry["_id"]})
        ]
        return entry["_id"]

    def heartbeat_event(self: Any, info: Any, captured_out: str, *rest: Any) -> None:
        if id(self) in before:
            captured_out = log + captured_out
            listed = info.setdefault("metrics", [])  # what Sacred adds to when it makes a metric
            listed.extend(one for one in before[id(self)] if one not in listed)
        heartbeat_of(self, info, captured_out, *rest)

    heartbeat_of = observer.heartbeat_event
    with (
        mock.patch.object(observer, "started_event", started),
        mock.patch.object(observer, "heartbeat_event", heartbeat_event),
    ):
        yield


def _entry(runs: Any, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The entry that was begun with a record's files."""
    try:
        start = datetime.fromisoformat(record["start_time"])
        machine = record["host"]["hostname"]
    except (KeyError, TypeError, ValueError):
        return None
    millisecond = timedelta(milliseconds=1)  # what the database rounds to
    same_start = {"$gte": start - millisecond, "$lte": start + millisecond}
    found = runs.find({"start_time": same_start, "host.hostname": machine})
    entry: dict[str, Any] | None = next(iter(found.sort("_id", -1).limit(1)), None)
    return entry


def _cut_back(
    observer: Any, entry: dict[str, Any], kept: Mapping[str, Any] | None, when: str
) -> dict[str, Any]:
    """Bring an entry and its metrics to what they were at a checkpoint, or at the start."""
    info = revive(kept["info"]) if kept else {}
    _cut_metrics(observer.metrics, entry["_id"], info, when)
    artifacts = set(kept["artifacts"]) if kept else set()
    for artifact in entry.get("artifacts", []):
        if artifact["name"] not in artifacts:
            observer.fs.delete(artifact["file_id"])
    changes: dict[str, Any] = {
        "status": "RUNNING",
        "result": None,
        "info": {},
        "artifacts": [a for a in entry.get("artifacts", []) if a["name"] in artifacts],
        "resumed": [*entry.get("resumed", []), now()],
    }
    observer.runs.update_one(
        {"_id": entry["_id"]}, {"$set": changes, "$unset": dict.fromkeys(_ENDING, "")}
    )
    return {key: value for key, value in {**entry, **changes}.items() if key not in _ENDING}


def _cut_metrics(metrics: Any, run: Any, info: Mapping[str, Any], when: str) -> None:
    """What was logged up to the checkpoint, whether or not the database had it all by then."""
    stored = {doc["name"]: doc for doc in metrics.find({"run_id": run})}
    known = {
        name: {"timestamps": [time.isoformat() for time in doc["timestamps"]]}
        for name, doc in stored.items()
    }
    logged = logged_metrics(info, known, when)
    for name, columns in logged.items():
        times = [datetime.fromisoformat(time) for time in columns["timestamps"]]
        metrics.update_one(
            {"run_id": run, "name": name}, {"$set": {**columns, "timestamps": times}}, upsert=True
        )
    for name in stored.keys() - logged.keys():
        metrics.delete_one({"run_id": run, "name": name})
