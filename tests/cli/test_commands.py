"""``mast flops`` and ``mast doctor``."""

from __future__ import annotations

import importlib.metadata
import json
import re

import pytest
from typer.testing import CliRunner

from epymarl_mast.cli import doctor
from epymarl_mast.cli.app import app
from epymarl_mast.hosts import PyMARLzooPlus

DIMS = ("--n-agents", "8", "--obs", "128", "--state", "216", "--n-actions", "14")


@pytest.fixture
def invoke():
    def run(*arguments):
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_flops_of_3s5z(invoke):
    record = json.loads(invoke("flops", "--config=mast_qmix", *DIMS, "--json"))
    agent = 150 * 64 + 2 * 192 * 64 + 64 * 14
    mixer = 2 * 216 * 64 + 64 * 256 + 64 * 32 + 2 * 216 * 32 + 32
    assert record["dense_size"] == 2 * (agent + mixer)
    assert record["size_ratio"] == pytest.approx(0.1, abs=2e-4)
    agent_flops = (2 * 150 - 1) * 64 + 3 * 64 * (2 * 128 - 1) + (2 * 64 - 1) * 14
    mixer_flops = (
        2 * (2 * 216 - 1) * 64 + (2 * 64 - 1) * (256 + 32) + 2 * (2 * 216 - 1) * 32 + (2 * 32 - 1)
    )
    assert record["dense_flops_test"] == agent_flops
    assert record["dense_flops_train"] == 4 * 32 * (agent_flops + mixer_flops)
    assert record["flops_train_ratio"] == pytest.approx(0.1, abs=2e-3)


def test_flops_takes_options_of_the_run(invoke):
    half = json.loads(invoke("flops", "--config=mast_qmix_ns", *DIMS, "--json", "with",
                             "mast.sparsity=0.5", "use_rnn=False"))  # fmt: skip
    assert half["networks"]["agent"]["dense_size"] == 8 * ((128 + 14) * 64 + 64 * 64 + 64 * 14)
    assert half["size_ratio"] == pytest.approx(0.5, abs=1e-4)
    dense = json.loads(invoke("flops", "--config=mast_qmix", *DIMS, "--json", "with",
                              "config_overrides/ablations/no_sparsity.yaml"))  # fmt: skip
    assert dense["size_ratio"] == dense["flops_train_ratio"] == dense["flops_test_ratio"] == 1.0


def test_flops_of_weighted_qmix(invoke):
    record = json.loads(invoke("flops", "--config=mast_ow_qmix", *DIMS, "--json", "with", "dense"))
    dense = {name: own["dense_flops"] for name, own in record["networks"].items()}
    inputs = 216 + 8
    central = (2 * inputs - 1) * 256 + 2 * 511 * 256 + 511 + (2 * 216 - 1) * 256 + 511
    assert dense["central_mixer"] == central
    assert dense["central_agent"] == dense["agent"]
    monotonic = dense["agent"] + dense["mixer"]
    assert record["dense_flops_train"] == 32 * (3 * monotonic + 4 * (dense["agent"] + central))
    assert record["flops_train_ratio"] == 1.0


def test_flops_of_res(invoke):
    record = json.loads(invoke("flops", "--config=mast_res", *DIMS, "--json"))
    agent, mixer = (record["networks"][name]["dense_flops"] for name in ("agent", "mixer"))
    assert record["dense_flops_train"] == 32 * (4 * agent + (3 + 2 * 8 * 14) * mixer)
    assert record["flops_train_ratio"] == pytest.approx(0.1, abs=2e-3)


def test_flops_of_facmac(invoke):
    """4(A + C) + 7M: the policies' gradient passes the mixing network once more, forth and back."""
    record = json.loads(invoke("flops", "--config=mast_facmac", *DIMS, "--json"))
    agent, critic, mixer = (
        record["networks"][name]["dense_flops"] for name in ("agent", "critic", "mixer")
    )
    assert critic == (2 * 150 - 1) * 64 + (2 * 64 - 1) * (64 + 14)  # feed-forward
    assert record["dense_flops_train"] == 32 * (4 * agent + 4 * critic + 7 * mixer)
    assert record["flops_test"] == record["networks"]["agent"]["flops"]


