"""The machine and the versions behind a figure."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from epymarl_mast import __version__
from epymarl_mast.cores import usable_cores
from epymarl_mast.hosts import Host


@dataclass(frozen=True)
class Machine:
    """What a record says of where it was measured.

    Attributes:
        cpu: model name.
        cores: cores that this process may use.
        gpu: name of the device used, None on the CPU.
        load: mean number of runnable processes over the last minute, before measuring.
        python, torch, numpy, numba, epymarl_mast: versions; numba None where it is missing.
        host, host_version: ``epymarl`` or ``pymarlzooplus``, and its commit or release.
    """

    cpu: str
    cores: int
    gpu: str | None
    load: float
    python: str
    torch: str
    numpy: str | None
    numba: str | None
    epymarl_mast: str
    host: str
    host_version: str

    @classmethod
    def here(cls, host: Host, device: str = "cpu") -> Machine:
        """This machine."""
        return cls(
            cpu=_cpu(),
            cores=usable_cores(),
            gpu=torch.cuda.get_device_name() if device == "cuda" else None,
            load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan"),
            python=platform.python_version(),
            torch=torch.__version__,
            numpy=_version("numpy"),
            numba=_version("numba"),
            epymarl_mast=__version__,
            host=host.name,
            host_version=host.version,
        )

    def as_record(self) -> Mapping[str, object]:
        """All figures, for JSON."""
        return asdict(self)

    def in_words(self) -> str:
        """One line for the terminal."""
        device = f", {self.gpu}" if self.gpu else ""
        return (
            f"{self.cpu}, {self.cores} cores (load {self.load:g}){device}; Python {self.python}, "
            f"torch {self.torch}, numba {self.numba or 'missing'}; {self.host} {self.host_version}"
        )


def _cpu() -> str:
    """Model name and, on x86, the widest vector unit: engines choose their code by it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields: dict[str, str] = {}
    for line in reversed(lines):
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    name = fields.get("model name") or platform.processor() or platform.machine()
    flags = fields.get("flags", "").split()
    vectors = next((unit for unit in ("avx512f", "avx2") if unit in flags), None)
    kernels = os.environ.get("NUMBA_CPU_NAME")  # compiled for another CPU
    notes = [*([vectors] if vectors else []), *([f"kernels for {kernels}"] if kernels else [])]
    return f"{name} ({', '.join(notes)})" if notes else name


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
