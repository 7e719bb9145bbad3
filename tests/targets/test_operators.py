"""From action values to one value per agent: by hand, against plain Python, and limits."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from epymarl_mast.targets import maximum, mellowmax, soft_mellowmax, softmax_expectation, softmax_of

LN2 = math.log(2.0)
OPERATORS = {
    "soft_mellowmax": lambda q, available: soft_mellowmax(q, available, alpha=10.0, omega=10.0),
    "mellowmax": lambda q, available: mellowmax(q, available, omega=10.0),
    "softmax_expectation": lambda q, available: softmax_expectation(q, available, alpha=10.0),
    "maximum": maximum,
}
each_operator = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


@st.composite
def rows(draw, limit=50.0):
    """Action values and which actions are available, at least one."""
    count = draw(st.integers(1, 6))
    value = st.floats(-limit, limit, width=32)
    q = draw(st.lists(value, min_size=count, max_size=count))
    available = draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    return q, available


def only(q, available):
    return [value for value, there in zip(q, available, strict=True) if there]


def double(q):
    return tensor(q, dtype=torch.float64)


def plain_soft_mellowmax(q, alpha, omega):
    """(1/ω)·log Σ_u softmax(α·q)_u · exp(ω·q_u), around the maximum so that exp cannot overflow."""
    top = max(q)
    weights = [math.exp(alpha * (value - top)) for value in q]
    terms = [w * math.exp(omega * (v - top)) for w, v in zip(weights, q, strict=True)]
    return top + math.log(sum(terms) / sum(weights)) / omega


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        # softmax(ln 1, ln 2) = 1/3, 2/3
        (lambda q, a: soft_mellowmax(q, a, alpha=1.0, omega=1.0), math.log((1 * 1 + 2 * 2) / 3)),
        (
            lambda q, a: soft_mellowmax(q, a, alpha=1.0, omega=2.0),
            math.log((1 * 1 + 2 * 4) / 3) / 2,
        ),
        # softmax(2·q) = 1/5, 4/5
        (lambda q, a: soft_mellowmax(q, a, alpha=2.0, omega=1.0), math.log((1 * 1 + 4 * 2) / 5)),
        (lambda q, a: mellowmax(q, a, omega=1.0), math.log((1 + 2) / 2)),
        (lambda q, a: mellowmax(q, a, omega=2.0), math.log((1 + 4) / 2) / 2),
        (lambda q, a: softmax_expectation(q, a, alpha=1.0), 2 / 3 * LN2),
        (lambda q, a: softmax_expectation(q, a, alpha=0.0), LN2 / 2),
        (maximum, LN2),
    ],
)
def test_by_hand(operator, expected):
    q, available = double([0.0, 7.0, LN2]), tensor([1, 0, 1])

    assert float(operator(q, available)) == pytest.approx(expected, rel=1e-14)


@each_operator
@pytest.mark.parametrize("kind", [torch.bool, torch.int32, torch.float32], ids=str)
def test_leading_axes_stay_and_any_0_1_mask_will_do(operator, kind):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 4, 5, generator=generator)
    available = (torch.rand(2, 3, 4, 5, generator=generator) < 0.5).to(kind)

    values = operator(q, available)

    assert (values.shape, values.dtype) == ((2, 3, 4), torch.float32)
    torch.testing.assert_close(values[1, 2, 3], operator(q[1, 2, 3], available[1, 2, 3]))


@given(rows(), st.floats(0.0, 20.0), st.floats(0.1, 20.0))
def test_soft_mellowmax_equals_plain_python(row, alpha, omega):
    q, available = row

    value = float(soft_mellowmax(double(q), tensor(available), alpha, omega))

    expected = plain_soft_mellowmax(only(q, available), alpha, omega)
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-10)


@given(rows(), st.floats(0.1, 20.0))
def test_mellowmax_is_soft_mellowmax_with_equal_weights(row, omega):
    q, available = row

    value = float(mellowmax(double(q), tensor(available), omega))

    expected = plain_soft_mellowmax(only(q, available), 0.0, omega)
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert value == float(soft_mellowmax(double(q), tensor(available), 0.0, omega))


@given(rows(limit=1e6), st.floats(0.0, 10.0))
@each_dtype
def test_softmax_expectation_equals_plain_python(dtype, row, alpha):
    q, available = row

    value = float(softmax_expectation(tensor(q, dtype=dtype), tensor(available), alpha))

    there = only(q, available)
    weights = [math.exp(alpha * (value - max(there))) for value in there]
    expected = sum(w * v for w, v in zip(weights, there, strict=True)) / sum(weights)
    spread = max(map(abs, there)) + 1.0
    assert abs(value - expected) <= 100 * torch.finfo(dtype).eps * spread


@given(rows(limit=1e6), st.floats(0.0, 20.0), st.floats(0.1, 20.0))
@each_dtype
def test_soft_mellowmax_lies_below_the_max_by_no_more_than_log_u_over_omega(
    dtype, row, alpha, omega
):
    q, available = tensor(row[0], dtype=dtype), tensor(row[1])

    value, top = float(soft_mellowmax(q, available, alpha, omega)), float(maximum(q, available))

    # the weight of the largest q is at least 1/U
    rounding = 8 * torch.finfo(dtype).eps * (abs(top) + 1.0)
    assert top - math.log(sum(row[1])) / omega - rounding <= value <= top


def test_rounding_never_lifts_soft_mellowmax_above_the_max():
    # the weights of nearly equal values may add up to a hair over 1, which a small ω makes large
    q = -1e-7 * torch.rand(1000, 4, generator=torch.Generator().manual_seed(0))
    q[:, 0] = 0.0

    assert float(soft_mellowmax(q, torch.ones(1000, 4), alpha=10.0, omega=1e-3).max()) == 0.0


def test_rounding_never_lifts_softmax_expectation_out_of_the_values():
    generator = torch.Generator().manual_seed(0)
    constants = torch.rand(1000, 1, generator=generator) - 0.5

    values = softmax_expectation(constants.expand(-1, 7), torch.ones(1000, 7), alpha=1.0)

    assert torch.equal(values, constants.squeeze(1))


@each_dtype
def test_the_smallest_and_the_largest_number_weigh_the_same_at_alpha_0(dtype):
    largest = torch.finfo(dtype).max

    value = softmax_expectation(tensor([largest, -largest], dtype=dtype), torch.ones(2), alpha=0.0)

    assert float(value) == 0.0


@given(rows(limit=1e6))
@each_dtype
def test_a_large_omega_gives_the_max(dtype, row):
    q, available = tensor(row[0], dtype=dtype), tensor(row[1])

    value = soft_mellowmax(q, available, alpha=1.0, omega=1e9)

    torch.testing.assert_close(value, maximum(q, available), rtol=1e-6, atol=1e-6)


@each_operator
@each_dtype
@pytest.mark.parametrize("constant", [0.0, -3.5, 1e6, -1e6])
def test_constant_values_give_the_constant(operator, dtype, constant):
    q = torch.full((7,), constant, dtype=dtype)
    available = tensor([1, 1, 0, 1, 1, 0, 1])

    value = operator(q, available)

    torch.testing.assert_close(value, tensor(constant, dtype=dtype), rtol=1e-6, atol=1e-6)


@each_operator
@each_dtype
@pytest.mark.parametrize("scale", [1e3, 1e6, "the largest number"])
def test_any_finite_values_give_a_finite_value(operator, dtype, scale):
    scale = torch.finfo(dtype).max if scale == "the largest number" else scale
    q = scale * tensor([[1, -1, 0], [-1, -1, -1], [1, 1, 1], [0, 0, -1]], dtype=dtype)

    values = operator(q, torch.ones(4, 3))

    assert values.isfinite().all()


@each_operator
@pytest.mark.parametrize("garbage", [1e30, -1e30, math.inf, -math.inf])
def test_unavailable_actions_have_no_influence(operator, garbage):
    q = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    available = torch.rand(20, 6, generator=torch.Generator().manual_seed(1)) < 0.5
    available[:, 2] = True

    values = operator(q.masked_fill(~available, garbage), available)

    assert torch.equal(values, operator(q.masked_fill(~available, 0.0), available))
    assert values.isfinite().all()


@each_operator
@pytest.mark.parametrize("garbage", [0.0, 1e30, math.inf])
def test_no_available_action_gives_zero(operator, garbage):
    q = tensor([[garbage, 2.0], [1.0, 2.0]])

    values = operator(q, tensor([[0, 0], [1, 0]]))

    torch.testing.assert_close(values, tensor([0.0, 1.0]))


def test_softmax_of_weighs_one_thing_by_another():
    """Weights 1/3 and 2/3 from scores 0 and ln 2, and an unavailable entry beside them."""
    scores, values = double([0.0, LN2, 1e30]), double([3.0, 6.0, math.inf])

    value = softmax_of(scores, values, tensor([1, 1, 0]), beta=1.0)

    assert value.item() == pytest.approx(5.0, rel=1e-12)


@given(rows())
def test_softmax_of_itself_is_the_expectation(row):
    q, available = double(row[0]), tensor(row[1])

    value = softmax_of(q, q, available, beta=0.7)

    assert value.item() == pytest.approx(softmax_expectation(q, available, 0.7).item(), abs=1e-9)


def test_softmax_of_nothing_is_zero():
    assert softmax_of(double([1.0, 2.0]), double([1.0, 2.0]), tensor([0, 0]), 1.0).item() == 0.0
