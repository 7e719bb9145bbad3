"""SIGTERM and Ctrl-C while a run starts: imports, compilation, before the first episode."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from epymarl_mast.errors import RunStopped
from epymarl_mast.resume.stopping import ends_when_told, told

# Where in its start the signal comes: what is called then sends it.
PLACES = {
    "imports": "epymarl_mast.launch prepare",
    "loading the host": "epymarl_mast.plugin register",
    "making networks": "epymarl_mast.learners.sparse_networks SparseNetworks",
}
TOLD = """
import importlib, os, sys
module, name = os.environ["PLACE"].split()
module = importlib.import_module(module)
whole = getattr(module, name)

def told(*args, **named):
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    return whole(*args, **named)

for other in [m for n, m in sys.modules.items() if n.startswith("epymarl_mast")]:
    if getattr(other, name, None) is whole:
        setattr(other, name, told)
SWALLOW
sys.argv[0] = "mast"
from epymarl_mast.cli import main
main()
"""
# A callback from which no exception comes out, as compilers and destructors have them.
SWALLOWED = """
def told(*args, **named):
    try:
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    except BaseException:
        pass
    return whole(*args, **named)
import epymarl_mast.learners.q_learner as users
users.SparseNetworks = told
"""


@pytest.fixture
def told_to_end(run_program, host, small_run, tmp_path):
    """Run ``mast train`` until a place, and send a signal there."""
    where = str(host.root) if host.name == "epymarl" else host.name
    arguments = ("train", "--host", where, "--config=mast_qmix", "--env-config=gymma", "with",
                 *small_run, "mast.engine=masked")  # fmt: skip

    def run(place, number, code, more=""):
        program = [sys.executable, "-c", TOLD.replace("SWALLOW", more)]
        environment = {"PLACE": PLACES[place], "SIGNAL": str(int(number))}
        return run_program(program, arguments, tmp_path, code, **environment)

    return run


def statuses(folder):
    records = folder.glob("results/sacred/*/*/*/run.json")
    return [json.loads(record.read_text())["status"] for record in records]


@pytest.mark.parametrize(
    ("place", "number", "code"),
    [
        ("imports", signal.SIGTERM, 143),
        pytest.param("imports", signal.SIGINT, 130, marks=pytest.mark.long),
        pytest.param("loading the host", signal.SIGTERM, 143, marks=pytest.mark.long),
    ],
)
@pytest.mark.long_on("epymarl")
def test_before_there_is_a_record_it_ends_in_one_line(told_to_end, tmp_path, place, number, code):
    done = told_to_end(place, number, code)
    assert done.err.splitlines()[-1] == "mast: interrupted"
    assert "Traceback" not in done.err
    assert statuses(tmp_path) == []


@pytest.mark.long_on("epymarl")
def test_before_the_first_episode_the_record_says_so_and_it_can_begin_again(
    told_to_end, mast, host, tmp_path
):
    done = told_to_end("making networks", signal.SIGTERM, 143)
    assert "mast: interrupted; the results so far are in results/sacred" in done.err
    assert "mast: it has no checkpoint: --resume would begin it again" in done.err
    assert "Traceback" not in done.err
    assert statuses(tmp_path) == ["INTERRUPTED"]
    on = ("--host", host.root) if host.name == "epymarl" else ()
    mast(tmp_path, "train", "--resume", tmp_path / "results", *on)
    assert statuses(tmp_path) == ["COMPLETED"]


@pytest.mark.long
def test_a_signal_that_a_compiler_swallowed_is_heard_at_the_first_episode(told_to_end, tmp_path):
    done = told_to_end("making networks", signal.SIGTERM, 143, SWALLOWED)
    assert "by: mast train --resume" in done.err
    assert statuses(tmp_path) == ["INTERRUPTED"]
    assert list(tmp_path.glob("results/sacred/*/*/*/checkpoints/checkpoint_000000000000.json"))


def test_handlers_are_what_they_were(capsys):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    said = []

    def run():
        with ends_when_told():
            said.append(told())
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except RunStopped:
                said.append(told())
                raise

    with pytest.raises(SystemExit) as ended:
        run()
    assert said == [None, 143]
    assert ended.value.code == 143
    assert capsys.readouterr().err == "mast: interrupted\n"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
