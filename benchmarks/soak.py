"""A long run watched from inside: does memory grow, and do the invariants of sparsity hold?

``python benchmarks/soak.py --steps 200000 --out soak.json`` trains MAST-QMIX with topology
evolution on level-based foraging. Every 1 000 environment steps it notes the resident memory and
checks :func:`epymarl_mast.learners.invariants.violations`. The slope is that of a straight line
through the second half of the run, when the buffers have long been full, with its 95 % interval
from block means (samples next to each other are not independent): of resident memory, and of what
the C library has handed out and not got back, which leaves out its own fragmentation.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

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


class Watch:
    """Looks at a learner every so many environment steps.

    Attributes:
        samples: ``(t_env, resident bytes, bytes in use, gradient updates, seconds)``.
        problems: what was not as it must be.
    """

    def __init__(self, interval: int) -> None:
        self._interval, self._next = interval, 0
        self._started = time.monotonic()
        self.samples: list[tuple[float, ...]] = []
        self.problems: list[str] = []
        self.updates = 0

    def look(self, learner: Any, t_env: int) -> None:
        """Called after every gradient update."""
        if t_env < self._next:
            return
        self._next = t_env + self._interval
        seconds = time.monotonic() - self._started
        memory = (resident_bytes(), bytes_in_use())
        self.samples.append((t_env, *memory, learner.training_steps, seconds))
        self.problems += [f"t_env={t_env}: {what}" for what in violations(learner)]
        self.updates = learner.networks.topology.updates


def resident_bytes() -> int:
    """Memory of this process, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost")]  # fmt: skip


def bytes_in_use() -> int:
    """What glibc has handed out: its heap and its maps."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Mallinfo
    said = ask()
    return int(said.uordblks + said.hblkhd)


def slope(samples: list[tuple[float, ...]], column: int) -> list[int]:
    """Bytes per 1 000 steps over the second half, and its 95 % interval."""
    steps, memory = (np.array([row[i] for row in samples], float) for i in (0, column))
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
        "steps": watch.samples[-1][0],
        "buffer_size": asked.buffer,
        "seconds": round(watch.samples[-1][4], 1),
        "gradient_updates": watch.samples[-1][3],
        "topology_updates": watch.updates,
        "checks_of_invariants": len(watch.samples),
        "violations": watch.problems,
        "resident_bytes": [watch.samples[0][1], watch.samples[-1][1]],
        "resident_bytes_per_1000_steps": slope(watch.samples, 1),
        "bytes_in_use_per_1000_steps": slope(watch.samples, 2),
        "samples": watch.samples,
    }
    asked.out.write_text(json.dumps(seen))
    print(json.dumps({key: value for key, value in seen.items() if key != "samples"}, indent=2))


if __name__ == "__main__":
    main()
