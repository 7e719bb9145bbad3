"""One timed training run in a process of its own: ``python -m epymarl_mast.bench.one_run JOB``."""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from epymarl_mast.bench.plan import DIMS
from epymarl_mast.bench.workplace import T_ENV, Workplace
from epymarl_mast.hosts import find_host
from epymarl_mast.launch import prepare


@dataclass(frozen=True)
class Job:
    """What the process is asked for.

    Attributes:
        host: ``pymarlzooplus`` or the path of an EPyMARL checkout.
        command: as after ``mast train``.
        dims: sizes of the command's task, for the warm-up.
        device: ``cpu`` or ``cuda``.
        answer: file that the times are written to.
        started: when the process was started; seconds since the epoch.
    """

    host: str
    command: list[str]
    dims: str
    device: str
    answer: str
    started: float


@dataclass(frozen=True)
class RunTimes:
    """Where the time of a run went, in seconds.

    Attributes:
        imports_s: from the start of the process until everything is imported, the environment's
            package included.
        warm_up_s: one episode and one update of networks like those of the run, without the
            environment: compilation, or its cache, and lazy imports.
        training_s: the host's ``run_sequential``: the whole run, evaluation included.
    """

    imports_s: float
    warm_up_s: float
    training_s: float


def run(job: Job) -> RunTimes:
    """Import, warm up, then run the host's own main and time its ``run_sequential``."""
    host = find_host(job.host)
    invocation = prepare(host, job.command)
    workplace = Workplace(host, DIMS[job.dims], job.device)
    run_module = workplace.host_module("run")
    importlib.import_module(invocation.config["env_args"]["key"].partition(":")[0])
    imports = time.time() - job.started

    start = time.perf_counter()
    _warm_up(workplace, invocation.config)
    warm_up = time.perf_counter() - start

    seconds: list[float] = []
    run_sequential = run_module.run_sequential

    def timed(*args: Any, **named: Any) -> Any:
        start = time.perf_counter()
        returned = run_sequential(*args, **named)
        seconds.append(time.perf_counter() - start)
        return returned

    with mock.patch.object(run_module, "run_sequential", timed):
        host.run(invocation.arguments, invocation.results)
    return RunTimes(imports, warm_up, seconds[0])


def _warm_up(workplace: Workplace, config: dict[str, Any]) -> None:
    config = {"seed": 1, **config}
    dims = workplace.dims
    learner = workplace.learner(config)
    workplace.runner(config, learner.mac).run(test_mode=False)
    learner.train(workplace.batch(dims.episodes, dims.steps, seed=1), T_ENV, 1)


def _main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    times = run(job)
    Path(job.answer).write_text(json.dumps(asdict(times)), encoding="utf-8")


if __name__ == "__main__":
    _main()
