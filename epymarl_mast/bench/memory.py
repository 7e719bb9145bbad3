"""Peak memory of one update, in a fresh process: ``python -m epymarl_mast.bench.memory``.

What is counted is the growth of resident memory (on the CPU; Linux tells its peak) or of what torch
has allocated (on CUDA) while the first full-size update runs. A small update before it has loaded
and compiled everything and made gradients and the optimiser's state.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import torch

from epymarl_mast.bench.plan import Plan
from epymarl_mast.bench.workplace import T_ENV, Workplace, configurations, use_threads

_MIB = 1024.0**2
_RESET_PEAK = "5"  # proc(5), clear_refs: set the peak resident size to the current one


def peak_of_update(plan: Plan, side: str) -> float | None:
    """Memory that one update of a side takes beyond what the learner holds; MiB.

    Returns:
        None where the system does not tell.
    """
    done = subprocess.run(
        [sys.executable, "-m", "epymarl_mast.bench.memory", side, json.dumps(asdict(plan))],
        capture_output=True,
        text=True,
    )
    answer = done.stdout.strip().splitlines()[-1:] if done.returncode == 0 else []
    return json.loads(answer[0]) if answer else None


def measure(plan: Plan, side: str) -> float | None:
    """The same in this process, which should be fresh."""
    use_threads(plan.threads)
    host, sides = configurations(plan)
    workplace = Workplace(host, plan.sizes, plan.device)
    learner = workplace.learner(sides[side])
    small = workplace.batch(1, 2, seed=1)
    full = workplace.batch(plan.sizes.episodes, plan.sizes.steps, seed=2)
    learner.train(small, T_ENV, 1)
    newest = getattr(learner.mac, "online_buffer", None)
    if newest is not None:
        newest.insert(full.data.transition_data)
    batch = full[: sides[side]["batch_size"]]
    if plan.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        learner.train(batch, T_ENV, 1)
        return (torch.cuda.max_memory_allocated() - before) / _MIB
    try:
        _return_free_memory()
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        resident = _status("VmRSS")
        learner.train(batch, T_ENV, 1)
        return (_status("VmHWM") - resident) / _MIB
    except (OSError, AttributeError):
        return None


def _return_free_memory() -> None:
    """Give freed heap back, so that an update cannot grow into it unseen."""
    ctypes.CDLL(None).malloc_trim(0)


def _status(name: str) -> int:
    """A size in this process's status; bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise OSError(f"no {name}")
    return 1024 * int(found[1])


def _main() -> None:
    side, text = sys.argv[1:]
    plan = Plan(**json.loads(text))
    print(json.dumps(measure(replace(plan, options=tuple(plan.options)), side)))


if __name__ == "__main__":
    _main()
