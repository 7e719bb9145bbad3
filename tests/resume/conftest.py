"""Runs with many checkpoints."""

from __future__ import annotations

import sys

import pytest
from signalled import CHECKPOINTS, MAST


@pytest.fixture
def command(host, small_run):
    """``train`` with checkpoints on each host in turn."""
    where = str(host.root) if host.name == "epymarl" else host.name
    return ("train", "--host", where, "--config=mast_qmix", "--env-config=gymma", "with",
            *small_run, *CHECKPOINTS)  # fmt: skip


@pytest.fixture
def signalled(run_program):
    """Run ``mast …`` until a file of a checkpoint is written, and send it a signal there."""

    def run(folder, arguments, at_file, signal, code):
        folder.mkdir(exist_ok=True)
        program = [sys.executable, "-c", MAST]
        return run_program(program, arguments, folder, code, AT_FILE=str(at_file), SIGNAL=signal)

    return run
