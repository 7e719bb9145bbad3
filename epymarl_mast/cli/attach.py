"""``mast attach`` and ``mast detach``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from epymarl_mast.errors import HostError
from epymarl_mast.hosts import attach as attaching
from epymarl_mast.hosts.epymarl import EPyMARL

Checkout = Annotated[Path, typer.Argument(help="Path of an EPyMARL checkout.")]


def attach(path: Checkout) -> None:
    """Make plain `python src/main.py --config=mast_qmix …` work in an EPyMARL checkout."""
    _tell(attaching.attach(_checkout(path)), "attached already, nothing changed")


def detach(path: Checkout) -> None:
    """Undo attach."""
    _tell(attaching.detach(_checkout(path)), "not attached, nothing changed")


def _checkout(path: Path) -> EPyMARL:
    if not EPyMARL.is_checkout(path):
        raise HostError(f"{path} is not an EPyMARL checkout (no src/main.py with its config there)")
    return EPyMARL(path.resolve())


def _tell(changed: list[str], nothing: str) -> None:
    for line in changed or [nothing]:
        typer.echo(line)
