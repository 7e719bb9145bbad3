"""Addresses of MongoDB databases, as Sacred and pymongo write them."""

from __future__ import annotations


def is_address(source: str) -> bool:
    """Whether a source of runs is a MongoDB and not a folder."""
    return source.startswith(("mongodb://", "mongodb+srv://")) or (
        source.count(":") == 2 and "/" not in source
    )


def without_password(address: str) -> str:
    """An address that can be shown."""
    scheme, separator, rest = address.rpartition("://")
    credentials, at, host = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}{separator}{user}:***@{host}" if at else address
