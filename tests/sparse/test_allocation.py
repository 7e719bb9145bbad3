"""From one total sparsity to a sparsity per layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.sparse import ALLOCATIONS, erdos_renyi, uniform

SIZE = st.integers(1, 40)
SHAPES = st.lists(st.tuples(SIZE, SIZE), min_size=1, max_size=6).map(
    lambda shapes: {f"layer{i}": shape for i, shape in enumerate(shapes)}
)
SPARSITY = st.floats(0.0, 0.99)


def kept(shapes, sparsities):
    return {n: (1 - sparsities[n]) * out * in_ for n, (out, in_) in shapes.items()}


def test_two_layers_by_hand():
    # kept in all: 0.5 * (8 + 32) = 20; eps = 20 / (6 + 12) = 10/9
    # density: a 10/9 * 6/8 = 5/6, b 10/9 * 12/32 = 5/12
    sparsities = erdos_renyi({"a": (2, 4), "b": (4, 8)}, 0.5)

    assert sparsities == pytest.approx({"a": 1 / 6, "b": 7 / 12}, rel=1e-12)


def test_a_layer_that_would_exceed_density_one_is_dense():
    # kept in all: 0.5 * (8 + 64) = 36; eps = 36 / (9 + 16) = 1.44; a: 1.44 * 9/8 = 1.62 > 1
    # without a: eps = (36 - 8) / 16 = 1.75; b: 1.75 * 16/64 = 0.4375
    sparsities = erdos_renyi({"a": (1, 8), "b": (8, 8)}, 0.5)

    assert sparsities["a"] == 0.0
    assert sparsities["b"] == pytest.approx(0.5625, rel=1e-12)


def test_one_dense_layer_can_push_the_next_over_the_edge():
    # kept in all: 38 of 2 + 8 + 100. Round 1: eps = 38 / 29; a 1.97, b 0.983, so a is dense.
    # Round 2: eps = 36 / 26; b 36/26 * 6/8 = 1.04 > 1. Round 3: eps = 28 / 20; c 1.4 * 20/100
    sparsities = erdos_renyi({"a": (1, 2), "b": (2, 4), "c": (10, 10)}, 1 - 38 / 110)

    assert (sparsities["a"], sparsities["b"]) == (0.0, 0.0)
    assert sparsities["c"] == pytest.approx(0.72, rel=1e-12)


@given(SHAPES, SPARSITY)
def test_layers_add_up_to_the_total(shapes, sparsity):
    total = sum(out * in_ for out, in_ in shapes.values())

    sparsities = erdos_renyi(shapes, sparsity)

    assert sum(kept(shapes, sparsities).values()) == pytest.approx((1 - sparsity) * total, rel=1e-9)
    assert all(0.0 <= value < 1.0 for value in sparsities.values())


@given(SHAPES, SPARSITY)
def test_sparse_layers_keep_weights_in_proportion_to_their_units(shapes, sparsity):
    sparsities = erdos_renyi(shapes, sparsity)

    numbers = kept(shapes, sparsities)
    per_unit = {name: numbers[name] / sum(shape) for name, shape in shapes.items()}
    sparse = [value for name, value in per_unit.items() if sparsities[name] > 0.0]
    assert sparse == pytest.approx([max(sparse, default=0.0)] * len(sparse), rel=1e-9)
    # a dense layer is one that could not take its share
    assert all(
        v <= min(sparse, default=v) * (1 + 1e-9) for v in per_unit.values() if v not in sparse
    )


@given(SHAPES, SPARSITY)
def test_order_of_layers_does_not_matter(shapes, sparsity):
    reverse = dict(reversed(shapes.items()))

    assert erdos_renyi(reverse, sparsity) == pytest.approx(erdos_renyi(shapes, sparsity), abs=1e-9)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_sparsity_zero_is_dense(allocation):
    assert ALLOCATIONS[allocation]({"a": (3, 5), "b": (7, 2)}, 0.0) == {"a": 0.0, "b": 0.0}


def test_uniform_gives_every_layer_the_same():
    assert uniform({"a": (1, 2), "b": (64, 64)}, 0.9) == {"a": 0.9, "b": 0.9}


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("sparsity", [1.0, -0.1, 1.5, float("nan")])
def test_sparsity_out_of_range(allocation, sparsity):
    with pytest.raises(
        ValueError, match=rf"sparsity={sparsity} is out of range: 0 <= sparsity < 1"
    ):
        ALLOCATIONS[allocation]({"a": (2, 2)}, sparsity)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "shapes is empty"),
        ({"fc": (0, 3)}, r"shapes\['fc'\]=\(0, 3\) is not \(out, in\)"),
        ({"fc": (2, 3, 4)}, r"shapes\['fc'\]=\(2, 3, 4\) is not \(out, in\)"),
    ],
    ids=["none", "empty layer", "three axes"],
)
def test_shapes_that_are_not_layers(shapes, message):
    with pytest.raises(ValueError, match=message):
        erdos_renyi(shapes, 0.5)
