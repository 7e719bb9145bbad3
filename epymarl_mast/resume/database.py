"""A run's entry in a MongoDB: cut back to a checkpoint, and continued under the same number.

Sacred's own ``overwrite`` keeps the number alone: it empties the entry, but not its metrics.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest import mock

from epymarl_mast.errors import warn
from epymarl_mast.resume.entry import Entry, begun_with, database_observer
from epymarl_mast.resume.record import metrics_at
from epymarl_mast.resume.values import revive
from epymarl_mast.whole_files import read_json


@dataclass(frozen=True)
class Past:
    """A run until its checkpoint, as a database shows it.

    Attributes:
        folder: its Sacred directory.
        info: what its ``info`` held.
        artifacts: names of its artifacts, which are files in ``folder``.
        log: what it had printed.
        when: wall time of the checkpoint.
        away: seconds since the run's start in which it was not trained.
    """

    folder: Path
    info: dict[str, Any]
    artifacts: tuple[str, ...]
    log: str
    when: datetime
    away: float

    @classmethod
    def of(cls, folder: Path, kept: Mapping[str, Any] | None, when: datetime, away: float) -> Past:
        """From what ``record.noted`` gave; None for a run that begins again."""
        if kept is None:
            return cls(folder, {}, (), "", when, away)
        log = folder / "cout.txt"
        printed = log.read_bytes()[: kept["log"]] if log.exists() else b""
        info = revive(kept["info"])
        info.pop("metrics", None)  # which may have other numbers now: see list_metrics
        text = printed.decode("utf-8", errors="replace")
        return cls(folder, info, tuple(kept["artifacts"]), text, when, away)


@contextmanager
def continued_in_database(entry: Entry | None, past: Past) -> Iterator[None]:
    """Inside, the next run that Sacred starts with ``-m`` goes on in its entry.

    Where that entry is not in the database of ``-m``, a new one is made, with the run's past. A
    server that is lost meanwhile costs the entry, not the run.

    Args:
        entry: the run's; None if none is noted.
        past: until the checkpoint.
    """
    from sacred.observers import MongoObserver, RunObserver

    started, beaten = MongoObserver.started_event, MongoObserver.heartbeat_event

    def go_on(self: Any, **named: Any) -> Any:
        if entry is not None:
            stored = entry.found_by(self)
        else:
            stored = begun_with(self, read_json(past.folder / "run.json"))
        if stored is None:
            number = started(self, **named)
            _say_new(entry, Entry.of(self))
        else:
            self.run_entry, number = stored, stored["_id"]
            _say(f"going on with {Entry.of(self)}")
        _cut_back(self, past)
        return number

    def go_on_or_leave_it(self: Any, **named: Any) -> Any:
        from pymongo.errors import PyMongoError

        try:
            return go_on(self, **named)
        except PyMongoError as error:
            reason = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
            warn(f"MongoDB is lost ({reason}): this run goes on and is recorded in files; "
                 "its entry is brought up to date by the next --resume with -m")  # fmt: skip
            self.__class__ = RunObserver  # whose events do nothing
            return named["_id"]

    def beat(self: Any, info: Any, captured_out: str, beat_time: Any, result: Any) -> Any:
        """Sacred knows what this process has logged and printed."""
        return beaten(self, info or dict(past.info), past.log + captured_out, beat_time, result)

    with (
        mock.patch.object(MongoObserver, "started_event", go_on_or_leave_it),
        mock.patch.object(MongoObserver, "heartbeat_event", beat),
    ):
        yield


def list_metrics(logger: Any) -> None:
    """Have a run's ``info`` name its metrics in the database, as Sacred does when it adds one."""
    there = getattr(database_observer(logger), "mast_metrics", None)
    if there:
        logger.sacred_info["metrics"] = there


def _cut_back(observer: Any, past: Past) -> None:
    """Bring an entry, its metrics and its artifacts to what they were; may be repeated."""
    from sacred.serializer import flatten

    as_stored: Any = flatten
    _cut_back_metrics(observer, past)
    _cut_back_artifacts(observer, past)
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    run = observer.run_entry
    for key in ("stop_time", "fail_trace"):
        run.pop(key, None)
    run.update(
        status="RUNNING", result=None, heartbeat=now, captured_out=past.log,
        info=as_stored(past.info), resumed=[*run.get("resumed", []), now],
        away_seconds=past.away,
    )  # fmt: skip
    ended = {"$unset": {"stop_time": "", "fail_trace": ""}}
    observer.runs.update_one({"_id": run["_id"]}, {"$set": run, **ended})


def _cut_back_metrics(observer: Any, past: Past) -> None:
    own = {"run_id": observer.run_entry["_id"]}
    times = _times(past.folder)
    for stored in observer.metrics.find(own, {"name": 1, "timestamps": 1}):
        in_files = times.get(stored["name"], {}).get("timestamps", [])
        there = stored["timestamps"]
        times[stored["name"]] = {"timestamps": there + in_files[len(there) :]}
    metrics = metrics_at(past.info, times, past.when)
    observer.metrics.delete_many({**own, "name": {"$nin": list(metrics)}})
    for name, values in metrics.items():
        observer.metrics.update_one({**own, "name": name}, {"$set": values}, upsert=True)
    observer.mast_metrics = [
        {"name": stored["name"], "id": str(stored["_id"])}
        for stored in observer.metrics.find(own, {"name": 1})
    ]


def _times(folder: Path) -> dict[str, dict[str, list[datetime]]]:
    """When each value was logged, by the record in files, as far as it can be read."""
    times: dict[str, dict[str, list[datetime]]] = {}
    for name, metric in read_json(folder / "metrics.json").items():
        try:
            times[name] = {"timestamps": [datetime.fromisoformat(t) for t in metric["timestamps"]]}
        except (KeyError, TypeError, ValueError):
            continue
    return times


def _cut_back_artifacts(observer: Any, past: Past) -> None:
    run = observer.run_entry
    there = {artifact["name"]: artifact for artifact in run["artifacts"]}
    run["artifacts"] = [there[name] for name in past.artifacts if name in there]
    kept = [artifact["file_id"] for artifact in run["artifacts"]]
    # Also those that a kill kept from being listed.
    of_this_run = re.escape(f"artifact://{observer.runs.name}/{run['_id']}/")
    for file in list(observer.fs.find({"filename": {"$regex": f"^{of_this_run}"}})):
        if file._id not in kept:
            observer.fs.delete(file._id)
    for name in past.artifacts:
        if name not in there and (past.folder / name).is_file():
            observer.artifact_event(name, past.folder / name)


def _say_new(entry: Entry | None, new: Entry) -> None:
    if entry is None:
        _say(f"no entry of the run in MongoDB is known; it is now {new}")
    elif entry.address != new.address:
        _say(f"the run's entry in MongoDB was {entry}, which is another database; it is now {new}")
    else:
        _say(f"the run's entry in MongoDB, {entry}, is gone; it is now {new}")


def _say(text: str) -> None:
    print(f"mast: {text}", file=sys.stderr, flush=True)
