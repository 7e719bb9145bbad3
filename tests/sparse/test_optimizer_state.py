"""A real network trained sparsely: nothing outside the masks, in weights or optimiser state."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop

from epymarl_mast.sparse import OPTIMIZERS, health, reset_optimizer_state
from epymarl_mast.sparse.optimizer_state import per_weight_state

KINDS = {
    "adam": partial(Adam, lr=0.01),
    "adam amsgrad": partial(Adam, lr=0.01, amsgrad=True),
    "adam weight decay": partial(Adam, lr=0.01, weight_decay=0.1),
    "adamw": partial(AdamW, lr=0.01, weight_decay=0.1),
    "rmsprop": partial(RMSprop, lr=0.01),
    "rmsprop momentum": partial(RMSprop, lr=0.01, momentum=0.9),
    "rmsprop centered": partial(RMSprop, lr=0.01, momentum=0.9, centered=True),
    "sgd momentum": partial(SGD, lr=0.1, momentum=0.9),
    "sgd nesterov": partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
}
each_optimiser = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def assert_nothing_outside(run):
    for name, mask in run.topology.masks.items():
        weight = run.sparse.weights[name].detach()
        assert weight[mask].any(), f"{name} has no weight left inside its mask"
        outside = {
            "weight": weight,
            "target": run.sparse.target_weights[name].detach(),
            **run.state_of(name),
        }
        leaks = [what for what, tensor in outside.items() if tensor[~mask].any()]
        assert not leaks, f"{name}: {leaks}"


@each_optimiser
@pytest.mark.parametrize("own_agents", [False, True], ids=["shared", "own agents"])
def test_nothing_outside_the_masks_is_ever_nonzero(training, kind, own_agents):
    run = training(kind, own_agents=own_agents)
    first = run.masks()
    assert_nothing_outside(run)

    for _ in range(20):
        run.step()
        run.target.load_state_dict(run.network.state_dict())
        run.sparse.mask_targets_()
        assert_nothing_outside(run)

    assert run.topology.updates == 6
    assert any(not torch.equal(first[name], mask) for name, mask in run.masks().items())
    assert all(run.state_of(name) for name in first), "the optimiser keeps nothing: vacuous"


@each_optimiser
def test_a_grown_weight_starts_from_zero(training, kind):
    run = training(kind)
    grown = 0
    for _ in range(4):
        run.gradient_step()
        run.gradient_step()
        before = run.masks()
        run.evolve()
        for name, mask in run.masks().items():
            new = mask & ~before[name]
            grown += int(new.sum())
            assert not run.sparse.weights[name].detach()[new].any()
            assert not any(state[new].any() for state in run.state_of(name).values())
    assert grown > 20


@each_optimiser
def test_a_weight_that_is_dropped_and_grown_at_once_keeps_value_and_state(training, kind):
    # everything is dropped, so every kept weight that remains was regrown
    run = training(kind, drop_fraction=1.0)
    for _ in range(3):
        run.gradient_step()
    before = run.masks()
    weights = {name: run.sparse.weights[name].detach().clone() for name in before}
    states = {name: {k: s.clone() for k, s in run.state_of(name).items()} for name in before}

    run.evolve()

    regrown = {name: before[name] & mask for name, mask in run.masks().items()}
    assert sum(int(mask.sum()) for mask in regrown.values()) > 20
    for name, mask in regrown.items():
        assert torch.equal(run.sparse.weights[name].detach()[mask], weights[name][mask])
        for key, state in run.state_of(name).items():
            assert torch.equal(state[mask], states[name][key][mask])


def test_clipping_sees_the_masked_gradient_only(training):
    run = training()
    run.gradient_step()

    for name, mask in run.topology.masks.items():
        gradient = run.sparse.weights[name].grad
        assert not gradient[~mask].any()
        assert run.gradients[name][~mask].any(), "the dense gradient is needed to grow"


@pytest.mark.parametrize("topology", ["static", "set", "rigl"])
def test_the_same_seed_gives_the_same_run(training, topology):
    def train(seed):
        run = training(seed=seed, topology=topology)
        for _ in range(10):
            run.step()
        return run.masks()

    one, again, other = train(1), train(1), train(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_agents_own_densities_drift_apart_within_one_budget(training):
    run = training(own_agents=True)
    kept = {layer.name: layer.kept for layer in run.topology.layers}
    for _ in range(30):
        run.step()

    for layer in run.topology.layers:
        own = [int(run.topology.masks[name].sum()) for name in layer.members]
        assert sum(own) == kept[layer.name]
    assert len(set(health.density_per_agent(run.topology.masks).values())) > 1


def test_only_what_did_not_survive_is_reset():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    bias = torch.nn.Parameter(torch.ones(2))
    optimiser = Adam([weight, bias])
    (weight.sum() + bias.sum()).backward()
    optimiser.step()

    reset_optimizer_state(optimiser, [(weight, torch.tensor([[True, False], [False, True]]))])

    state = optimiser.state[weight]
    assert state["exp_avg"].bool().tolist() == [[True, False], [False, True]]
    assert state["exp_avg_sq"].bool().tolist() == [[True, False], [False, True]]
    assert float(state["step"]) == 1.0
    assert bool(optimiser.state[bias]["exp_avg"].all())


def test_before_the_first_step_there_is_nothing_to_reset():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimiser = Adam([weight])

    reset_optimizer_state(optimiser, [(weight, torch.zeros(2, 2).bool())])

    assert weight not in optimiser.state


class Adamish(Adam):
    """A subclass may keep more than its parent."""


@pytest.mark.parametrize("kind", [torch.optim.Adagrad, torch.optim.NAdam, Adamish])
def test_an_unknown_optimiser_is_refused(kind):
    weight = torch.nn.Parameter(torch.ones(2, 2))

    message = f"optimiser {kind.__name__} is not supported by sparse training: Adam, AdamW, RMSprop"
    with pytest.raises(TypeError, match=message):
        reset_optimizer_state(kind([weight]), [])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimiser_that_can_be_chosen_is_known(kind):
    optimiser = OPTIMIZERS[kind]([torch.nn.Parameter(torch.ones(2))], lr=0.1)

    assert per_weight_state(optimiser)
