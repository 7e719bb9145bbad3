"""Kill runs by SIGKILL at random moments, go on with them, and compare with runs left alone.

    python benchmarks/kill_test.py --runs 50 --out /tmp/kills

Each run is killed once or more, inside the writing of checkpoints too, as it writes one every few
episodes. It counts as lost if it does not end, or if a parameter, a mask, an optimiser's number, an
entry of ``info.json`` or a step or value of ``metrics.json`` is not, bit for bit, that of the
uninterrupted run of the same seed. Wall times are not compared.

``--warm`` forks each training process from one that has imported everything, which saves most of
the time; else each is a program of its own.
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

MAST = (sys.executable, "-m", "epymarl_mast", "train")
TRAINING = (
    "--config=mast_qmix", "--env-config=gymma", "with",
    "env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=25",
    "test_nepisode=4", "test_interval=250", "log_interval=100", "runner_log_interval=100",
    "learner_log_interval=100", "buffer_size=16", "batch_size=6", "mast.online_buffer_size=10",
    "mast.topology_interval=6", "save_model=True", "save_model_interval=250",
    "mast.checkpoint_interval=25", "mast.engine=masked",
)  # fmt: skip
SETTINGS: dict[str, tuple[str, ...]] = {
    "episode": (),
    "parallel": ("runner=mast_parallel", "batch_size_run=3"),
    "set": ("mast.topology=set", "mast.topology_interval=5", "standardise_returns=True"),
}


@dataclass(frozen=True)
class Kills:
    """How a run was treated: kills by SIGKILL, and how many of them left a checkpoint half done."""

    kills: int
    inside: int


class Forked:
    """A process forked from this one that runs ``mast train``, with the methods of ``Popen``."""

    def __init__(self, arguments: list[str], log: IO[bytes]) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.argv = ["mast", "train", *arguments]
            from epymarl_mast.cli import main as mast

            try:
                mast()
                code = 0
            except SystemExit as told:
                code = told.code if isinstance(told.code, int) else int(told.code is not None)
            except BaseException:
                traceback.print_exc()
                code = 1
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Exit code, once it has ended."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def warm_up(hosts: list[str]) -> None:
    """Import what training processes need."""
    needed = ["numba", "sacred", "gymnasium", "lbforaging", "epymarl_mast.plugin"]
    if "pymarlzooplus" in hosts:
        needed.append("pymarlzooplus")
    for name in needed:
        importlib.import_module(name)
    torch.set_num_threads(1)


def start(arguments: list[str], folder: Path, warm: bool) -> subprocess.Popen[bytes] | Forked:
    """A training process in a group of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "MAST_HOST_PLOTS": "0"}
    with (folder / "log.txt").open("ab") as log:
        if warm:
            return Forked(arguments, log)
        return subprocess.Popen(
            [*MAST, *arguments], stdout=log, stderr=log, env=settings, start_new_session=True
        )


def record_of(folder: Path) -> Path | None:
    """The Sacred directory of the run below a folder."""
    found = sorted(folder.glob("sacred/*/*/*/config.json"))
    assert len(found) <= 1, f"{folder} holds a second record"
    return found[0].parent if found else None


def train(arguments: list[str], folder: Path, warm: bool) -> float:
    """Train to the end; seconds from the record's beginning."""
    process, started = start(arguments, folder, warm), 0.0
    while process.poll() is None:
        time.sleep(0.05)
        if not started and record_of(folder):
            started = time.monotonic()
    if process.returncode != 0:
        raise RuntimeError(f"{folder}/log.txt: exit code {process.returncode}")
    return time.monotonic() - started


def train_and_kill(
    arguments: list[str], folder: Path, seconds: float, rng: random.Random, warm: bool
) -> Kills:
    """Train, kill, go on, maybe kill again, and go on to the end."""
    kills = inside = 0
    again = arguments
    while kills == 0 or (kills < 4 and rng.random() < 0.35):
        process = start(again, folder, warm)
        while record_of(folder) is None and process.poll() is None:
            time.sleep(0.02)
        # A run that goes on first imports everything, for about four seconds.
        time.sleep(rng.uniform(0.0, seconds) + (3.5 if kills and not warm else 0.0))
        if process.poll() is not None:
            if process.returncode != 0:
                raise RuntimeError(f"{folder}/log.txt: exit code {process.returncode}")
            return Kills(kills, inside)
        # The group: workers of the parallel runner die with it, as on a machine that goes away.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        record = record_of(folder)
        if record is not None:
            if _json_or_nothing(record / "run.json").get("status") == "COMPLETED":
                return Kills(kills, inside)
            inside += _half_done(record / "checkpoints")
            again = ["--resume", str(record)]
    train(again, folder, warm)
    return Kills(kills, inside)


