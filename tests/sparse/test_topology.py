"""Which weights exist, and how that changes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from epymarl_mast.sparse import TOPOLOGIES, health

SHAPES = {"fc1.weight": (6, 5), "rnn.weight_ih": (9, 6), "fc2.weight": (4, 3)}
OWN_AGENTS = {f"agents.{i}.fc1.weight": (4, 5) for i in range(3)}
DIMENSION = st.integers(1, 7)


def same_masks(one, other):
    return all(torch.equal(one.masks[name], other.masks[name]) for name in one.masks)


@pytest.mark.parametrize("kind", ["static", "set", "rigl"])
def test_first_masks_have_the_layers_counts(make_topology, kind):
    topology = make_topology(kind, SHAPES, sparsity=0.7)

    kept = {name: int(mask.sum()) for name, mask in topology.masks.items()}
    assert kept == {"fc1.weight": 9, "rnn.weight_ih": 17, "fc2.weight": 4}  # 30-21, 54-37, 12-8
    assert {name: tuple(mask.shape) for name, mask in topology.masks.items()} == SHAPES


@pytest.mark.parametrize("kind", ["static", "set", "rigl"])
def test_masks_follow_the_seed(make_topology, kind):
    first = make_topology(kind, SHAPES, seed=1)

    assert same_masks(first, make_topology(kind, SHAPES, seed=1))
    assert not same_masks(first, make_topology(kind, SHAPES, seed=2))


def test_only_set_and_rigl_evolve(make_topology):
    due = {kind: make_topology(kind, SHAPES).due(1, 0) for kind in TOPOLOGIES}

    assert due == {"dense": False, "static": False, "set": True, "rigl": True}


def test_due_obeys_the_schedule(make_topology):
    topology = make_topology("rigl", SHAPES)  # every update, until step 100

    assert topology.due(update=7, t_env=99)
    assert not topology.due(update=7, t_env=100)


def test_dense_touches_nothing(make_topology, random_tensors):
    topology = make_topology("dense", SHAPES, sparsity=0.9)
    weights = random_tensors(SHAPES, seed=0)
    before = {name: weight.clone() for name, weight in weights.items()}

    topology.mask_(weights)

    assert topology.masks == {}
    assert all(torch.equal(weights[name], before[name]) for name in SHAPES)


def test_mask_zeroes_what_is_outside_and_nothing_else(make_topology, random_tensors):
    topology = make_topology("static", {"fc1.weight": (6, 5)})
    weights = {"fc1.weight": torch.nn.Parameter(torch.ones(6, 5)), "fc1.bias": torch.ones(6)}

    topology.mask_(weights)

    assert torch.equal(weights["fc1.weight"].detach(), topology.masks["fc1.weight"].float())
    assert torch.equal(weights["fc1.bias"], torch.ones(6))


def test_static_cannot_grow(make_topology, random_tensors):
    tensors = random_tensors(SHAPES, seed=0)
    with pytest.raises(NotImplementedError, match="Static never grows"):
        make_topology("static", SHAPES).evolve(tensors, tensors, t_env=0)


def test_one_rigl_step_by_hand(make_topology):
    name = "fc.weight"
    topology = make_topology("rigl", {name: (2, 3)}, drop_fraction=0.7)
    topology.masks[name] = tensor([[1, 1, 1], [0, 0, 0]]).bool()
    topology.explored[name] = topology.masks[name].clone()
    weights = {name: tensor([[3.0, -0.1, 0.2], [0.0, 0.0, 0.0]])}
    gradients = {name: tensor([[9.0, 0.0, 0.4], [0.1, -0.6, 0.2]])}

    # 2 of 3 go: -0.1 and 0.2. Largest gradients of the rest: -0.6, and 0.4 of the dropped 0.2
    survivors = topology.evolve(weights, gradients, t_env=0)

    assert topology.masks[name].int().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert survivors[name].int().tolist() == [[1, 0, 1], [0, 0, 0]]  # 0.2 keeps its value
    assert topology.explored[name].int().tolist() == [[1, 1, 1], [0, 1, 0]]
    assert topology.updates == 1


def test_drop_fraction_falls_with_the_environment_step(make_topology, random_tensors):
    def moved(t_env):
        topology = make_topology("rigl", {"fc.weight": (10, 20)}, drop_fraction=0.5)
        before = topology.masks["fc.weight"]
        # all absent positions score higher than all kept ones: none comes back
        topology.evolve({"fc.weight": before.float()}, {"fc.weight": (~before).float()}, t_env)
        return int((before & ~topology.masks["fc.weight"]).sum())

    assert [moved(t_env) for t_env in (0, 50, 100)] == [50, 25, 0]  # of 100 kept


def test_set_grows_by_its_generator_and_not_by_the_gradient(make_topology, random_tensors):
    weights = random_tensors(SHAPES, seed=0)

    def evolved(seed_of_growth, seed_of_gradient):
        topology = make_topology("set", SHAPES, seed=1)
        topology.generator.manual_seed(seed_of_growth)
        topology.evolve(weights, random_tensors(SHAPES, seed_of_gradient), t_env=0)
        return topology

    assert same_masks(evolved(5, 6), evolved(5, 7))
    assert not same_masks(evolved(5, 6), evolved(8, 6))


def test_rigl_grows_by_the_gradient_and_not_by_its_generator(make_topology, random_tensors):
    weights = random_tensors(SHAPES, seed=0)

    def evolved(seed_of_growth, seed_of_gradient):
        topology = make_topology("rigl", SHAPES, seed=1)
        topology.generator.manual_seed(seed_of_growth)
        topology.evolve(weights, random_tensors(SHAPES, seed_of_gradient), t_env=0)
        return topology

    assert same_masks(evolved(5, 6), evolved(8, 6))
    assert not same_masks(evolved(5, 6), evolved(5, 7))


def test_own_agents_share_one_budget_and_may_end_up_unlike(make_topology):
    topology = make_topology("rigl", OWN_AGENTS, sparsity=0.5, drop_fraction=1.0)
    weights = {name: torch.ones(4, 5) for name in OWN_AGENTS}
    gradients = {f"agents.{i}.fc1.weight": torch.full((4, 5), float(i)) for i in range(3)}

    topology.evolve(weights, gradients, t_env=0)

    # 30 of 60 kept: all 20 of the agent with the largest gradient, 10 of the next, 0 of the last
    assert health.density_per_agent(topology.masks) == {0: 0.0, 1: 0.5, 2: 1.0}


def test_to_moves_every_record(make_topology):
    topology = make_topology("rigl", SHAPES)

    topology.to("meta")

    records = (topology.masks, topology.initial_masks, topology.explored)
    assert {mask.device.type for record in records for mask in record.values()} == {"meta"}


@st.composite
def networks(draw):
    """Shapes of a shared network, or of two or three agents' own."""
    count = draw(st.integers(1, 3))
    one = {f"fc{i}.weight": (draw(DIMENSION), draw(DIMENSION)) for i in range(count)}
    agents = draw(st.sampled_from([0, 2, 3]))
    own = {f"agents.{a}.{name}": shape for a in range(agents) for name, shape in one.items()}
    return own or one


