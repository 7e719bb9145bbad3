"""``-m``: a MongoDB that is away, at the start or later, must not cost the run."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from epymarl_mast.errors import warn, without_passwords
from epymarl_mast.tracking.address import database_of, resolved, without_password

_SECONDS_TO_ANSWER = 3


@contextmanager
def runs_survive_mongo() -> Iterator[None]:
    """Inside, Sacred's ``-m`` takes ``mongodb://…/database`` too, and no server can end a run.

    Sacred itself waits 30 s for a server that does not answer and then gives up the whole run. It
    also gives up one whose number, which the server gives out, is that of a folder that exists.
    """
    from sacred import observers
    from sacred.observers import mongo

    file_observer: Any = observers.FileStorageObserver
    recorded = file_observer.started_event

    def started_without_password(self: Any, *, meta_info: Any, **named: Any) -> Any:
        return recorded(self, meta_info=_without_password(meta_info), **named)

    make_folder = file_observer._make_run_dir

    def make_free_folder(self: Any, number: Any) -> None:
        try:
            make_folder(self, number)
        except FileExistsError:
            make_folder(self, None)
            print(f"mast: run {number} of MongoDB is recorded in {self.dir}", file=sys.stderr)

    with ExitStack() as patches:
        replace = mock.patch.object
        patches.enter_context(replace(file_observer, "_make_run_dir", make_free_folder))
        patches.enter_context(replace(file_observer, "started_event", started_without_password))
        if importlib.util.find_spec("pymongo") is not None:  # without it, -m was refused
            read = _parser(mongo.parse_mongo_db_arg)
            patches.enter_context(replace(mongo, "parse_mongo_db_arg", read))
            patches.enter_context(replace(mongo, "MongoObserver", _observer_class()))
        yield


def _observer_class() -> Any:
    from pymongo.errors import PyMongoError
    from sacred import observers

    run_observer: Any = observers.RunObserver
    mongo_observer: Any = observers.MongoObserver

    class FilesAlone(run_observer):  # type: ignore[misc]
        """Records nothing; says so at the start, when the run's log is already being captured."""

        def __init__(self, warning: str) -> None:
            self._warning = warning

        def started_event(self, *args: Any, **named: Any) -> None:
            warn(self._warning)

    class SteadyMongoObserver(mongo_observer):  # type: ignore[misc]
        """Sacred's own; what a server misses is sent when it answers again.

        Metrics wait in line. Masks and other artifacts of the time between are in the files alone.
        """

        def __new__(cls, url: str | None = None, **named: Any) -> Any:
            address = without_password(url or "localhost:27017")
            problem = _problem(url)
            if problem:
                return FilesAlone(
                    f"MongoDB at {address} does not answer ({problem}): "
                    "this run is recorded in files only"
                )
            return super().__new__(cls)

        def __init__(self, url: str | None = None, **named: Any) -> None:
            super().__init__(url, serverSelectionTimeoutMS=_SECONDS_TO_ANSWER * 1000, **named)
            self._address = without_password(url or "localhost:27017")
            self._unsent: deque[tuple[str, Any]] = deque()
            self._sending = threading.Lock()
            self._away = False

        def started_event(self, *, meta_info: Any, **named: Any) -> Any:
            return super().started_event(meta_info=_without_password(meta_info), **named)

        def log_metrics(self, metrics_by_name: Mapping[str, Any], info: Any) -> None:
            """In turn: Sacred waits 2 s for its heartbeat, then it ends the run beside it."""
            self._unsent.extend(metrics_by_name.items())
            if not self._unsent:
                return  # nothing is asked of the server: no sign that it is there
            with self._sending, self._watched():
                while self._unsent:
                    name, values = self._unsent[0]
                    super().log_metrics({name: values}, info)
                    self._unsent.popleft()

        def artifact_event(self, *args: Any, **named: Any) -> None:
            if not self._away:  # a heartbeat finds out whether it is back
                with self._watched():
                    super().artifact_event(*args, **named)

        def resource_event(self, *args: Any, **named: Any) -> None:
            if not self._away:
                with self._watched():
                    super().resource_event(*args, **named)

        def save(self) -> None:
            with self._watched():
                self._store()

        def final_save(self, attempts: int) -> None:
            """Once: an answer was waited for at the last heartbeat too.

            Sacred's own ends in an error if it is away by then, as no folder for a pickle is set.
            """
            self.log_metrics({}, self.run_entry["info"])
            if not self._away:
                with self._watched():
                    self._store()
            if self._away:
                warn(
                    f"MongoDB at {self._address} is away: its record of run "
                    f"{self.run_entry['_id']} is incomplete, that in files is complete"
                )

        def _store(self) -> None:
            key = {"_id": self.run_entry["_id"]}
            self.runs.update_one(key, {"$set": self.run_entry}, upsert=True)

        @contextmanager
        def _watched(self) -> Iterator[None]:
            """Note when the server goes and comes back; its errors end here."""
            try:
                yield
            except PyMongoError as error:
                if not self._away:
                    warn(f"MongoDB at {self._address} is lost ({_short(error)}): "
                          "this run goes on and is recorded in files")  # fmt: skip
                self._away = True
            else:
                if self._away:
                    warn(f"MongoDB at {self._address} answers again")
                self._away = False

    return SteadyMongoObserver


def _parser(sacreds: Any) -> Any:
    """Sacred's reading of ``-m``, which knows no address with a user in it."""

    def parse(address: str) -> Any:
        address = resolved(address)
        if "://" not in address:
            return sacreds(address)
        return {"url": address, "db_name": database_of(address)}

    return parse


def _without_password(meta_info: Any) -> Any:
    """Sacred records its own options with a run; ``--sql`` takes an address with a password too."""
    options = {
        name: without_passwords(value) if isinstance(value, str) else value
        for name, value in (meta_info.get("options") or {}).items()
    }
    if options.get("--mongo_db"):
        options["--mongo_db"] = without_password(meta_info["options"]["--mongo_db"])
    return {**meta_info, "options": options}


def _problem(url: str | None) -> str:
    """Why the server cannot be used, in a few words; empty if it answers."""
    import pymongo
    from pymongo.errors import PyMongoError

    try:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(
            url, serverSelectionTimeoutMS=_SECONDS_TO_ANSWER * 1000
        )
        with client:
            client.admin.command("ping")
    except PyMongoError as error:
        return _short(error)
    return ""


def _short(error: Exception) -> str:
    return str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
