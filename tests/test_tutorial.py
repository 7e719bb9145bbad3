"""docs/tutorial.md does what it says, block by block."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import epymarl_mast
from epymarl_mast.export import load_agent
from epymarl_mast.sweep.plan import read_sweep
from epymarl_mast.sweep.state import RunState

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIM = '#!/bin/sh\nexec {python} -m epymarl_mast "$@"\n'


def blocks(repository):
    return BLOCK.findall((repository / "docs" / "tutorial.md").read_text(encoding="utf-8"))


def write_files(repository, folder):
    """The YAML and Python blocks, each under the name in its first line."""
    for kind, text in blocks(repository):
        if kind != "sh":
            (folder / text.partition("\n")[0].removeprefix("# ")).write_text(text)


def test_its_sweep_has_eight_runs_and_its_program_compiles(repository, tmp_path):
    write_files(repository, tmp_path)
    assert len(read_sweep(tmp_path / "sweep.yaml").runs) == 8
    compile((tmp_path / "act.py").read_text(), "act.py", "exec")
    assert sum(kind == "sh" for kind, _ in blocks(repository)) == 7


@pytest.mark.long
def test_a_users_day(repository, tmp_path):
    write_files(repository, tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (
        ("mast", SHIM.format(python=sys.executable)),
        ("python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'),
    ):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    script = "set -e\n" + "".join(text for kind, text in blocks(repository) if kind == "sh")
    source = Path(epymarl_mast.__file__).resolve().parent.parent
    settings = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(source),
        "MAST_HOST_PLOTS": "0",
    }
    settings.pop("EPYMARL_HOME", None)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=settings, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "stopped half-way" in said
    assert "nothing left to do, 8 runs finished" in said
    runs = read_sweep(tmp_path / "sweep.yaml").runs
    assert all(RunState(run).finished for run in runs)
    statuses = [
        json.loads(path.read_text())["status"]
        for path in tmp_path.glob("results/sacred/*/*/*/run.json")
    ]
    assert statuses.count("COMPLETED") == 8
    assert re.search(r"^8 runs compared, \d left out$", said, re.MULTILINE)
    table = (tmp_path / "report" / "performance.csv").read_text().splitlines()
    assert len(table) == 1 + 4
    assert (tmp_path / "report" / "report.html").stat().st_size > 50_000
    assert list((tmp_path / "masks").glob("*.gif"))
    assert load_agent(tmp_path / "agent.safetensors").header.observation == 15
    assert re.search(r"mean return of 10 episodes: \d", said)
