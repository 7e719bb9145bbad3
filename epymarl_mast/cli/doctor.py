"""``mast doctor``: what this machine has, and the command that mends what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import typer

from epymarl_mast import __version__
from epymarl_mast.errors import HostError
from epymarl_mast.hosts import PyMARLzooPlus, find_host
from epymarl_mast.hosts.environments import PACKAGES, installed, starcraft_folder

EXTRAS = {
    "report": ("tables, pictures", "pandas", "scipy", "matplotlib", "jinja2"),
    "export": ("agents to deploy", "safetensors"),
    "onnx": ("agents as ONNX", "safetensors", "onnx"),
    "ray": ("sweeps on Ray", "ray"),
    "mamujoco": ("robots", "gymnasium-robotics"),
    "smax": ("battles without StarCraft II", "jaxmarl"),
    "mongo": ("MongoDB driver", "pymongo"),
    "tensorboard": ("TensorBoard files", "tensorboard-logger", "protobuf"),
}
"""``{extra of pyproject.toml: what it is for, and what it installs}``."""


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
    """Look for Python, torch, hosts, environments, StarCraft II and the optional extras."""
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
    for extra, (what, *distributions) in EXTRAS.items():
        yield _extra(extra, what, distributions)


def _extra(extra: str, what: str, distributions: Sequence[str]) -> Finding:
    """All distributions of an optional part of the package, or the command that installs them."""
    versions = {}
    for name in distributions:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    title = f"{what} [{extra}]"
    if missing := [name for name in distributions if name not in versions]:
        mend = f"pip install 'epymarl-mast[{extra}]' (for {', '.join(missing)})"
        return Finding(title, False, mend)
    return Finding(title, True, ", ".join(f"{name} {v}" for name, v in versions.items()))


def _distribution(what: str, name: str, mend: str) -> Finding:
    try:
        return Finding(what, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(what, False, mend)


def _hosts() -> Iterator[Finding]:
    embedded = PyMARLzooPlus.installed()
    if embedded:
        yield Finding("host pymarlzooplus", True, embedded.version)
        yield Finding("MPE, keys mpe:…", True, "in pymarlzooplus")
    else:
        mend = "pip install --no-deps pymarlzooplus==1.1.0"
        yield Finding("host pymarlzooplus", False, mend)
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
