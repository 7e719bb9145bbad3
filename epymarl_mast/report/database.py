"""Runs in a MongoDB that Sacred's observer wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from epymarl_mast.errors import OptionError, needs_package
from epymarl_mast.report.files import MALFORMED
from epymarl_mast.report.record import Record, Series, Unreadable, flat, seconds_trained
from epymarl_mast.tracking.address import check_url, database_of, resolved, without_password

_SECONDS_TO_ANSWER = 5


def read_database(address: str, metrics: Collection[str]) -> Iterator[Record | Unreadable]:
    """All runs of a database, by id.

    Args:
        address: ``host:port:database`` as after ``-m``, or ``mongodb://…/database``.
        metrics: names to read.

    Raises:
        OptionError: if the server does not answer, or no database is named.
    """
    with connected(address) as database:
        for run in database.runs.find({}).sort("_id", 1):
            yield _record(database, run, address, metrics)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The database of an address.

    Raises:
        OptionError: if the server does not answer, or no database is named.
    """
    with needs_package("a MongoDB", extra="mongo"):
        import pymongo
        from pymongo.errors import PyMongoError
    shown = without_password(address)  # of a variable its name: it may hold something else
    url, name = _split(resolved(address), shown)
    check_url(url, shown)
    try:
        client: Any = pymongo.MongoClient(url, serverSelectionTimeoutMS=_SECONDS_TO_ANSWER * 1000)
        with client:
            yield client[name]
    except PyMongoError as error:
        reason = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
        raise OptionError(f"MongoDB {shown}: {reason}") from None


def _split(address: str, shown: str) -> tuple[str, str]:
    if "://" in address:
        name = database_of(address)
        url = address
    else:
        server, _, name = address.rpartition(":")
        url = f"mongodb://{server}"
    if not name:
        raise OptionError(f"{shown} names no database: host:port:database does")
    return url, name


def _record(
    database: Any, run: Mapping[str, Any], address: str, metrics: Collection[str]
) -> Record | Unreadable:
    source = f"{database.name}, run {run['_id']}"
    try:
        stored = database.metrics.find({"run_id": run["_id"], "name": {"$in": list(metrics)}})
        return Record(
            source=source,
            database=(address, run["_id"]),
            status=str(run.get("status")),
            config=flat(run["config"]),
            series={m["name"]: Series.of(m["steps"], m["values"]) for m in stored},
            started=run.get("start_time"),
            seconds=seconds_trained(run),
            made_with=(run.get("host") or {}).get("epymarl_mast") or {},
        )
    except MALFORMED as error:
        return Unreadable(source, f"{type(error).__name__}: {error}")
