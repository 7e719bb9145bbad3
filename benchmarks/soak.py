"""A long run watched from inside: does memory grow, and do the invariants of sparsity hold?

``python benchmarks/soak.py --steps 200000 --out soak.json`` trains MAST-QMIX with topology
evolution on level-based foraging. Every 1 000 environment steps it notes the resident memory and
checks :func:`epymarl_mast.learners.invariants.violations`. The slope is that of a straight line
through the second half of the run, when the buffers have long been full, with its 95 % interval
from block means (samples next to each other are not independent): of resident memory; of the same
without the free part of the C library's heap, which shrinks and grows by megabytes as the library
gives its end back or not; of what the library has handed out; and of what Python's own allocator
has in use, in blocks. ``logged_values`` is how many values the host's logger has, which it keeps.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from epymarl_mast.hosts import find_host
from epymarl_mast.launch import check_on_loaded_host, prepare
from epymarl_mast.learners import MastQLearner
from epymarl_mast.learners.invariants import violations
from epymarl_mast.plugin import register
from epymarl_mast.tracking.steady_files import records_survive_full_disk

TASK = ("env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=50")
BLOCKS = 10
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """What is seen at once; memory in bytes."""

    t_env: int
    resident: int
    resident_less_free_heap: int
    in_use: int
    python_blocks: int
    logged_values: int
    gradient_updates: int
    seconds: float


SLOPES = ("resident", "resident_less_free_heap", "in_use", "python_blocks", "logged_values")


class Watch:
    """Looks at a learner every so many environment steps.

    Attributes:
        samples: one look each.
        problems: what was not as it must be.
    """

    def __init__(self, interval: int) -> None:
        self._interval, self._next = interval, 0
        self._started = time.monotonic()
        self.samples: list[Sample] = []
        self.problems: list[str] = []
        self.updates = 0

    def look(self, learner: Any, t_env: int) -> None:
        """Called after every gradient update."""
        if t_env < self._next:
            return
        self._next = t_env + self._interval
        seconds = time.monotonic() - self._started
        resident, heap = resident_bytes(), c_heap()
        self.samples.append(
            Sample(
                t_env,
                resident,
                resident - heap.fordblks,
                heap.uordblks + heap.hblkhd,
                sys.getallocatedblocks(),
                sum(map(len, learner.logger.stats.values())),
                learner.training_steps,
                seconds,
            )
        )
        self.problems += [f"t_env={t_env}: {what}" for what in violations(learner)]
        self.updates = learner.networks.topology.updates


def resident_bytes() -> int:
    """Memory of this process, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]  # fmt: skip


def c_heap() -> _Mallinfo:
    """What glibc says of its heap (``uordblks`` handed out, ``fordblks`` free) and maps."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Mallinfo
    said: _Mallinfo = ask()
    return said


def slope(samples: list[Sample], column: str) -> list[int]:
    """Growth per 1 000 steps over the second half, and its 95 % interval."""
    steps, memory = (
        np.array([getattr(row, name) for row in samples], float) for name in ("t_env", column)
    )
    late = steps >= steps[-1] / 2
    blocks = [
        (block[:, 0].mean(), block[:, 1].mean())
        for block in np.array_split(np.stack([steps[late], memory[late]], 1), BLOCKS)
    ]
    line = stats.linregress(*zip(*blocks, strict=True))
    margin = stats.t.ppf(0.975, BLOCKS - 2) * line.stderr
    return [round(1000 * (line.slope + way * margin)) for way in (0, -1, 1)]


def run(host: str, steps: int, every: int, buffer: int, results: str, extra: list[str]) -> Watch:
    """Train, and watch."""
    watch = Watch(every)
    train = MastQLearner.train

    def watched(learner: MastQLearner, batch: Any, t_env: int, episode_num: int) -> None:
        train(learner, batch, t_env, episode_num)
        watch.look(learner, t_env)

    MastQLearner.train = watched  # type: ignore[method-assign]
    options = [f"t_max={steps}", f"buffer_size={buffer}", "use_cuda=False", "seed=1",
               "test_interval=20000", "test_nepisode=20",
               f"local_results_path={results}"]  # fmt: skip
    found = find_host(host)
    command = ["--config=mast_qmix", "--env-config=gymma", "with", *TASK, *options, *extra]
    invocation = prepare(found, command)
    check_on_loaded_host(found, register(found, show_progress=True), invocation.config)
    os.environ.setdefault("MAST_HOST_PLOTS", "0")
    with records_survive_full_disk():
        found.run(invocation.arguments, invocation.results)
    return watch


def main() -> None:
    """Train, print and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="pymarlzooplus")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=1000, help="steps between two looks")
    parser.add_argument("--buffer", type=int, default=500, help="episodes; small, to be full early")
    parser.add_argument("--out", type=Path, default=Path("soak.json"))
    parser.add_argument("extra", nargs="*", help="further options, as after 'with'")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as results:
        watch = run(asked.host, asked.steps, asked.every, asked.buffer, results, asked.extra)
    seen = {
        "host": asked.host,
        "steps": watch.samples[-1].t_env,
        "buffer_size": asked.buffer,
        "seconds": round(watch.samples[-1].seconds, 1),
        "gradient_updates": watch.samples[-1].gradient_updates,
        "topology_updates": watch.updates,
        "checks_of_invariants": len(watch.samples),
        "violations": watch.problems,
        "resident_bytes": [watch.samples[0].resident, watch.samples[-1].resident],
        "per_1000_steps": {name: slope(watch.samples, name) for name in SLOPES},
        "samples": watch.samples,
    }
    asked.out.write_text(json.dumps(seen))
    print(json.dumps({key: value for key, value in seen.items() if key != "samples"}, indent=2))


if __name__ == "__main__":
    main()
