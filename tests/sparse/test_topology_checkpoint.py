"""Saving a topology and going on from it."""

from __future__ import annotations

import pytest
import torch

SHAPES = {"fc1.weight": (6, 5), "fc2.weight": (4, 6)}
OWN_AGENTS = {f"agents.{i}.fc1.weight": (4, 5) for i in range(2)}
RECORDS = ("masks", "initial_masks", "explored")


@pytest.fixture
def evolve(random_tensors):
    """Evolve a topology at some steps, each with its own weights and gradients."""

    def run(topology, steps):
        shapes = {name: mask.shape for name, mask in topology.masks.items()}
        for step in steps:
            weights = random_tensors(shapes, seed=step)
            topology.evolve(weights, random_tensors(shapes, seed=100 + step), t_env=step)

    return run


def assert_same(one, other):
    for record in RECORDS:
        mine, theirs = getattr(one, record), getattr(other, record)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert one.updates == other.updates


@pytest.mark.parametrize("kind", ["set", "rigl"])
@pytest.mark.parametrize("shapes", [SHAPES, OWN_AGENTS], ids=["shared", "own agents"])
def test_a_restored_topology_goes_on_as_the_saved_one(
    make_topology, evolve, tmp_path, kind, shapes
):
    saved = make_topology(kind, shapes, seed=1)
    evolve(saved, range(3))
    torch.save(saved.state_dict(), tmp_path / "topology.pt")
    restored = make_topology(kind, shapes, seed=2)

    restored.load_state_dict(torch.load(tmp_path / "topology.pt", weights_only=True))

    assert_same(restored, saved)
    evolve(saved, range(3, 6))
    evolve(restored, range(3, 6))
    assert_same(restored, saved)
    assert restored.updates == 6


def test_a_saved_state_does_not_follow_the_topology(make_topology, evolve):
    topology = make_topology("rigl", SHAPES, seed=1)
    state = topology.state_dict()

    evolve(topology, range(2))

    fresh = make_topology("rigl", SHAPES, seed=1)
    fresh.load_state_dict(state)
    assert_same(fresh, make_topology("rigl", SHAPES, seed=1))


def test_first_masks_are_remembered(make_topology, evolve):
    topology = make_topology("rigl", SHAPES, seed=1)
    first = {name: mask.clone() for name, mask in topology.masks.items()}

    evolve(topology, range(3))

    assert all(torch.equal(topology.initial_masks[name], first[name]) for name in SHAPES)
    assert any(not torch.equal(topology.masks[name], first[name]) for name in SHAPES)


def test_dense_saves_and_loads(make_topology):
    topology = make_topology("dense", SHAPES)

    topology.load_state_dict(topology.state_dict())

    assert topology.masks == {}


@pytest.mark.parametrize(
    ("kind", "shapes", "sparsity", "message"),
    [
        ("rigl", {"fc1.weight": (6, 5)}, 0.5, "the mask of fc2.weight is not in the checkpoint"),
        (
            "rigl",
            {**SHAPES, "fc3.weight": (2, 2)},
            0.5,
            "the mask of fc3.weight is only in the checkpoint",
        ),
        ("dense", SHAPES, 0.5, "the mask of fc1.weight is not in the checkpoint"),
        (
            "rigl",
            {**SHAPES, "fc2.weight": (6, 4)},
            0.5,
            r"fc2.weight has shape \(6, 4\) in the checkpoint, \(4, 6\) here",
        ),
        (
            "rigl",
            SHAPES,
            0.8,
            "fc1.weight keeps 6 weights in the checkpoint, 15 here: the sparsity options differ",
        ),
    ],
    ids=["layer missing", "layer too many", "from dense", "shape", "count"],
)
def test_what_does_not_fit_is_refused(make_topology, kind, shapes, sparsity, message):
    state = make_topology(kind, shapes, sparsity=sparsity, seed=1).state_dict()
    topology = make_topology("rigl", SHAPES, seed=2)
    before = make_topology("rigl", SHAPES, seed=2)

    with pytest.raises(ValueError, match=message):
        topology.load_state_dict(state)

    assert_same(topology, before)


def test_only_the_budget_of_all_agents_together_is_checked(make_topology):
    topology = make_topology("rigl", OWN_AGENTS, seed=1)  # 20 of 40
    state = topology.state_dict()
    state["masks"] = {
        "agents.0.fc1.weight": torch.ones(4, 5).bool(),
        "agents.1.fc1.weight": torch.zeros(4, 5).bool(),
    }

    topology.load_state_dict(state)

    assert bool(topology.masks["agents.0.fc1.weight"].all())
    state["masks"]["agents.1.fc1.weight"] = torch.ones(4, 5).bool()
    with pytest.raises(ValueError, match=r"agents\.\*\.fc1\.weight keeps 40 weights"):
        topology.load_state_dict(state)
