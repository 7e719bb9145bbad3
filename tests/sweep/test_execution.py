"""Running, failing, going on; the commands that are run are quick ones."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from epymarl_mast.cli.app import app
from epymarl_mast.sweep import one_run
from epymarl_mast.sweep.backends import Backend
from epymarl_mast.sweep.drive import drive
from epymarl_mast.sweep.one_run import execute
from epymarl_mast.sweep.plan import Run, read_sweep, short_titles
from epymarl_mast.sweep.state import RunState


def test_a_finished_run_is_noted_and_not_repeated(quick_run):
    run = quick_run()
    state = RunState(run)
    assert not state.finished
    assert execute(run) == 0
    assert state.finished
    assert state.tail() == state.log.read_text().splitlines()
    assert state.tail()[0].startswith("ran train --config=mast_qmix --env-config=gymma with seed=1")
    assert json.loads((state.folder / "done.json").read_text())["seconds"] == state.seconds
    state.log.unlink()
    assert execute(run) == 0
    assert not state.log.exists()


def test_a_failed_run_runs_again(quick_run):
    run = quick_run(seed=13)
    for _ in range(2):
        assert execute(run) == 1
        assert "seed=13" in RunState(run).tail()[0]
        RunState(run).log.unlink()
        assert not RunState(run).finished


CHECKPOINTS = (
    "mast.checkpoint_interval=40", "save_model=True", "save_model_interval=100", "seed=4",
)  # fmt: skip


@pytest.mark.long
def test_a_killed_run_ends_as_one_that_was_left_alone(
    tmp_path, monkeypatch, small_run, kill_test, signalled_mast
):
    options = tuple(option.split("=") for option in (*small_run, *CHECKPOINTS))
    options = tuple((key, yaml.safe_load(value)) for key, value in options)
    runs = {
        name: Run("mast_qmix", "gymma", (), options, "pymarlzooplus", str(tmp_path / name), None)
        for name in ("whole", "broken")
    }
    monkeypatch.setenv("MAST_HOST_PLOTS", "0")
    assert execute(runs["whole"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(one_run, "PROGRAM", (sys.executable, "-c", signalled_mast))
        patch.setenv("AT_FILE", "5")
        patch.setenv("SIGNAL", "9")
        assert execute(runs["broken"]) == -9
    assert execute(runs["broken"]) == 0
    assert len(list((tmp_path / "broken").glob("sacred/*/*/*/run.json"))) == 1
    assert kill_test.differences(tmp_path / "whole", tmp_path / "broken") == []


def test_who_comes_second_waits_and_runs_nothing(quick_run):
    run, codes, times = quick_run(), [], []

    def work():
        codes.append(execute(run))
        times.append(RunState(run).log.stat().st_mtime_ns)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert codes == [0, 0, 0]
    assert len(set(times)) == 1


def test_progress_is_read_from_the_end_of_the_log(quick_run):
    state = RunState(quick_run())
    state.folder.mkdir(parents=True)
    assert state.progress() == 0.0
    state.log.write_text(
        "x" * 50_000 + "\rtraining:  25%|##  | 500/2000 [00:05<00:15]\n"
        "training:  45%|##  | 900/2000 [00:05<00:15, 100 env steps/s, train return 0.01]\n"
    )
    assert state.progress() == 0.45
    state.log.write_text("t_env: 300 / 400\nEstimated time left\n")
    assert state.progress() == 0.75


class Instant(Backend):
    """Ends every run at once; those with odd seeds fail."""

    workers = 2

    def __init__(self):
        self.running, self.most, self.stopped = [], 0, False

    def start(self, run):
        self.running.append(run)
        self.most = max(self.most, len(self.running))

    def ended(self):
        ended, self.running = self.running[:1], self.running[1:]
        return [(run, dict(run.options)["seed"] % 2) for run in ended]

    def stop(self):
        self.stopped = True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failed_run_does_not_stop_the_others(quick_run, monkeypatch, terminal):
    monkeypatch.setattr("epymarl_mast.sweep.drive._SECONDS_BETWEEN_LOOKS", 0.01)
    backend, said = Instant(), io.StringIO()
    console = Console(file=said, force_terminal=terminal, width=100)
    failures = drive([quick_run(seed=seed) for seed in range(1, 6)], backend, console)
    assert [dict(failure.run.options)["seed"] for failure in failures] == [1, 3, 5]
    assert backend.most == 2
    assert backend.stopped
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.getvalue())
    assert "[5/5] failed with exit code 1 after 0 s: seed=5" in text
    assert "[4/5] finished after 0 s: seed=4" in text
    assert ("all runs" in text) == terminal


ORPHAN = """
import json, pathlib, sys, time
from epymarl_mast.sweep import one_run, plan
one_run.PROGRAM = (sys.executable, "-c", sys.argv[2])
one_run.execute(plan.Run("mast_qmix", "gymma", (), (("seed", 1),), None, sys.argv[1], None))
"""
TRAINING = """
import json, pathlib, sys, time
options = dict(word.split("=", 1) for word in sys.argv if "=" in word)
time.sleep(1.5)
folder = pathlib.Path(options["local_results_path"], "sacred", "mast_qmix", "task", "1")
folder.mkdir(parents=True)
(folder / "config.json").write_text(json.dumps({"label": options["label"]}))
times = {"start_time": "2026-01-01T00:00:00", "stop_time": "2026-01-01T00:01:30"}
(folder / "run.json").write_text(json.dumps({"status": "COMPLETED", **times}))
"""


def test_a_run_that_a_kill_left_behind_is_waited_for_and_not_repeated(quick_run):
    run = quick_run()
    process = subprocess.Popen([sys.executable, "-c", ORPHAN, run.results, TRAINING])
    [training] = wait_for(lambda: children(process.pid))
    process.kill()
    process.wait()
    assert alive(training)
    log = RunState(run).log
    written = log.stat().st_mtime_ns
    assert execute(run) == 0
    assert not alive(training)
    assert RunState(run).seconds == 90.0
    assert log.stat().st_mtime_ns == written  # what it would have run has run nothing


def test_stopping_ends_the_runs(quick_run):
    """SIGTERM to the process that cares for a run ends the run too."""
    program = (
        "import sys, dataclasses\nfrom epymarl_mast.sweep import one_run, plan\n"
        "run = plan.Run('a', 'b', (), (), None, sys.argv[1], None)\n"
        "plan.Run.arguments = ['bench', 'acting', '--repeats', '100000', '--host=pymarlzooplus']\n"
        "one_run.execute(run)\n"
    )
    folder = quick_run().results
    process = subprocess.Popen([sys.executable, "-c", program, folder])
    child = wait_for(lambda: children(process.pid))
    process.terminate()
    # Where tests run in the background of a shell, SIGINT is ignored: what comes next ends it then.
    assert process.wait(one_run.SECONDS_TO_END + 40) == 143
    assert wait_for(lambda: not alive(child[0]))


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def alive(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


def wait_for(condition):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("waited 20 s")


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.delenv("EPYMARL_HOME", raising=False)

    def run(*arguments):
        result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "60"})
        assert result.exception is None, result.exception
        return result.output

    return run


def test_dry_run_lists_and_estimates(invoke, sweep_file):
    file = sweep_file()
    runs = read_sweep(file).runs
    said = invoke("sweep", file, "--dry-run")
    titles = short_titles(runs)
    for run in runs:
        [line] = [line for line in said.splitlines() if run.id in line]
        assert titles[run] in line
    assert "no run has finished in one go yet" in said
    for run, seconds in ((runs[0], 60), (runs[1], 120)):
        RunState(run).folder.mkdir(parents=True)
        RunState(run).finish(seconds)
    said = invoke("sweep", file, "--dry-run", "--workers", "3")
    assert "finished in 60 s" in said
    assert (
        "6 runs left: about 3.0 minutes with 3 at a time, by the mean time of 2 finished runs"
        in said
    )


def test_slurm_gets_a_task_for_each_run_that_is_left(invoke, sweep_file, tmp_path):
    file = sweep_file()
    first, *left = read_sweep(file).runs
    RunState(first).folder.mkdir(parents=True)
    RunState(first).finish(1.0)
    script = tmp_path / "array.sh"
    script.write_text(invoke("sweep", file, "--slurm"))
    assert "#SBATCH --array=0-6" in script.read_text()
    script.write_text(script.read_text().replace("exec ", "echo "))
    done = subprocess.run(
        ["bash", script], env={"SLURM_ARRAY_TASK_ID": "6", "PATH": "/bin:/usr/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-2:] == ["--only", left[6].id]


def test_a_run_alone_says_where_its_log_is(invoke, sweep_file, capfd):
    file = sweep_file()
    run = read_sweep(file).runs[0]
    RunState(run).folder.mkdir(parents=True)
    RunState(run).finish(1.0)
    said = invoke("sweep", file, "--only", run.id) + capfd.readouterr().err
    assert f"{run.id}: log in {RunState(run).log}" in said
    assert f"{run.id}: finished" in said


def test_a_sweep_that_is_done_does_nothing(invoke, sweep_file):
    file = sweep_file()
    for run in read_sweep(file).runs:
        RunState(run).folder.mkdir(parents=True)
        RunState(run).finish(1.0)
    assert "nothing left to do, 8 runs finished" in invoke("sweep", file)
