"""Run ``mast bench …`` in this process, with tiny settings."""

from __future__ import annotations

import json
import os
from unittest import mock

import pytest
from typer.testing import CliRunner

from epymarl_mast.cli.app import app


@pytest.fixture
def own_environment():
    """The commands set variables for their child processes; put them back afterwards."""
    with mock.patch.dict(os.environ):
        yield


def name_of(host):
    """How to name a host on the command line."""
    return str(host.root) if host.name == "epymarl" else host.name


@pytest.fixture
def where(host):
    return name_of(host)


@pytest.fixture
def measure_on(own_environment, tmp_path):
    """Run a command on a host; returns its record and what it printed."""

    def run(host, *arguments):
        file = tmp_path / "figures.json"
        command = ["bench", *arguments, "--host", name_of(host), "--json", str(file)]
        result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output + repr(result.exception)
        return json.loads(file.read_text()), result.output

    return run


@pytest.fixture
def measure(measure_on, host):
    """The same on each host in turn."""
    return lambda *arguments: measure_on(host, *arguments)
