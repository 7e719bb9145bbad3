"""What checkpoints cost: seconds, bytes, and the longest they hold training up at once.

    python benchmarks/checkpoint_cost.py run --minutes 25
    python benchmarks/checkpoint_cost.py buffer --dims 3s5z --new 400

``run`` trains MAST-QMIX on level-based foraging with all options at their defaults, so with a
checkpoint every ten minutes, and times everything that the keeper of checkpoints does in the
training loop. ``buffer`` writes a full replay buffer of made-up episodes once whole, then again
after ``--new`` more.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from epymarl_mast.hosts import find_host
from epymarl_mast.launch import check_on_loaded_host, prepare
from epymarl_mast.plugin import register
from epymarl_mast.resume import keeper as keeping
from epymarl_mast.resume.keeper import Keeper
from epymarl_mast.resume.rings import HostRing
from epymarl_mast.resume.writer import CheckpointWriter
from epymarl_mast.tracking.steady_files import records_survive_full_disk

TASK = ("env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=50")
# All that the runner calls of it: what they take is what checkpoints cost.
ENTRIES = ("of", "replays", "before_training", "after_training", "close")

# Agents, observation, state, actions, steps of the longest episode, mean steps.
DIMS = {"lbf": (2, 15, 30, 6, 50, 35), "3s5z": (8, 128, 216, 14, 150, 60)}


class Stopwatch:
    """Wall and processor time of the calls of some functions, by name."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, float] = {}

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed; processor time is that of its thread."""
        wall, _ = self.wall.setdefault(name, []), self.cpu.setdefault(name, 0.0)

        @functools.wraps(function)
        def timed(*args: Any, **named: Any) -> Any:
            # Inside the wall time is no other system call, at which a busy machine would switch.
            cpu, started = time.thread_time(), time.perf_counter()
            try:
                return function(*args, **named)
            finally:
                wall.append(time.perf_counter() - started)
                self.cpu[name] += time.thread_time() - cpu

        return timed

    def said(self, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
        """Of each: calls, seconds of wall and processor time, and the longest call."""
        return {
            name: {
                "calls": len(self.wall[name]),
                "wall_s": round(sum(self.wall[name]), 3),
                "cpu_s": round(self.cpu[name], 3),
                "longest_ms": round(1000 * max(self.wall[name], default=0.0), 1),
            }
            for name in names
        }


class TimedRun:
    """A whole run at default settings, ended after some minutes.

    Args:
        minutes: of training after which it comes to its end.
    """

    def __init__(self, minutes: float) -> None:
        self._seconds = 60 * minutes
        self._watch = Stopwatch()
        self._began = self._ended = self._cpu = 0.0
        self._checkpoints: list[dict[str, Any]] = []

    def train(self, host: str, results: str, extra: list[str]) -> dict[str, Any]:
        """Train.

        Returns:
            What was measured: of the whole loop, and of each part.
        """
        before, after, close = Keeper.before_training, Keeper.after_training, Keeper.close
        of, complete = Keeper.__dict__["of"].__func__, CheckpointWriter._complete
        timed = self._watch.around

        def begun(keeper: Keeper) -> None:
            if not self._began:
                self._began, self._cpu = time.perf_counter(), time.thread_time()
            before(keeper)

        def stepped(keeper: Keeper) -> None:
            after(keeper)
            if time.perf_counter() - self._began > self._seconds:
                keeper._runner.args.t_max = 0  # the loop ends as it does at its last step

        def closed(keeper: Keeper) -> None:
            self._ended = time.perf_counter()
            self._cpu = time.thread_time() - self._cpu
            close(keeper)

        def completed(writer: CheckpointWriter) -> None:
            complete(writer)
            files = [file.stat().st_size for file in writer._folder.iterdir()]
            self._checkpoints.append({
                "t_env": writer._done[-1].t_env,
                "complete_after_s": round(time.perf_counter() - self._began, 1),
                "mib_in_folder": round(sum(files) / 2**20, 1),
            })  # fmt: skip

        Keeper.of = classmethod(timed("of", of))  # type: ignore[method-assign, assignment]
        Keeper.replays = timed("replays", Keeper.replays)  # type: ignore[method-assign]
        Keeper.before_training = timed("before_training", begun)  # type: ignore[method-assign]
        Keeper.after_training = timed("after_training", stepped)  # type: ignore[method-assign]
        Keeper.close = timed("close", closed)  # type: ignore[method-assign]
        keeping.gather = timed("gather", keeping.gather)
        CheckpointWriter._complete = completed  # type: ignore[method-assign]
        for name in ("begin", "advance"):
            setattr(CheckpointWriter, name, timed(name, getattr(CheckpointWriter, name)))
        found = find_host(host)
        options = [*TASK, "seed=1", f"local_results_path={results}", *extra]
        command = ["--config=mast_qmix", "--env-config=gymma", "with", *options]
        invocation = prepare(found, command)
        check_on_loaded_host(found, register(found, show_progress=False), invocation.config)
        os.environ.setdefault("MAST_HOST_PLOTS", "0")
        with records_survive_full_disk():
            found.run(invocation.arguments, invocation.results)
        return self._measured()

    def _measured(self) -> dict[str, Any]:
        entries = self._watch.said(ENTRIES)
        seconds = self._ended - self._began
        cost = {kind: sum(own[kind] for own in entries.values()) for kind in ("wall_s", "cpu_s")}
        return {
            "training_wall_s": round(seconds, 1),
            "training_cpu_s": round(self._cpu, 1),
            "checkpoints": self._checkpoints,
            "share_of_wall": f"{cost['wall_s'] / seconds:.3%}",
            "share_of_cpu": f"{cost['cpu_s'] / self._cpu:.3%}",
            "longest_stall_ms": max(own["longest_ms"] for own in entries.values()),
            "entries": entries,
            "of_which": self._watch.said(("gather", "begin", "advance")),
            "longest_pieces_ms": [
                round(1000 * wall) for wall in sorted(self._watch.wall["before_training"])[-10:]
            ],
        }


def episode(dims: tuple[int, ...], rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """A made-up episode whose numbers compress about as a real one's."""
    agents, observation, state, actions, longest, mean = dims
    steps = int(np.clip(rng.normal(mean, mean / 4), 2, longest))

    def numbers(*shape: int) -> torch.Tensor:
        drawn = rng.random(shape, np.float32)
        return torch.from_numpy(np.where(rng.random(shape) < 0.5, 0.0, drawn).astype(np.float32))

    fields = {
        "state": torch.zeros(longest + 1, state),
        "obs": torch.zeros(longest + 1, agents, observation),
        "actions": torch.zeros(longest + 1, agents, 1, dtype=torch.long),
        "avail_actions": torch.zeros(longest + 1, agents, actions, dtype=torch.int32),
        "reward": torch.zeros(longest + 1, 1),
        "terminated": torch.zeros(longest + 1, 1, dtype=torch.uint8),
        "actions_onehot": torch.zeros(longest + 1, agents, actions),
        "filled": torch.zeros(longest + 1, 1, dtype=torch.long),
    }
    fields["state"][:steps] = numbers(steps, state)
    fields["obs"][:steps] = numbers(steps, agents, observation)
    fields["actions"][:steps] = torch.from_numpy(rng.integers(0, actions, (steps, agents, 1)))
    fields["avail_actions"][:steps] = torch.from_numpy(rng.integers(0, 2, (steps, agents, actions)))
    fields["actions_onehot"][:steps].scatter_(2, fields["actions"][:steps], 1.0)
    fields["reward"][:steps] = numbers(steps, 1)
    fields["filled"][:steps] = 1
    return fields


