"""Exported agents against torch, step by step."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from epymarl_mast.errors import ExportError
from epymarl_mast.export import ExportedAgent
from epymarl_mast.export.file import write_agent
from epymarl_mast.sparse import kernels

KINDS = {
    "gru": {},
    "linear": {"recurrent": False},
    "per agent": {"own": True},
    "per agent linear, plain inputs": {
        "own": True, "recurrent": False, "last_action": False, "agent_id": False,
    },
    "very sparse": {"density": 0.02},
    "per agent, very sparse, so of several widths": {"own": True, "density": 0.04},
    "per agent linear, of several widths": {"own": True, "density": 0.04, "recurrent": False},
    "nothing left": {"density": 0.0},
    "per agent, nothing left": {"own": True, "density": 0.0},
}  # fmt: skip


@pytest.mark.parametrize("environments", [1, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_same_values_and_actions_as_torch(
    exported, make_agent, make_run, unroll, compute, kind, environments
):
    asked = {"own": False, "recurrent": True, "density": 0.1, **KINDS[kind]}
    inputs = {k: asked.get(k, True) for k in ("last_action", "agent_id")}
    n_agents, n_actions, observation, steps = 3, 5, 11, 30
    size = observation + n_actions * inputs["last_action"] + n_agents * inputs["agent_id"]
    agents = [
        make_agent(size, 24, n_actions, max(asked["density"], 1e-9), asked["recurrent"], seed=i)
        for i in range(n_agents if asked["own"] else 1)
    ]
    rng = np.random.default_rng(1)
    observations = rng.standard_normal((steps, environments, n_agents, observation), np.float32)
    available = rng.random((steps, environments, n_agents, n_actions)) < 0.6
    available[..., 0] = True
    values, actions = unroll(agents, observations, available, **inputs)

    ours = ExportedAgent(*exported(agents, make_run(n_agents, n_actions, **inputs)), compute)
    ours.reset(environments)
    for t in range(steps):
        rows = environments * n_agents
        chosen = ours.act(observations[t].reshape(rows, -1), available[t].reshape(rows, -1))
        np.testing.assert_allclose(ours.q_values, values[t].reshape(rows, -1), atol=1e-5, rtol=0)
        assert chosen.tolist() == actions[t].ravel().tolist()


def test_large_inputs_stay_finite_and_right(exported, make_agent, make_run, unroll, compute):
    agent = make_agent(11, 16, 3, 0.5)
    observations = np.full((4, 1, 2, 6), 1e4, np.float32)
    available = np.ones((4, 1, 2, 3))
    values, _ = unroll([agent], observations, available)
    ours = ExportedAgent(*exported([agent], make_run(2, 3)), compute)
    for t in range(4):
        with np.errstate(over="ignore"):
            ours.act(observations[t, 0], available[t, 0])
        np.testing.assert_allclose(ours.q_values, values[t, 0], atol=1e-5)


def test_a_new_episode_forgets_the_last_one(exported, make_agent, make_run, compute):
    ours = ExportedAgent(*exported([make_agent(11, 16, 3, 0.5)], make_run(2, 3)), compute)
    observations, available = np.ones((2, 6)), np.array([[0, 1, 1], [0, 0, 0]])
    first = ours.act(observations, available)
    at_first = ours.q_values.copy()
    ours.act(observations, available)
    assert not np.array_equal(ours.q_values, at_first)
    ours.reset()
    assert ours.act(observations, available).tolist() == first.tolist()
    assert np.array_equal(ours.q_values, at_first)
    assert first[0] > 0
    assert first[1] == 0  # no action can be taken


def test_wrong_shapes_and_words_are_named(exported, make_agent, make_run):
    model = exported([make_agent(11, 16, 3, 0.5)], make_run(2, 3))
    with pytest.raises(ExportError, match=r"\(2, 7\) .* are not allowed: \(2, 6\) and \(2, 3\)"):
        ExportedAgent(*model).act(np.zeros((2, 7)), np.ones((2, 3)))
    with pytest.raises(ExportError, match="compute='cuda' is not allowed: auto, numba, numpy are"):
        ExportedAgent(*model, "cuda")


def test_acting_needs_neither_torch_nor_a_host(exported, make_agent, make_run, tmp_path):
    header, networks = exported([make_agent(11, 16, 3, 0.5)], make_run(2, 3))
    write_agent(tmp_path / "agent.safetensors", header, networks)
    program = """
import sys
import numpy as np
from epymarl_mast.export import load_agent
agent = load_agent("agent.safetensors")
agent.act(np.zeros((2, 6)), np.ones((2, 3)))
print(*{name.partition(".")[0] for name in sys.modules}, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert {"epymarl_mast", "numpy", *(["numba"] if kernels.available() else [])} <= loaded
    assert not loaded & {"torch", "sacred", "gymnasium", "pymarlzooplus", "learners", "typer"}


BROKEN_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
from epymarl_mast.export import load_agent
print(load_agent("agent.safetensors").act(np.zeros((2, 6)), np.ones((2, 3))).shape)
load_agent("agent.safetensors", "numba")
"""


def test_without_numba_it_acts_by_numpy(exported, make_agent, make_run, tmp_path):
    header, networks = exported([make_agent(11, 16, 3, 0.5)], make_run(2, 3))
    write_agent(tmp_path / "agent.safetensors", header, networks)
    program = [sys.executable, "-c", BROKEN_NUMBA]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "(2,)\n"
    assert "ExportError: compute='numba' is not allowed here: it needs numba" in done.stderr


def test_auto_takes_whole_matrices_where_they_are_faster(exported, make_agent, make_run):
    """Of a wide dense network; a sparse or a small one is computed by its kept weights."""
    kinds = []
    for hidden, density in ((128, 1.0), (128, 0.1), (32, 1.0)):
        agent = make_agent(11, hidden, 3, density)
        kinds.append(type(ExportedAgent(*exported([agent], make_run(2, 3)))._decide).__name__)
    few = "SparseDecision" if kernels.available() else "DenseDecision"
    assert kinds == ["DenseDecision", few, few]
