"""Environments that return what nobody can learn from, and workers that are gone."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from epymarl_mast.bench.synthetic import IdleEnvironment
from epymarl_mast.errors import RunError
from epymarl_mast.runners.workers import WorkerWatch

NAN = float("nan")


@pytest.fixture
def runner(workplace, small):
    """An episode runner; its second episode, like all others, ends well."""
    config = small()
    return workplace.runner(config, workplace.learner(config).mac)


def broken_from(step, monkeypatch, name, value):
    """Have the environment's method return something else from a step on."""
    before = getattr(IdleEnvironment, name)

    def method(self, *args):
        right = before(self, *args)
        return value(right) if self._t >= step else right

    monkeypatch.setattr(IdleEnvironment, name, method)


def with_nan(right):
    wrong = np.array(right, np.float32)
    wrong[..., -1] = NAN
    return list(wrong) if wrong.ndim > 1 else wrong


BROKEN = {
    "nan in obs": ("get_obs", with_nan, "returned nan in the obs of agent 0, step 3"),
    "inf in obs": ("get_obs", lambda o: [o[0], o[1] * np.inf], "inf in the obs of agent 1, step 3"),
    "nan in state": ("get_state", with_nan, "returned nan in the state, step 3"),
    "nan reward": (
        "step", lambda out: tuple(NAN if part == 0.5 else part for part in out),
        "returned nan in the reward, step 2",
    ),
    "no action": (
        "get_avail_actions", lambda rows: [rows[0], [0] * len(rows[1])],
        "offered agent 1 no available action at step 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("test_mode", [False, True], ids=["training", "test"])
def test_what_cannot_be_learned_from_ends_the_run(runner, monkeypatch, capsys, fault, test_mode):
    name, value, said = BROKEN[fault]
    runner.run(test_mode=False)
    stored = len(runner.mac.online_buffer)
    broken_from(3, monkeypatch, name, value)
    with pytest.raises(SystemExit) as stopped:
        runner.run(test_mode=test_mode)
    assert stopped.value.code == 1
    assert isinstance(stopped.value.__cause__, RunError)
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert len(runner.mac.online_buffer) == stored  # nothing of it is learned from


def test_large_finite_numbers_are_no_fault(runner, monkeypatch):
    broken_from(0, monkeypatch, "get_obs", lambda o: [part * 0 + 3e38 for part in o])
    runner.run(test_mode=True)  # their sum is not finite


def test_an_environment_that_offers_nothing_when_it_is_over_is_no_fault(runner, monkeypatch):
    """The hosts too take no action there."""
    runner.run(test_mode=False)
    broken_from(5, monkeypatch, "get_avail_actions", lambda rows: [[0] * len(r) for r in rows])
    ends = {5: lambda out: (*out[:2], True, False, {}), 3: lambda out: (out[0], True, {})}
    broken_from(5, monkeypatch, "step", lambda out: ends[len(out)](out))
    runner.run(test_mode=False)


def answer(connection, code):
    """A worker that answers once, and then is gone."""
    connection.recv()
    connection.send("first")
    connection.recv()
    if code is None:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(code)


@pytest.mark.parametrize(
    ("code", "said"),
    [(None, r"worker 1 of 3 was killed by SIGKILL: .*batch_size_run"),
     (1, r"worker 1 of 3 ended with exit code 1: its own message is above")],
)  # fmt: skip
def test_a_worker_that_is_gone_is_noticed(code, said):
    """Although the others, and the runner, hold its end of the pipe open as the hosts' do."""
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _ in range(3)]
    runner = SimpleNamespace(parent_conns=[parent for parent, _ in pipes])
    watch = WorkerWatch(runner)
    runner.ps = [fork.Process(target=answer, args=(w, code), daemon=True) for _, w in pipes]
    for process in runner.ps:
        process.start()
    try:
        with watch.explained():
            for connection in runner.parent_conns:
                connection.send("step")
            assert [c.recv() for c in runner.parent_conns] == ["first"] * 3
        started = time.monotonic()
        runner.parent_conns[1].send("step")
        with pytest.raises(RunError, match=said), watch.explained():
            runner.parent_conns[1].recv()
        assert time.monotonic() - started < 10
    finally:
        watch.stop()
        for process in runner.ps:
            process.kill()


def test_an_error_of_something_else_is_not_explained_away():
    watch = WorkerWatch(SimpleNamespace())
    with pytest.raises(FileNotFoundError), watch.explained():
        raise FileNotFoundError
    watch.stop()


BREAK = """
import os, sys
from lbforaging.foraging import ForagingEnv
from epymarl_mast.cli import main

take, taken = ForagingEnv.step, [0]

def broken(self, actions):
    seen, rewards, *rest = take(self, actions)
    taken[0] += 1
    if taken[0] > 130:
        if os.environ["FAULT"] == "kill":
            os.kill(os.getpid(), 9)
        rewards = [float("nan")] * len(rewards)
    return (seen, rewards, *rest)

ForagingEnv.step = broken
sys.argv[0] = "mast"
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def broken_run(host, run_program, small_run, tmp_path):
    """``mast train`` on an environment that breaks after 130 steps; its output and its record."""

    def run(fault, *options):
        script = tmp_path / "broken.py"
        script.write_text(BREAK)
        where = str(host.root) if host.name == "epymarl" else host.name
        done = run_program(
            [sys.executable, script],
            ["train", "--host", where, "--config=mast_qmix", "--env-config=gymma", "with",
             *small_run, "mast.engine=masked", *options],
            tmp_path, code=1, FAULT=fault,
        )  # fmt: skip
        [record] = tmp_path.glob("results/sacred/mast_qmix/*/1/run.json")
        return done, json.loads(record.read_text())

    return run


@pytest.mark.long
def test_a_run_that_got_nan_failed_and_its_record_says_why(broken_run):
    done, record = broken_run("nan")
    [said] = [line for line in done.err.splitlines() if line.startswith("mast: error: ")]
    assert "returned nan in the reward" in said
    assert "mast: the run failed; its record is in results/sacred/mast_qmix/" in done.err
    assert record["status"] == "FAILED"
    assert "returned nan in the reward" in "".join(record["fail_trace"])
    assert "Traceback" not in done.err + done.out


@pytest.mark.long
def test_a_run_whose_worker_is_killed_ends(broken_run):
    done, record = broken_run("kill", "runner=mast_parallel", "batch_size_run=2")
    assert "of 2 was killed by SIGKILL" in done.err
    assert record["status"] == "FAILED"
    assert "of 2 was killed by SIGKILL" in "".join(record["fail_trace"])