@given(
    shapes=networks(),
    kind=st.sampled_from(["set", "rigl"]),
    allocation=st.sampled_from(["erdos_renyi", "uniform"]),
    sparsity=st.floats(0.0, 0.97),
    drop_fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_invariants_of_many_evolutions(
    make_topology, random_tensors, shapes, kind, allocation, sparsity, drop_fraction, seed
):
    topology = make_topology(
        kind,
        shapes,
        sparsity=sparsity,
        allocation=allocation,
        drop_fraction=drop_fraction,
        seed=seed,
    )
    weights = random_tensors(shapes, seed)
    topology.mask_(weights)
    for step in range(8):
        before, explored = dict(topology.masks), dict(topology.explored)
        noise = random_tensors(shapes, seed + step)
        survivors = topology.evolve(weights, noise, t_env=10 * step)
        for name in shapes:
            weights[name] *= survivors[name]
            kept = topology.masks[name]
            assert torch.equal(survivors[name], before[name] & kept)
            assert torch.equal(topology.explored[name], explored[name] | kept)
            assert not weights[name][~kept].any()
            weights[name] += 0.1 * noise[name] * kept
        for layer in topology.layers:
            assert sum(int(topology.masks[name].sum()) for name in layer.members) == layer.kept
    assert topology.updates == 8
