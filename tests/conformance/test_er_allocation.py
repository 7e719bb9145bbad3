"""Sparsity per layer as RLx2 allocates it."""

from __future__ import annotations

import pytest

from epymarl_mast.sparse import erdos_renyi, kept_count


def shapes_of(case):
    return {f"layer{i}": tuple(shape) for i, shape in enumerate(case["shapes"])}


def test_sparsity_per_layer(allocation_case):
    ours = erdos_renyi(shapes_of(allocation_case), allocation_case["sparsity"])

    assert list(ours.values()) == pytest.approx(allocation_case["expected"], rel=0, abs=1e-9)


def test_saturated_layers_are_exactly_dense(allocation_case):
    ours = erdos_renyi(shapes_of(allocation_case), allocation_case["sparsity"])

    assert list(ours.values()).count(0.0) == allocation_case["n_saturated"]


def test_number_of_kept_weights(allocation_case):
    shapes = shapes_of(allocation_case)
    ours = erdos_renyi(shapes, allocation_case["sparsity"])

    off_by = [
        abs(kept_count(out * in_, ours[name]) - theirs)
        for (name, (out, in_)), theirs in zip(
            shapes.items(), allocation_case["n_kept_upstream"], strict=True
        )
    ]
    allowed = [1 if borderline else 0 for borderline in allocation_case["n_kept_borderline"]]
    assert all(o <= a for o, a in zip(off_by, allowed, strict=True)), off_by
