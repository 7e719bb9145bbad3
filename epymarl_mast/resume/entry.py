"""Which entry of a MongoDB is that of a run, noted beside its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from epymarl_mast.errors import OptionError, printable
from epymarl_mast.resume.files import store
from epymarl_mast.tracking.address import resolved
from epymarl_mast.whole_files import read_json

_NOTE = "database.json"  # in the folder of the checkpoints


@dataclass(frozen=True)
class Entry:
    """A run's entry in a database.

    Attributes:
        servers: ``host:port`` of each, separated by commas; neither user nor password.
        database, collection: names.
        run: its number there.
        started: its ``start_time`` there, in ISO format: what tells it from another run that has
            come to the same number in another database of that name.
    """

    servers: str
    database: str
    collection: str
    run: int | str
    started: str

    def __str__(self) -> str:
        return f"run {self.run} of {self.address}"

    @property
    def address(self) -> str:
        """As after ``-m``, without user and password."""
        collection = "" if self.collection == "runs" else f".{self.collection}"
        return f"{self.servers}:{self.database}{collection}"

    @classmethod
    def of(cls, observer: Any) -> Entry:
        """The one that an observer writes."""
        database, run = observer.runs.database, observer.run_entry
        servers = ",".join(f"{host}:{port}" for host, port in sorted(database.client.nodes))
        started = _stored(run["start_time"]).isoformat()
        return cls(servers, database.name, observer.runs.name, run["_id"], started)

    def found_by(self, observer: Any) -> dict[str, Any] | None:
        """What is stored of it where an observer writes; None if it is not there.

        By number and start: how a server is addressed may have changed.
        """
        stored: dict[str, Any] | None = observer.runs.find_one({"_id": self.run})
        if stored is None or not isinstance(stored.get("start_time"), datetime):
            return None
        return stored if stored["start_time"].isoformat() == self.started else None


def note_entry(folder: Path, logger: Any) -> None:
    """Note which entry of a database a run has; nothing if it has none, or no room for a note.

    Args:
        folder: where the run's checkpoints are.
        logger: the host's.
    """
    observer = database_observer(logger)
    if observer is not None:
        with suppress(OSError):  # of a folder that cannot be written there will be a warning
            store(folder / _NOTE, json.dumps(asdict(Entry.of(observer)), indent=1).encode())


def noted_entry(folder: Path) -> Entry | None:
    """What :func:`note_entry` noted; None where nothing is, or nothing that can be read."""
    note = read_json(folder / _NOTE)
    if {field.name for field in fields(Entry)} != note.keys():
        return None
    # A query is not asked for: the file may be somebody else's.
    if not all(isinstance(value, str | int) for value in note.values()):
        return None
    return Entry(**{k: printable(v) if isinstance(v, str) else v for k, v in note.items()})


def begun_with(observer: Any, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The entry that was begun with a record in files, by start and machine.

    For a run that was killed before it could note its entry.

    Args:
        observer: of the database to look in.
        record: ``run.json`` of the run.
    """
    try:
        start = _stored(datetime.fromisoformat(record["start_time"]))
        machine = record["host"]["hostname"]
    except (KeyError, TypeError, ValueError):
        return None
    stored: dict[str, Any] | None = observer.runs.find_one(
        {"start_time": start, "host.hostname": str(machine)}
    )
    return stored


def recorded_address(record: Mapping[str, Any]) -> str | None:
    """What stood after ``-m`` when the run was started, if it can be used again.

    A password is in no record, and a variable of the environment may be another's.

    Args:
        record: ``run.json`` of the run.
    """
    meta = record.get("meta")
    options = meta.get("options") if isinstance(meta, dict) else None
    address = options.get("--mongo_db") if isinstance(options, dict) else None
    if not isinstance(address, str) or "***" in address:
        return None
    try:
        resolved(address)
    except OptionError:
        return None
    return address


def database_observer(logger: Any) -> Any:
    """The observer that writes a run to a MongoDB, or None."""
    from sacred.observers import MongoObserver

    observers = getattr(getattr(logger, "_run_obj", None), "observers", None) or []
    return next((o for o in observers if isinstance(o, MongoObserver) and o.run_entry), None)


def _stored(time: datetime) -> datetime:
    """A time as MongoDB keeps it: in milliseconds."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
