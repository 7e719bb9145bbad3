"""Mask arithmetic: exact counts, ranking and ties."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from epymarl_mast.sparse import drop_and_grow, kept_count, random_mask


@pytest.mark.parametrize(
    ("numel", "sparsity", "kept"),
    [
        (4, 0.5, 2),
        (5, 0.5, 3),  # 2.5 absent: rounded down
        (100, 0.29, 71),  # 0.29 * 100 is 28.999999999999996 in floating point
        (10, 0.0, 10),
        (10, 0.99, 1),
        (1, 0.9, 1),
        (10, 1 - 1e-12, 1),  # never none at all
    ],
)
def test_kept_count(numel, sparsity, kept):
    assert kept_count(numel, sparsity) == kept


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_random_mask_has_the_exact_count(rows, columns, data):
    kept = data.draw(st.integers(0, rows * columns))

    mask = random_mask((rows, columns), kept, torch.Generator().manual_seed(0))

    assert (mask.dtype, mask.shape) == (torch.bool, (rows, columns))
    assert int(mask.sum()) == kept


def test_random_mask_is_uniform():
    generator = torch.Generator().manual_seed(0)

    often = sum(random_mask((4, 4), 4, generator).int() for _ in range(2000)) / 2000

    # 4 of 16; six standard deviations of the mean of 2000 draws are 0.06
    assert float((often - 0.25).abs().max()) < 0.06


def test_random_mask_follows_the_seed():
    def draw(seed):
        return random_mask((20, 20), 40, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


# Kept weights by magnitude: 0.1, 0.2, 0.3, 0.4; scores outside the mask: 0.8, 0.7, 0.6, 0.
WEIGHT = tensor([[0.1, -0.4, 0.0, 0.0], [0.3, -0.2, 0.0, 0.0]])
MASK = tensor([[1, 1, 0, 0], [1, 1, 0, 0]]).bool()
SCORE = tensor([[0.5, 0.05, 0.6, -0.8], [0.1, 0.2, 0.7, 0.0]])


@pytest.mark.parametrize(
    ("drop_fraction", "expected"),
    [
        (0.0, [[1, 1, 0, 0], [1, 1, 0, 0]]),
        (0.25, [[0, 1, 0, 1], [1, 1, 0, 0]]),  # -0.1, +|-0.8|
        (0.49, [[0, 1, 0, 1], [1, 1, 0, 0]]),  # 1.96 weights: rounded down to 1
        (0.5, [[0, 1, 0, 1], [1, 0, 1, 0]]),  # -0.1 -0.2, +0.8 +0.7
        (0.75, [[0, 1, 1, 1], [0, 0, 1, 0]]),  # -0.1 -0.2 -0.3, +0.8 +0.7 +0.6
        (1.0, [[1, 0, 1, 1], [0, 0, 1, 0]]),  # all go; 0.1 comes back by its score of 0.5
    ],
)
def test_drop_and_grow_by_hand(drop_fraction, expected):
    new = drop_and_grow(WEIGHT, MASK, SCORE, drop_fraction)

    assert new.dtype == torch.bool
    assert new.int().tolist() == expected


def test_inputs_are_left_alone():
    weight, mask, score = WEIGHT.clone(), MASK.clone(), SCORE.clone()

    drop_and_grow(weight, mask, score, 1.0)

    assert torch.equal(weight, WEIGHT)
    assert torch.equal(mask, MASK)
    assert torch.equal(score, SCORE)


def test_a_mask_of_numbers_counts_as_bool():
    new = drop_and_grow(WEIGHT, MASK.float(), SCORE, 0.5)

    assert torch.equal(new, drop_and_grow(WEIGHT, MASK, SCORE, 0.5))


def test_the_lowest_index_wins_a_tie():
    weight = tensor([[2.0, -2.0, 2.0, 0.0, 0.0, 0.0]])
    mask = tensor([[1, 1, 1, 0, 0, 0]]).bool()
    score = tensor([[0.0, 0.0, 0.0, 5.0, -5.0, 5.0]])

    new = drop_and_grow(weight, mask, score, 0.67)  # 2 of 3 go

    assert new.int().tolist() == [[1, 0, 0, 1, 1, 0]]


def test_a_kept_zero_never_loses_to_an_absent_zero():
    weight = torch.zeros(1, 6)
    mask = tensor([[0, 0, 0, 1, 1, 1]]).bool()
    score = tensor([[3.0, 2.0, 1.0, 0.0, 0.0, 0.0]])

    new = drop_and_grow(weight, mask, score, 0.34)  # 1 of 3 goes: the last

    assert new.int().tolist() == [[1, 0, 0, 1, 1, 0]]


def test_a_survivor_is_not_grown_again():
    weight = tensor([[5.0, 0.1, 0.0]])
    mask = tensor([[1, 1, 0]]).bool()
    score = tensor([[9.0, 1.0, 2.0]])  # the largest score is the survivor's own

    assert drop_and_grow(weight, mask, score, 0.5).int().tolist() == [[1, 0, 1]]


SMALL = st.integers(-3, 3).map(float)  # many ties and zeros


@st.composite
def layer(draw):
    size = draw(st.integers(1, 24))
    row = st.lists(SMALL, min_size=size, max_size=size)
    mask = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    weight = [w if kept else 0.0 for w, kept in zip(draw(row), mask, strict=True)]
    return weight, mask, draw(row)


@given(layer(), st.floats(0.0, 1.0))
def test_equals_plain_python(layer, drop_fraction):
    weight, mask, score = layer
    kept = sorted((i for i, m in enumerate(mask) if m), key=lambda i: (-abs(weight[i]), i))
    dropped = int(drop_fraction * len(kept))
    survivors = kept[: len(kept) - dropped]
    free = sorted(set(range(len(mask))) - set(survivors), key=lambda i: (-abs(score[i]), i))
    expected = sorted(survivors + free[:dropped])

    new = drop_and_grow(tensor([weight]), tensor([mask]), tensor([score]), drop_fraction)

    assert new[0].nonzero().flatten().tolist() == expected


def test_shapes_must_agree():
    message = r"weight \(2, 3\), mask \(2, 3\), growth_score \(3, 2\)"
    with pytest.raises(ValueError, match=message):
        drop_and_grow(torch.ones(2, 3), torch.ones(2, 3).bool(), torch.ones(3, 2), 0.5)


@pytest.mark.parametrize("drop_fraction", [-0.1, 1.1, float("nan")])
def test_drop_fraction_out_of_range(drop_fraction):
    with pytest.raises(ValueError, match=f"drop_fraction={drop_fraction} is out of range"):
        drop_and_grow(WEIGHT, MASK, SCORE, drop_fraction)


@pytest.mark.parametrize(
    ("kept", "drop_fraction", "expected"),
    [
        (2, 0.0, [0, 0, 1, 1, 0, 0]),  # the smallest two of four go
        (2, 0.5, [0, 0, 0, 1, 0, 1]),  # and of the two that stay one moves
        (5, 0.0, [1, 1, 1, 1, 0, 1]),  # the highest score is grown
        (5, 0.25, [0, 1, 1, 1, 1, 1]),  # one of four goes, two are grown
        (6, 1.0, [1, 1, 1, 1, 1, 1]),
    ],
)
def test_another_number_of_kept_weights_by_hand(kept, drop_fraction, expected):
    weight = torch.tensor([[1.0, -2.0, 3.0, -4.0, 0.0, 0.0]])
    mask = weight != 0
    score = torch.tensor([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]])

    new = drop_and_grow(weight, mask, score, drop_fraction, kept)

    assert new.int().tolist() == [expected]
