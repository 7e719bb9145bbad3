"""What a run was made with, in its record: ``host.epymarl_mast`` of Sacred's ``run.json``."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path
from typing import Any

from epymarl_mast import __version__
from epymarl_mast.hosts.base import Host

_PACKAGES = (
    "torch", "numpy", "numba", "sacred", "gymnasium", "lbforaging", "rware", "pettingzoo", "vmas",
    "smaclite", "SMAC", "SMACv2", "jaxmarl", "jax", "pymarlzooplus",
)  # fmt: skip


def note_provenance(host: Host) -> None:
    """Have every run that Sacred starts from now on record what it was made with."""
    from sacred.host_info import host_info_gatherers

    host_info_gatherers["epymarl_mast"] = lambda: provenance(host)


def provenance(host: Host) -> dict[str, Any]:
    """Versions of this package, of the host and of what environments come from; the CPU's cores.

    ``commit`` and ``host_commit`` are those of git checkouts, with ``+changes`` where files differ
    from them, and None for installed packages.
    """
    return {
        "version": __version__,
        "commit": commit(Path(__file__).resolve().parents[2]),
        "host": host.name,
        "host_version": host.version,
        "host_commit": commit(host.root),
        "cores": os.cpu_count(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def commit(folder: Path) -> str | None:
    """Commit of the git checkout whose root a folder is; None where it is not one."""
    if not (folder / ".git").exists():
        return None
    found = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{found}+changes" if found and changes else found or None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
