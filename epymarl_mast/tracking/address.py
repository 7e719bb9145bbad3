"""Addresses of MongoDB databases, as Sacred and pymongo write them."""

from __future__ import annotations

import os
import re

from epymarl_mast.errors import OptionError

_SACREDS = re.compile(r"(?:[\w.-]+:\d{1,5}|(?:[\w.-]+:\d{1,5}:)?[A-Za-z_][\w.:-]*)(?:!-?\d+)?")


def resolved(address: str) -> str:
    """The address itself; of ``env:NAME`` what the environment variable NAME holds.

    So that no password stands in a file or in the list of processes.

    Raises:
        OptionError: if there is no such variable.
    """
    prefix, colon, name = address.partition(":")
    if prefix != "env" or not colon:
        return address
    if not os.environ.get(name):
        raise OptionError(f"{address}: the environment variable {name} is not set")
    return os.environ[name]


def is_address(source: str) -> bool:
    """Whether a source of runs is a MongoDB and not a folder."""
    return source.startswith(("mongodb://", "mongodb+srv://", "env:")) or (
        source.count(":") == 2 and "/" not in source
    )


def without_password(address: str) -> str:
    """An address that can be shown."""
    scheme, separator, rest = address.rpartition("://")
    credentials, at, host = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}{separator}{user}:***@{host}" if at else address


def database_of(address: str) -> str:
    """The database that ``mongodb://…/database`` names; empty if none."""
    return address.partition("://")[2].partition("/")[2].partition("?")[0]


def is_sacreds(address: str) -> bool:
    """Whether Sacred reads it after ``-m``, or we do: ``[host:port:]database``, or an URL."""
    if "://" in address:
        return bool(database_of(address))
    return _SACREDS.fullmatch(address) is not None
