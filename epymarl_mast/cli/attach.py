"""``mast attach`` and ``mast detach``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epymarl_mast.hosts import attach as attaching
from epymarl_mast.hosts import find_host
from epymarl_mast.hosts.epymarl import EPyMARL

Checkout = Annotated[Path, typer.Argument(help="Path of an EPyMARL checkout.")]


def attach(path: Checkout) -> None:
    """Make plain `python src/main.py --config=mast_qmix …` work in an EPyMARL checkout."""
    _tell(attaching.attach(_checkout(path)), "attached already, nothing changed")


def detach(path: Checkout) -> None:
    """Undo attach."""
    _tell(attaching.detach(_checkout(path)), "not attached, nothing changed")


def _checkout(path: Path) -> EPyMARL:
    host = find_host(str(path))
    assert isinstance(host, EPyMARL)
    return host


def _tell(changed: list[str], nothing: str) -> None:
    for line in changed or [nothing]:
        typer.echo(line)
