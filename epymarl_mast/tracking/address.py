"""Addresses of MongoDB databases, as Sacred and pymongo write them."""

from __future__ import annotations

import os
import re

from epymarl_mast.errors import OptionError

_SACREDS = re.compile(r"(?:[\w.-]+:\d{1,5}|(?:[\w.-]+:\d{1,5}:)?[A-Za-z_][\w.:-]*)(?:!-?\d+)?")

# Of an URL's query, by their names in MongoDB's drivers.
_SECRET_OPTIONS = re.compile(
    r"([?&](?:tlsCertificateKeyFilePassword|authMechanismProperties|ssl_pem_passphrase)=)[^&]*",
    re.IGNORECASE,
)


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
    """An address that can be shown: the password of its user is left out, and that of a key."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    credentials, at, host = rest.rpartition("@")
    user = credentials.partition(":")[0]
    host = _SECRET_OPTIONS.sub(r"\1***", host)
    return f"{scheme}{separator}{user}:***@{host}" if at else f"{scheme}{separator}{host}"


def check_url(address: str, shown: str) -> None:
    """Refuse an URL of a MongoDB that no driver can read.

    The driver's own message may quote a part of the password, where it has a character that
    divides an address.

    Args:
        address: any that is :func:`resolved`.
        shown: what to call it.

    Raises:
        OptionError: saying what is usually wrong.
    """
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    scheme, separator, rest = address.partition("://")
    if not separator:
        return
    try:
        # Of mongodb+srv:// the driver would ask a server for the rest.
        parse_uri(f"mongodb://{rest}" if scheme == "mongodb+srv" else address)
    except (PyMongoError, ValueError):
        raise OptionError(
            f"{shown} is no address that MongoDB's driver can read: "
            "mongodb://host:port/database is; special characters of user and password are "
            "written as %XX"
        ) from None


def database_of(address: str) -> str:
    """The database that ``mongodb://…/database`` names; empty if none."""
    return address.partition("://")[2].partition("/")[2].partition("?")[0]


def is_sacreds(address: str) -> bool:
    """Whether Sacred reads it after ``-m``, or we do: ``[host:port:]database``, or an URL."""
    if "://" in address:
        return bool(database_of(address))
    return _SACREDS.fullmatch(address) is not None
