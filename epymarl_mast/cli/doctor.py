"""``mast doctor``: what this machine has, and the command that mends what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from epymarl_mast import __version__
from epymarl_mast.errors import HostError
from epymarl_mast.hosts import PyMARLzooPlus, find_host
from epymarl_mast.hosts.environments import PACKAGES, installed, starcraft_folder


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: what was looked for.
        ok: whether it is there.
        detail: version or place if it is there, else the command that mends it.
    """

    what: str
    ok: bool
    detail: str


def doctor() -> None:
    """Look for Python, torch, hosts, environments, StarCraft II and the MongoDB driver."""
    for finding in findings():
        typer.echo(
            f"{'ok     ' if finding.ok else 'missing'}  {finding.what:<28}  {finding.detail}"
        )


def findings() -> Iterator[Finding]:
    """All lines, in order."""
    yield Finding("epymarl-mast", True, __version__)
    yield Finding("Python", True, platform.python_version())
    yield _distribution("torch", "torch", "pip install torch==2.13.0")
    yield _distribution("sacred", "sacred", "pip install 'epymarl-mast[host]'")
    yield from _hosts()
    for package in PACKAGES.values():
        if installed(package):
            yield Finding(package.title, True, package.module)
        else:
            yield Finding(package.title, False, package.mend)
    yield from _starcraft()
    yield _distribution("MongoDB driver", "pymongo", "pip install pymongo")


def _distribution(what: str, name: str, mend: str) -> Finding:
    try:
        return Finding(what, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(what, False, mend)


def _hosts() -> Iterator[Finding]:
    embedded = PyMARLzooPlus.installed()
    yield (
        Finding("host pymarlzooplus", True, embedded.version)
        if embedded
        else Finding("host pymarlzooplus", False, "pip install --no-deps pymarlzooplus==1.1.0")
    )
    try:
        host = find_host()
    except HostError as error:
        yield Finding("host epymarl", False, str(error))
        return
    if host.name == "epymarl":
        yield Finding("host epymarl", True, f"{host.root} at {host.version}")
    else:
        clone = (
            "git clone https://github.com/uoe-agents/epymarl && export EPYMARL_HOME=$PWD/epymarl"
        )
        yield Finding("host epymarl", False, clone)


def _starcraft() -> Iterator[Finding]:
    folder = starcraft_folder()
    if not folder.is_dir():
        yield Finding(
            "StarCraft II",
            False,
            "run EPyMARL's install_sc2.sh, then export SC2PATH=its StarCraftII folder",
        )
        return
    yield Finding("StarCraft II", True, str(folder))
    maps = list((folder / "Maps").rglob("*.SC2Map"))
    yield (
        Finding("StarCraft II maps", True, f"{len(maps)} below {folder / 'Maps'}")
        if maps
        else Finding("StarCraft II maps", False, f"unpack SMAC_Maps.zip into {folder / 'Maps'}")
    )
