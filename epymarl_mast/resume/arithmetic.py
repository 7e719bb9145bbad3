"""What a run's numbers depend on beside its options: another one goes on, but not bit for bit."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch

_PACKAGES = ("epymarl-mast", "torch", "numpy", "numba")


def arithmetic(learner: Any) -> dict[str, str]:
    """Engine, packages, vector units, machine type and threads, by name."""
    return {
        "engine": learner.engine.name,
        **{name: _version(name) for name in _PACKAGES},
        "Python": platform.python_version(),
        "CPU": f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}",
        "threads of torch": str(torch.get_num_threads()),
    }


def differences(before: Mapping[str, str], here: Mapping[str, str]) -> str:
    """``"torch 2.13.0 (here 2.14.0), …"``; empty where there are none.

    Args:
        before: of the checkpoint; what it lacks is not compared.
        here: of this process.
    """
    return ", ".join(
        f"{name} {before[name]} (here {value})"
        for name, value in here.items()
        if name in before and before[name] != value
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"