def test_flops_of_comix(invoke):
    """Each decision, and each target, is 2 rounds of 64 passes; an action is 14 numbers."""
    record = json.loads(invoke("flops", "--config=mast_comix", *DIMS, "--json"))
    agent, mixer = (record["networks"][name]["dense_flops"] for name in ("agent", "mixer"))
    inputs = 128 + 14 + 8
    assert agent == (2 * inputs - 1) * 64 + (2 * 64 - 1) * (64 + 1)
    assert record["dense_flops_test"] == 128 * agent
    assert record["dense_flops_train"] == 32 * ((3 + 128) * agent + 4 * mixer)


def test_flops_of_tiny_are_those_of_the_cut_networks(invoke):
    record = json.loads(invoke("flops", "--config=mast_qmix", *DIMS, "--json", "with", "tiny"))
    sparse = json.loads(invoke("flops", "--config=mast_qmix", *DIMS, "--json", "with", "rigl"))
    assert record["dense_size"] == sparse["dense_size"]
    assert record["size"] == pytest.approx(sparse["size"], rel=0.02)


def test_flops_table_names_every_part(invoke):
    table = invoke("flops", "--config=mast_vdn", *DIMS)
    for part in ("agent: weights", "total weights", "training", "inference"):
        assert part in table
    assert "mixer" not in table


def test_doctor_names_what_is_there_and_mends_what_is_not(invoke, monkeypatch, tmp_path):
    monkeypatch.delenv("EPYMARL_HOME", raising=False)
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    lines = {line[9:37].strip(): line for line in invoke("doctor").splitlines()}
    assert lines["host pymarlzooplus"].startswith("ok")
    assert PyMARLzooPlus.installed().version in lines["host pymarlzooplus"]
    assert lines["MPE, keys mpe:…"].startswith("ok")
    assert "git clone" in lines["host epymarl"]
    assert lines["StarCraft II"].startswith("ok")
    assert "SMAC_Maps" in lines["StarCraft II maps"]
    maps = tmp_path / "Maps" / "SMAC_Maps"
    maps.mkdir(parents=True)
    (maps / "3m.SC2Map").touch()
    assert "1 below" in invoke("doctor")
    for line in lines.values():
        assert line.startswith(("ok ", "missing ")), line


def test_doctor_names_each_extra_or_how_to_install_it(invoke, monkeypatch, repository):
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    declared = {
        extra: [re.match(r"[\w-]+", requirement)[0] for requirement in requirements]
        for extra, requirements in project["optional-dependencies"].items()
        if extra not in ("host", "dev")  # the host has lines of its own
    }
    assert declared == {extra: names for extra, (_, *names) in doctor.EXTRAS.items()}
    installed = invoke("doctor")
    assert re.search(r"^ok +agents to deploy \[export\] +safetensors \d", installed, re.MULTILINE)

    found = importlib.metadata.version
    extras = {name for names in declared.values() for name in names}

    def nothing(name):
        if name in extras:
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    missing = [
        line for line in invoke("doctor").splitlines() if "[" in line and "epymarl-mast" in line
    ]
    assert [line.split("pip install ")[1] for line in missing if "] " in line] == [
        "'epymarl-mast[report]' (for pandas, scipy, matplotlib, jinja2)",
        "'epymarl-mast[export]' (for safetensors)",
        "'epymarl-mast[onnx]' (for safetensors, onnx)",
        "'epymarl-mast[ray]' (for ray)",
        "'epymarl-mast[mamujoco]' (for gymnasium-robotics)",
        "'epymarl-mast[smax]' (for jaxmarl)",
        "'epymarl-mast[mongo]' (for pymongo)",
        "'epymarl-mast[tensorboard]' (for tensorboard-logger, protobuf)",
    ]


def test_doctor_names_a_broken_epymarl_home(invoke, monkeypatch, tmp_path):
    monkeypatch.setenv("EPYMARL_HOME", str(tmp_path))
    assert f"EPYMARL_HOME={tmp_path} is not an EPyMARL checkout" in invoke("doctor")


def test_version(invoke):
    assert invoke("--version").startswith("epymarl-mast ")
