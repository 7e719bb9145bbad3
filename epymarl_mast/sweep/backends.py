"""Where runs are executed: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from epymarl_mast.cores import usable_cores
from epymarl_mast.errors import OptionError, needs_package
from epymarl_mast.sweep.one_run import SECONDS_TO_END, execute
from epymarl_mast.sweep.plan import Run


class Backend(ABC):
    """Executes runs side by side.

    Attributes:
        workers: how many at a time.
    """

    workers: int

    @abstractmethod
    def start(self, run: Run) -> None:
        """Begin a run."""

    @abstractmethod
    def ended(self) -> list[tuple[Run, int]]:
        """Runs that have ended since the last call, with their exit codes."""

    @abstractmethod
    def stop(self) -> None:
        """End the runs that are left, and everything else."""


class LocalProcesses(Backend):
    """A process a run, one core each.

    Args:
        file: the sweep's file, which the processes read again.
        workers: how many at a time; None: one for each core this process may use.
    """

    def __init__(self, file: Path, workers: int | None) -> None:
        self._file = file
        self.workers = workers or usable_cores()
        self._processes: list[tuple[Run, subprocess.Popen[bytes]]] = []

    def start(self, run: Run) -> None:
        program = [sys.executable, "-m", "epymarl_mast.sweep", str(self._file), run.id]
        process = subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._processes.append((run, process))

    def ended(self) -> list[tuple[Run, int]]:
        ended = [(run, p.returncode) for run, p in self._processes if p.poll() is not None]
        self._processes = [(run, p) for run, p in self._processes if p.returncode is None]
        return ended

    def stop(self) -> None:
        for _, process in self._processes:
            process.terminate()
        for _, process in self._processes:
            process.wait()


class RayCluster(Backend):
    """Ray tasks of one CPU each. All machines must see the same folders.

    Args:
        address: ``local`` for a cluster of this machine alone, else as for ``ray.init``.
        workers: how many at a time; None: the cluster's CPUs.

    Raises:
        OptionError: if the cluster does not answer.
    """

    def __init__(self, address: str, workers: int | None) -> None:
        with needs_package("mast sweep --ray", extra="ray"):
            import ray
        cluster: Any = ray
        self._ray = cluster
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            cluster.init(
                address=address,
                num_cpus=(workers or usable_cores()) if address == "local" else None,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise OptionError(f"--ray={address}: no Ray cluster there: {reason}") from None
        self.workers = workers or max(1, int(cluster.cluster_resources().get("CPU", 1)))
        self._execute = cluster.remote(num_cpus=1, max_retries=0)(execute)
        self._running: dict[Any, Run] = {}

    def start(self, run: Run) -> None:
        self._running[self._execute.remote(run)] = run

    def ended(self) -> list[tuple[Run, int]]:
        references = list(self._running)
        ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        return [(self._running.pop(reference), self._code(reference)) for reference in ready]

    def stop(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference)
        if self._running:  # each ends its own subprocess first
            self._ray.wait(
                list(self._running), num_returns=len(self._running), timeout=SECONDS_TO_END
            )
        self._ray.shutdown()

    def _code(self, reference: Any) -> int:
        """Exit code of a run; 1 for one that its machine took down with it."""
        try:
            return int(self._ray.get(reference))
        except self._ray.exceptions.RayError:
            return 1