def made_up_buffer(dims: str, episodes: int, new: int, place: Path | None) -> None:
    """Write a full buffer of made-up episodes, then what is new in it, and print the cost."""
    rng = np.random.default_rng(0)
    made = [episode(DIMS[dims], rng) for _ in range(64)]
    data = {
        key: torch.zeros(episodes, *field.shape, dtype=field.dtype)
        for key, field in made[0].items()
    }
    for slot in range(episodes):
        for key, field in made[slot % len(made)].items():
            data[key][slot] = field
    buffer = SimpleNamespace(
        buffer_size=episodes,
        episodes_in_buffer=episodes,
        data=SimpleNamespace(transition_data=data),
    )
    inserted = episodes
    ring = HostRing(buffer, lambda: inserted)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=place) as folder:
        writer = CheckpointWriter(Path(folder), [ring], 1, print)
        advance = watch.around("advance", writer.advance)
        for what, more in (("whole buffer", 0), (f"after {new} more episodes", new)):
            inserted += more
            watch.wall["advance"].clear()
            started = time.process_time()
            watch.around("begin", writer.begin)(inserted, {})
            while writer.busy:
                advance(1)
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            wall = watch.wall["advance"]
            print(
                f"{dims}, {what}: {time.process_time() - started:.2f} s of CPU, "
                f"{sum(wall):.2f} s in {len(wall)} pieces, longest "
                f"{1000 * max(wall):.0f} ms, {size / 2**20:.0f} MiB on the disk"
            )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    run = modes.add_parser("run", help="a whole run at default settings")
    run.add_argument("--host", default="pymarlzooplus")
    run.add_argument("--minutes", type=float, default=25, help="of training")
    run.add_argument("--results", type=Path, help="folder on the disk to measure")
    run.add_argument("extra", nargs="*", help="further options, as after 'with'")
    buffer = modes.add_parser("buffer", help="a full buffer of made-up episodes")
    buffer.add_argument("--dims", choices=DIMS, default="lbf")
    buffer.add_argument("--episodes", type=int, default=5000)
    buffer.add_argument("--new", type=int, default=400)
    buffer.add_argument("--out", type=Path, help="folder on the disk to measure")
    asked = parser.parse_args()
    if asked.mode == "buffer":
        made_up_buffer(asked.dims, asked.episodes, asked.new, asked.out)
        return
    with tempfile.TemporaryDirectory(dir=asked.results) as results:
        measured = TimedRun(asked.minutes).train(asked.host, results, asked.extra)
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
