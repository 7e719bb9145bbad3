"""How ``mast train`` ends when a run does not complete."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

BROKEN = """
import sys
from lbforaging.foraging import ForagingEnv
from epymarl_mast.cli import main

def broken(self, actions):
    raise RuntimeError("this environment is broken")

ForagingEnv.step = broken
sys.argv[0] = "mast"
main()
"""


@pytest.fixture
def arguments(host, small_run):
    """``train … with …`` on each host in turn."""
    where = str(host.root) if host.name == "epymarl" else host.name
    return ("train", "--host", where, "--config=mast_qmix", "--env-config=gymma", "with",
            *small_run)  # fmt: skip


def status(folder):
    [record] = folder.glob("results/sacred/mast_qmix/*/1/run.json")
    return json.loads(record.read_text())["status"]


@pytest.mark.long_on("epymarl")
def test_a_failed_run_exits_with_1(run_program, arguments, tmp_path):
    done = run_program([sys.executable, "-c", BROKEN], arguments, tmp_path, code=1)
    assert "this environment is broken" in done.out + done.err
    assert "Run finished" not in done.out
    assert status(tmp_path) == "FAILED"


@pytest.mark.long
def test_ctrl_c_exits_with_130_and_says_where_the_results_lie(arguments, tmp_path):
    command = [sys.executable, "-m", "epymarl_mast", *arguments, "t_max=100000",
               "runner=mast_parallel", "batch_size_run=2"]  # fmt: skip
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "MAST_HOST_PLOTS": "0"}
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        run = subprocess.Popen(command, cwd=tmp_path, env=settings, stdout=file, stderr=file,
                               start_new_session=True)  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while "training:" not in said.read_text():
            assert run.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.2)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the workers too
        assert run.wait(timeout=60) == 130, said.read_text()
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    text = said.read_text()
    assert "Traceback" not in text
    assert "KeyboardInterrupt" not in text
    [record] = tmp_path.glob("results/sacred/mast_qmix/*/1")
    where = record.relative_to(tmp_path)
    assert f"mast: interrupted; the results so far are in {where}" in text.splitlines()
    assert status(tmp_path) == "INTERRUPTED"
