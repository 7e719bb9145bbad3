"""Wrong input to ``mast bench``: one line and exit code 2, before anything is measured."""

from __future__ import annotations

import sys

import pytest
import torch

from epymarl_mast.cli import main

WRONG = {
    "learner --dims=3s5x": ("--dims=3s5x", "'3s5z'", "lbf"),
    "acting --dims=nowhere": ("--dims=nowhere", "3s5z, lbf"),
    "learner --density=0": ("--density=0 ", "> 0 and <= 1"),
    "learner --density=1.5": ("--density=1.5", "> 0 and <= 1"),
    "acting --density=-1": ("--density=-1", "> 0 and <= 1"),
    "end-to-end --density=nan": ("--density=nan", "> 0 and <= 1"),
    "learner --device=tpu": ("--device=tpu", "cpu, cuda"),
    "learner --host=/nowhere": ("--host=/nowhere", "not an EPyMARL checkout"),
    "acting --json=/nowhere/figures.json": ("--json=/nowhere/figures.json",),
    "learner --threads=999": ("--threads=999", "this process has"),
    "learner --density=0.1 mast.sparsity=0.5": ("mast.sparsity=0.5", "--density"),
    "acting hidden_dim=32": ("hidden_dim=32", "--hidden"),
    "learner mast.sparsty=0.9": ("mast.sparsty", "'mast.sparsity'"),
    "learner mast.omega=0": ("mast.omega=0", "> 0"),
    "learner mast.online_batch_size=32": ("mast.online_batch_size=32", "0 to 31"),
    "acting hiden_dim=3": ("hiden_dim", "'hidden_dim'"),
    "end-to-end mast.topology=random": ("mast.topology='random'", "'rigl'"),
    "end-to-end no_such_file.yaml": ("no_such_file.yaml",),
}


@pytest.mark.parametrize("command", WRONG)
def test_wrong_input(own_environment, monkeypatch, capsys, tmp_path, command):
    monkeypatch.delenv("EPYMARL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mast", "bench", *command.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert stopped.value.code == 2, said
    assert said.err.startswith("mast: error: "), said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    for part in WRONG[command]:
        assert part in said.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda_device(own_environment, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mast", "bench", "learner", "--device=cuda"])
    with pytest.raises(SystemExit):
        main()
    assert "no CUDA device" in capsys.readouterr().err
