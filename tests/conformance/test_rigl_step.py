"""One topology update as RLx2 makes it: alone, and as a whole step over all layers."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.sparse import (
    Layer,
    RigL,
    UpdateSchedule,
    cosine_drop_fraction,
    drop_and_grow,
    reset_optimizer_state,
)


@pytest.fixture(scope="module")
def arrays(load_arrays):
    return load_arrays("rigl_step.npz")


@pytest.fixture
def read(arrays, rigl_case):
    """``{layer name: array}`` of one kind for every layer of the case."""

    def of_kind(kind):
        keys = {f"l{i}.weight": f"c{rigl_case['case']}/l{i}/{kind}" for i in layer_range}
        return {name: arrays[key] for name, key in keys.items()}

    layer_range = range(rigl_case["n_layers"])
    return of_kind


@pytest.fixture
def topology(rigl_case, read):
    """Ours, with the masks the recorded step started from."""
    shapes = {name: tuple(weight.shape) for name, weight in read("weight").items()}
    sparsities = [layer["layer_sparsity"] for layer in rigl_case["layers"]]
    layers = [
        Layer(name, (name,), shape, sparsity)
        for (name, shape), sparsity in zip(shapes.items(), sparsities, strict=True)
    ]
    schedule = UpdateSchedule(rigl_case["delta"], rigl_case["T_end"], rigl_case["zeta"])
    ours = RigL(layers, shapes, schedule, torch.Generator().manual_seed(0))
    ours.masks.update(read("mask"))
    return ours


def same(ours, theirs):
    return {name: bool(torch.equal(ours[name], theirs[name])) for name in theirs}


def test_cosine_schedule(cosine_case):
    ours = cosine_drop_fraction(cosine_case["step"], cosine_case["T_end"], cosine_case["zeta"])

    assert ours == pytest.approx(cosine_case["value"], rel=0, abs=1e-12)


def test_drop_fraction_of_the_step(rigl_case, topology):
    ours = topology.schedule.drop_fraction(rigl_case["step"])

    assert topology.due(update=rigl_case["step"], t_env=rigl_case["step"])
    assert ours == pytest.approx(rigl_case["drop_fraction"], rel=0, abs=1e-12)


def test_drop_and_grow_gives_the_same_mask(rigl_case, read):
    weights, masks, gradients = read("weight"), read("mask"), read("dense_grad")

    ours = {
        name: drop_and_grow(weights[name], masks[name], gradients[name], rigl_case["drop_fraction"])
        for name in weights
    }

    assert all(same(ours, read("new_mask")).values())


def test_counts_of_the_step(rigl_case, read):
    weights, masks, gradients = read("weight"), read("mask"), read("dense_grad")

    for name, layer in zip(weights, rigl_case["layers"], strict=True):
        mask = masks[name]
        new = drop_and_grow(weights[name], mask, gradients[name], rigl_case["drop_fraction"])
        assert int(mask.sum()) == int(new.sum()) == layer["n_ones"]
        assert int((mask & ~new).sum()) == layer["n_removed"]
        assert int((new & ~mask).sum()) == layer["n_new_connections"]


def test_whole_step_gives_the_same_masks_and_weights(rigl_case, read, topology):
    weights = read("weight")

    survivors = topology.evolve(weights, read("dense_grad"), t_env=rigl_case["step"])

    assert all(same(topology.masks, read("new_mask")).values())
    new_weights = {name: weight * survivors[name] for name, weight in weights.items()}
    assert all(same(new_weights, read("new_weight")).values())


def test_gradient_is_left_where_a_weight_survived(rigl_case, read, topology):
    survivors = topology.evolve(read("weight"), read("dense_grad"), t_env=rigl_case["step"])

    accumulated = rigl_case["grad_accumulation_n"] > 1  # then the parameter holds the last one
    gradients = read("grads_each" if accumulated else "dense_grad")
    for name, theirs in read("new_grad").items():
        gradient = gradients[name][-1] if accumulated else gradients[name]
        torch.testing.assert_close(gradient * survivors[name], theirs, rtol=0, atol=1e-7)


def test_momentum_is_left_where_a_weight_survived(rigl_case, read, topology):
    """RLx2 lets absent weights have momentum and a grown one keep it; ours starts from none."""
    if not rigl_case["sgd_momentum"]:
        pytest.skip("recorded without momentum")
    old_masks = read("mask")
    parameters = {name: torch.nn.Parameter(weight) for name, weight in read("weight").items()}
    optimiser = torch.optim.SGD(parameters.values(), lr=1.0, momentum=rigl_case["sgd_momentum"])
    for name, momentum in read("momentum_before").items():
        optimiser.state[parameters[name]]["momentum_buffer"] = momentum * old_masks[name]

    survivors = topology.evolve(read("weight"), read("dense_grad"), t_env=rigl_case["step"])
    reset_optimizer_state(optimiser, [(parameters[n], mask) for n, mask in survivors.items()])

    for name, theirs in read("momentum_after").items():
        ours = optimiser.state[parameters[name]]["momentum_buffer"]
        torch.testing.assert_close(ours, theirs * old_masks[name], rtol=0, atol=1e-7)