def differences(reference: Path, other: Path) -> list[str]:
    """What is not the same in the results of two runs."""
    one, two = record_of(reference), record_of(other)
    assert one is not None
    assert two is not None
    found = []
    if _json(two / "run.json")["status"] != "COMPLETED":
        found.append("status")
    if _json(one / "run.json")["artifacts"] != _json(two / "run.json")["artifacts"]:
        found.append("artifacts")
    infos = _json(one / "info.json"), _json(two / "info.json")
    found += [f"info {k}" for k in infos[0].keys() | infos[1] if infos[0].get(k) != infos[1].get(k)]
    metrics = [
        {name: (m["steps"], m["values"]) for name, m in _json(run / "metrics.json").items()}
        for run in (one, two)
    ]
    if metrics[0] != metrics[1]:
        found.append("metrics")
    for kind, places in (("masks", (one, two)), ("models", (_models(reference), _models(other)))):
        pattern = "masks_*.npz" if kind == "masks" else "**/*.*"
        files = [{str(f.relative_to(p)): f for f in p.glob(pattern)} for p in places]
        if not files[0] or files[0].keys() != files[1].keys():
            found.append(f"{kind}: other files")
            continue
        for name, file in files[0].items():
            same = _same_masks if kind == "masks" else _same_tensors
            if not same(file, files[1][name]):
                found.append(f"{kind} {name}")
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--t-max", type=int, default=800)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--host", action="append", help="as of mast train; may be given twice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warm", action="store_true")
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    hosts = asked.host or ["pymarlzooplus"]
    if asked.warm:
        os.environ["MAST_HOST_PLOTS"] = "0"
        warm_up(hosts)
    cases = [(host, setting) for setting in SETTINGS for host in hosts]
    seconds: dict[tuple[str, str], float] = {}
    total, inside, lost = 0, 0, []
    for run in range(asked.runs):
        host, setting = case = cases[run % len(cases)]
        name = f"{Path(host).name}_{setting}"
        training = [
            "--host", host, *TRAINING, *SETTINGS[setting], "seed=5", f"t_max={asked.t_max}",
        ]  # fmt: skip
        reference = asked.out / f"{name}_reference"
        if case not in seconds:
            seconds[case] = train(
                [*training, f"local_results_path={reference}"], reference, asked.warm
            )
        folder = asked.out / f"{name}_{run:03d}"
        try:
            kills = train_and_kill(
                [*training, f"local_results_path={folder}"], folder, seconds[case], rng, asked.warm
            )
            found = differences(reference, folder)
            total, inside = total + kills.kills, inside + kills.inside
            said = f"{kills.kills} kills, {kills.inside} inside a checkpoint"
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            found, said = [str(error)], "failed"
        if found:
            lost.append(folder.name)
        print(f"{run + 1:3d} {name}: {said}; {', '.join(found) or 'bit-identical'}", flush=True)
    print(f"{asked.runs} runs, {total} kills, {inside} of them inside the writing of a checkpoint")
    print(f"lost: {len(lost)} {' '.join(lost)}")
    raise SystemExit(bool(lost))


def _half_done(checkpoints: Path) -> bool:
    """Whether there are files that no checkpoint names yet."""
    states = {f.stem.partition("_")[2] for f in checkpoints.glob("state_*")}
    whole = {f.stem.partition("_")[2] for f in checkpoints.glob("checkpoint_*.json")}
    return bool(states - whole) or any(checkpoints.glob("*.tmp"))


def _models(folder: Path) -> Path:
    """Where the models of a run are."""
    record = record_of(folder)
    assert record is not None
    if (record / "models").is_dir():
        return record / "models"
    tokens = list((folder / "models").iterdir())
    assert len(tokens) == 1, f"{folder} holds models of {len(tokens)} runs"
    return tokens[0]


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _json_or_nothing(path: Path) -> dict[str, Any]:
    """For a file that a kill may have torn."""
    try:
        return _json(path)
    except ValueError:
        return {}


def _same_masks(one: Path, two: Path) -> bool:
    import numpy as np

    with np.load(one) as a, np.load(two) as b:
        return sorted(a.files) == sorted(b.files) and all((a[k] == b[k]).all() for k in a.files)


def _same_tensors(one: Path, two: Path) -> bool:
    a, b = (dict(_leaves(torch.load(path, weights_only=True))) for path in (one, two))
    a, b = ({k: v for k, v in x.items() if k != ".options.resume"} for x in (a, b))
    return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}.{index}")
    else:
        yield name, value


if __name__ == "__main__":
    main()
