"""``-m``: a MongoDB that cannot be reached must not cost the run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

_SECONDS_TO_ANSWER = 3


@contextmanager
def files_where_mongo_is_away() -> Iterator[None]:
    """Inside, a run whose MongoDB does not answer in 3 s goes on with its file record alone.

    Sacred itself waits 30 s for the server and then gives up the whole run.
    """
    from sacred.observers import MongoObserver, RunObserver, mongo

    class FilesAlone(RunObserver):
        """Records nothing; says so at the start, when the run's log is already being captured."""

        def __init__(self, address: str, problem: str) -> None:
            self._warning = (
                f"mast: warning: MongoDB at {address} does not answer ({problem}): "
                "this run is recorded in files only"
            )

        def started_event(self, *args: Any, **named: Any) -> None:
            print(self._warning, file=sys.stderr, flush=True)

    class AnsweringMongoObserver(MongoObserver):
        """Sacred's own, where the server answers."""

        def __new__(cls, url: str | None = None, **named: Any) -> Any:
            problem = _problem(url)
            return (
                FilesAlone(url or "localhost:27017", problem) if problem else super().__new__(cls)
            )

    with mock.patch.object(mongo, "MongoObserver", AnsweringMongoObserver):
        yield


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
        return str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
    return ""
