"""Rice coding of positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.export.gaps import MAX_LOW_BITS, best_low_bits, decode, encode


def test_bits_of_a_small_case():
    # gaps 0, 1, 6; low bits 0 1 0, then unary 1 1 0001
    code = encode(np.array([0, 2, 9]), low_bits=1)
    assert code.tolist() == [0b00011010, 0b1]
    assert decode(code, 3, 1, limit=10).tolist() == [0, 2, 9]


@given(st.sets(st.integers(0, 5000)), st.integers(0, MAX_LOW_BITS))
def test_decoding_undoes_encoding(positions, low_bits):
    positions = np.array(sorted(positions), np.int64)
    assert decode(encode(positions, low_bits), len(positions), low_bits, 5001).tolist() == (
        positions.tolist()
    )


def test_the_best_parameter_takes_least_room():
    positions = np.flatnonzero(np.random.default_rng(0).random(20_000) < 0.1)
    sizes = [len(encode(positions, bits)) for bits in range(10)]
    assert best_low_bits(positions) == int(np.argmin(sizes))
    assert min(sizes) * 8 / len(positions) < 4.9  # bits a weight; the entropy is 4.7


@pytest.mark.parametrize(
    ("code", "count", "low_bits", "problem"),
    [
        ([26, 1], 4, 1, "positions where 4 belong"),
        ([26, 1], 2, 1, "positions where 2 belong"),
        ([], 1, 1, "0 positions where 1 belong"),
        ([26, 1], 3, 20, "positions where 3 belong"),
        ([26, 1], 3, 1, "position 9 where there are 9 weights"),
    ],
)
def test_a_code_of_something_else_is_refused(code, count, low_bits, problem):
    with pytest.raises(ValueError, match=problem):
        decode(np.array(code, np.uint8), count, low_bits, limit=9)
