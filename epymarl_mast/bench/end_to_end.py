"""Whole training runs of stock, ours and ours dense, in processes of their own, run in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from epymarl_mast.bench.one_run import Job, RunTimes
from epymarl_mast.bench.plan import Plan, stock_options
from epymarl_mast.bench.timing import Ratio, Timing, interleave
from epymarl_mast.bench.workplace import T_ENV, Workplace, configurations
from epymarl_mast.errors import HostError
from epymarl_mast.hosts import find_host
from epymarl_mast.launch import prepare
from epymarl_mast.sparse import kernels

TASK = ("env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=50")


@dataclass(frozen=True)
class EndToEndResult:
    """Figures of ``mast bench end-to-end``; a sample is one run's time inside run_sequential.

    Attributes:
        runs: ``{"stock" | "ours" | "dense": the times of every round}``; ``dense`` is ours with
            every weight kept, left out if that is what ``ours`` is.
        steps: environment steps of a run.
        dense_engine: the engine of ``dense``: whose updates are faster there.
    """

    runs: dict[str, list[RunTimes]]
    steps: int
    dense_engine: str

    def timing(self, side: str) -> Timing:
        """Training time of a side's runs; the first call is the warm-up before the first one."""
        runs = self.runs[side]
        return Timing(tuple(1e3 * run.training_s for run in runs), runs[0].warm_up_s)

    def imports_s(self, side: str) -> float:
        """Median time from the start of a side's processes until all is imported; seconds."""
        return float(np.median([run.imports_s for run in self.runs[side]]))

    @property
    def ratio(self) -> Ratio:
        """Stock over ours."""
        return Ratio.of(self.timing("stock"), self.timing("ours"))

    @property
    def by_sparsity(self) -> Ratio | None:
        """Ours dense over ours: what sparsity alone gives."""
        if "dense" not in self.runs:
            return None
        return Ratio.of(self.timing("dense"), self.timing("ours"))

    def as_record(self) -> dict[str, Any]:
        """All figures as plain numbers."""
        sides = {
            side: {
                **self.timing(side).as_record(),
                "imports_s": [run.imports_s for run in runs],
                "warm_up_s": [run.warm_up_s for run in runs],
            }
            for side, runs in self.runs.items()
        }
        record = {
            "sample": f"one run of {self.steps} environment steps, inside run_sequential",
            **sides,
            "ratio_median": self.ratio.median,
            "ratio_quartiles": list(self.ratio.quartiles),
        }
        if self.by_sparsity is not None:
            record["dense_engine"] = self.dense_engine
            record["sparsity_ratio_median"] = self.by_sparsity.median
            record["sparsity_ratio_quartiles"] = list(self.by_sparsity.quartiles)
        return record


def bench_end_to_end(
    plan: Plan, steps: int, rounds: int, say: Callable[[str], None]
) -> EndToEndResult:
    """Measure.

    Args:
        plan: what to measure; its dims are those of the task.
        steps: environment steps of a run, ``t_max``.
        rounds: runs of each side.
        say: told one line after every run.

    Raises:
        OptionError: for an option that a side does not have, before any run.
        HostError: if a run fails.
    """
    host = find_host(plan.host)
    commands = {"stock": _stock(plan, steps), "ours": _ours(plan, steps)}
    dense_engine = fastest_dense_engine(plan)
    if plan.density < 1.0:
        commands["dense"] = [*commands["ours"], *_dense(dense_engine)]
    for command in commands.values():
        prepare(host, command)
    runs: dict[str, list[RunTimes]] = {side: [] for side in commands}
    for number in range(1, rounds + 1):
        for side, command in commands.items():
            times = _run(plan, [*command, f"seed={number}"], side)
            runs[side].append(times)
            say(
                f"round {number} of {rounds}, {side}: {times.training_s:.1f} s "
                f"(imports {times.imports_s:.1f} s, warm-up {times.warm_up_s:.1f} s)"
            )
    return EndToEndResult(runs, steps, dense_engine)


def fastest_dense_engine(plan: Plan, updates: int = 5) -> str:
    """The engine of ours whose updates with every weight kept take least time."""
    if plan.device != "cpu" or not kernels.available():
        return "masked"
    trains = {}
    for engine in ("masked", "sparse"):
        dense = replace(plan, density=1.0, options=(*plan.options, *_dense(engine)))
        host, sides = configurations(dense)
        workplace = Workplace(host, dense.sizes)
        batch = workplace.batch(dense.sizes.episodes, dense.sizes.steps, seed=1)
        trains[engine] = partial(workplace.learner(sides["ours"]).train, batch, T_ENV, 1)
    medians = {engine: t.median_ms for engine, t in interleave(trains, updates).items()}
    return min(medians, key=medians.__getitem__)


def _dense(engine: str) -> list[str]:
    return ["mast.sparsity=0.0", "mast.topology=static", f"mast.engine={engine}"]


def _common(plan: Plan, steps: int) -> list[str]:
    return [*TASK, f"t_max={steps}", "test_nepisode=10", f"use_cuda={plan.device == 'cuda'}"]


def _stock(plan: Plan, steps: int) -> list[str]:
    return [
        "--config=qmix", "--env-config=gymma", "with", *_common(plan, steps), "use_rnn=True",
        f"hidden_dim={plan.hidden}", *stock_options(plan.options),
    ]  # fmt: skip


def _ours(plan: Plan, steps: int) -> list[str]:
    return [
        "--config=mast_qmix", "--env-config=gymma", "with", *_common(plan, steps),
        f"hidden_dim={plan.hidden}", f"mast.sparsity={plan.sparsity}",
        *(_absolute(option) for option in plan.options),
    ]  # fmt: skip


def _absolute(option: str) -> str:
    """A run has a working directory of its own."""
    return str(Path(option).absolute()) if Path(option).is_file() else option


def _run(plan: Plan, command: list[str], side: str) -> RunTimes:
    with tempfile.TemporaryDirectory(prefix="mast-bench-") as folder:
        answer = Path(folder) / "times.json"
        job = Job(plan.host, command, plan.dims, plan.device, str(answer), time.time())
        done = subprocess.run(
            [sys.executable, "-m", "epymarl_mast.bench.one_run", json.dumps(asdict(job))],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MAST_HOST_PLOTS": "0"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0 or not answer.is_file():
            said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it said nothing"]
            raise HostError(f"the {side} run failed with exit code {done.returncode}: {said[-1]}")
        return RunTimes(**json.loads(answer.read_text(encoding="utf-8")))
