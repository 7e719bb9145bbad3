"""Checkpoints, and the agents that are exported from them."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from epymarl_mast.bench.plan import Dims
from epymarl_mast.bench.workplace import Workplace
from epymarl_mast.command import merge
from epymarl_mast.export import load_agent
from epymarl_mast.export.checkpoint import checkpoint_folder, read_checkpoint
from epymarl_mast.export.file import KEY, write_agent
from epymarl_mast.hosts import PyMARLzooPlus
from epymarl_mast.learners.checkpoint import adopt_masks, load_learner, save_learner
from epymarl_mast.learners.checkpoint_files import DIGESTS
from epymarl_mast.overrides import read_yaml, shipped_algorithms

SIZES = Dims(episodes=2, steps=4, n_agents=2, obs=5, state=6, n_actions=3)
TENSORS = (torch.zeros(0), torch.ones(2, 3), torch.full((4,), float("nan")), torch.ones(3).bool())
OTHERS = (None, -1, 10**20, "x", [], {}, float("nan"), True, *TENSORS)
KINDS = {
    "mast_qmix": {}, "mast_vdn": {}, "mast_ow_qmix": {}, "mast_qmix_ns": {},
    "mast_facmac": {}, "wider": {"hidden_dim": 12}, "denser": {"mast": {"sparsity": 0.5}},
}  # fmt: skip


@pytest.fixture(scope="module")
def learners():
    """A learner of each kind; small, and never trained."""
    host = PyMARLzooPlus.installed() or pytest.skip("no PyMARLzoo+")
    workplace = Workplace(host, SIZES)
    made = {}
    for kind, changes in KINDS.items():
        name = kind if kind.startswith("mast") else "mast_qmix"
        config = read_yaml(host.config_dir / "default.yaml", "")
        merge(config, read_yaml(shipped_algorithms()[name], name))
        small = {"hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6, "use_cuda": False,
                 "critic_hidden_dim": 8, "central_mixing_embed_dim": 4}  # fmt: skip
        merge(config, {**small, "seed": 1, "mast": {"engine": "masked"}, **changes})
        made[kind] = workplace.learner(config)
    return made


@pytest.fixture(scope="module")
def checkpoints(learners, tmp_path_factory):
    """A whole checkpoint of each kind."""
    folders = {}
    for kind, learner in learners.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        save_learner(learner, folders[kind])
    return folders


def sum_up(folder):
    """Digests of what is there, as if it had been saved so."""
    files = [path for path in sorted(folder.iterdir()) if path.name != DIGESTS]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files]
    (folder / DIGESTS).write_text("".join(lines))


def spoil(chance, folder, kind, checkpoints):
    """A checkpoint in which something is wrong, most of the time."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkpoints[kind], folder)
    path = chance.choice(sorted(folder.iterdir()))
    what = chance.random()
    if what < 0.25:
        path.write_bytes(chance.bytes_of(path.read_bytes()))
    elif what < 0.35:
        other = checkpoints[chance.choice(list(checkpoints))] / path.name
        path.write_bytes(other.read_bytes()) if other.exists() else path.unlink()
    elif what < 0.9 and path.name != DIGESTS:
        content = torch.load(path, weights_only=True)
        spoilt = chance.tree(as_dicts(content), OTHERS)
        buffer = io.BytesIO()
        torch.save(spoilt, buffer)
        path.write_bytes(buffer.getvalue())
    if chance.random() < 0.6:
        sum_up(folder)


def as_dicts(node):
    return {k: as_dicts(v) for k, v in node.items()} if isinstance(node, dict) else node


class TestCheckpoints:
    few, many = 40, 1600

    def test_into_a_learner(self, campaign, cases, learners, checkpoints, tmp_path):
        def case(chance):
            kind = chance.choice(list(KINDS))
            spoil(chance, tmp_path / "1", kind, checkpoints)
            into = kind if chance.random() < 0.8 else chance.choice(list(KINDS))
            learner = copy.copy(learners[into])
            if chance.random() < 0.2:
                adopt_masks(copy.deepcopy(learner.networks.topology), tmp_path / "1")
            else:
                load_learner(learner, tmp_path / "1")
                assert learner.training_steps >= 0

        campaign("checkpoints", cases, case)


class TestExports:
    few, many = 40, 1600

    def test_of_a_checkpoint_and_back(self, campaign, cases, checkpoints, tmp_path):
        whole = tmp_path / "whole.safetensors"
        model = read_checkpoint(checkpoints["mast_qmix"])
        write_agent(whole, model.header, model.networks)
        with safe_open(whole, framework="numpy") as file:
            said = json.loads(file.metadata()[KEY])
        tensors = load_file(whole)
        arrays = [np.zeros(0, np.float32), np.full(9, np.nan, np.float32), np.zeros(3, np.uint8)]

        def case(chance):
            path = tmp_path / "agent.safetensors"
            what = chance.random()
            if what < 0.3:
                spoil(chance, tmp_path / "models" / "7", chance.choice(list(KINDS)), checkpoints)
                model = read_checkpoint(checkpoint_folder(tmp_path / "models"))
                write_agent(path, model.header, model.networks)
            elif what < 0.6:
                path.write_bytes(chance.bytes_of(whole.read_bytes()))
            else:
                header = said
                for _ in range(chance.randrange(3)):
                    header = chance.tree(header)
                kept = dict(tensors)
                if chance.random() < 0.4:
                    kept[chance.choice(list(kept))] = chance.choice(arrays)
                save_file(kept, path, metadata={KEY: json.dumps(header)})
            agent = load_agent(path, compute="numpy")
            agent.reset(1)
            header = agent.header
            if header.n_agents * (header.observation + header.n_actions) < 1e6:
                agent.act(np.zeros((header.n_agents, header.observation), np.float32),
                          np.ones((header.n_agents, header.n_actions), np.int32))  # fmt: skip

        campaign("exports", cases, case)
