"""Returns against double loops over their definitions, and the ends of episodes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from epymarl_mast.targets import n_step, one_step, td_lambda

RETURNS = {
    "one_step": lambda *args: one_step(*args, gamma=0.9),
    "n_step": lambda *args: n_step(*args, gamma=0.9, n=3),
    "td_lambda": lambda *args: td_lambda(*args, gamma=0.9, lam=0.6),
}
each_return = pytest.mark.parametrize("returns", RETURNS.values(), ids=RETURNS)


@st.composite
def episodes(draw):
    """Lengths, which episodes terminated, the steps and columns of a batch, and its numbers."""
    steps, columns = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, steps), min_size=1, max_size=4))
    ends = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    own_rewards = draw(st.booleans())
    return make_batch(lengths, ends, steps, columns, own_rewards, draw(st.integers(0, 9999)))


def make_batch(lengths, ends, steps, columns=1, own_rewards=False, seed=0):
    """rewards, terminated, mask, next_values; the padding is full of numbers."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), steps)
    rewards = torch.randn(*shape, columns if own_rewards else 1, generator=generator)
    values = 5 * torch.randn(*shape, columns, generator=generator)
    time, length = torch.arange(steps)[None, :, None], tensor(lengths)[:, None, None]
    mask = (time < length).double()
    terminated = ((time == length - 1) & tensor(ends)[:, None, None]) | (time >= length)
    return rewards.double(), terminated.double(), mask, values.double()


def plain_return(episode, t, n, gamma):
    """T^(n) of one episode from step t: at most n rewards, then the value of the last state."""
    rewards, terminated, length, values = episode
    n = min(n, length - t)
    value = 0.0 if terminated[t + n - 1] else values[t + n - 1]
    return sum(gamma**i * rewards[t + i] for i in range(n)) + gamma**n * value


def plain_lambda_return(episode, t, gamma, lam):
    """T_λ as the forward sum over n, the remaining weight on the longest return."""
    longest = episode[2] - t
    total = lam ** (longest - 1) * plain_return(episode, t, longest, gamma)
    for n in range(1, longest):
        total += (1 - lam) * lam ** (n - 1) * plain_return(episode, t, n, gamma)
    return total


def plain(batch, of_step):
    """Fill (B, T, C) by ``of_step(episode, t)`` inside the episodes, 0 elsewhere."""
    rewards, terminated, mask, values = batch
    result = torch.zeros_like(values)
    for b in range(len(values)):
        length = int(mask[b].sum())
        for c in range(values.shape[2]):
            column = min(c, rewards.shape[2] - 1)
            episode = (
                rewards[b, :, column].tolist(),
                terminated[b, :, 0].tolist(),
                length,
                values[b, :, c].tolist(),
            )
            for t in range(length):
                result[b, t, c] = of_step(episode, t)
    return result


def same(ours, expected):
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@given(episodes(), st.integers(1, 9), st.floats(0.0, 1.0))
def test_n_step_equals_its_definition(batch, n, gamma):
    expected = plain(batch, lambda episode, t: plain_return(episode, t, n, gamma))

    same(n_step(*batch, gamma, n), expected)


@given(episodes(), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_td_lambda_equals_its_definition(batch, gamma, lam):
    expected = plain(batch, lambda episode, t: plain_lambda_return(episode, t, gamma, lam))

    same(td_lambda(*batch, gamma, lam), expected)


@given(episodes(), st.floats(0.0, 1.0))
def test_lambda_0_and_n_1_are_one_step(batch, gamma):
    expected = plain(batch, lambda episode, t: plain_return(episode, t, 1, gamma))

    same(one_step(*batch, gamma), expected)
    same(td_lambda(*batch, gamma, lam=0.0), expected)
    same(n_step(*batch, gamma, n=1), expected)


@given(episodes(), st.floats(0.0, 1.0))
def test_lambda_1_is_the_longest_return(batch, gamma):
    same(td_lambda(*batch, gamma, lam=1.0), n_step(*batch, gamma, n=batch[0].shape[1]))


REWARDS = tensor([[[1.0], [2.0], [3.0]]])
VALUES = tensor([[[10.0], [20.0], [30.0]]])
INSIDE = torch.ones(1, 3, 1)
TIME_LIMIT, TERMINATED = torch.zeros(1, 3, 1), tensor([[[0.0], [0.0], [1.0]]])


@pytest.mark.parametrize(
    ("terminated", "n", "expected"),
    [
        (TIME_LIMIT, 1, [1 + 5, 2 + 10, 3 + 15]),
        (TIME_LIMIT, 2, [1 + 1 + 5, 2 + 1.5 + 7.5, 3 + 15]),
        (TIME_LIMIT, 5, [1 + 1 + 0.75 + 3.75, 2 + 1.5 + 7.5, 3 + 15]),
        (TERMINATED, 1, [1 + 5, 2 + 10, 3]),
        (TERMINATED, 2, [1 + 1 + 5, 2 + 1.5, 3]),
        (TERMINATED, 5, [1 + 1 + 0.75, 2 + 1.5, 3]),
    ],
)
def test_n_step_by_hand(terminated, n, expected):
    returns = n_step(REWARDS, terminated, INSIDE, VALUES, gamma=0.5, n=n)

    assert returns.flatten().tolist() == expected


def test_td_lambda_by_hand():
    # y_2 = 3 + 15; y_1 = 2 + 0.5*(20 + y_2)/2; y_0 = 1 + 0.5*(10 + y_1)/2
    returns = td_lambda(REWARDS, TIME_LIMIT, INSIDE, VALUES, gamma=0.5, lam=0.5)
    assert returns.flatten().tolist() == [6.375, 11.5, 18.0]

    # y_2 = 3; y_1 = 2 + 0.5*(20 + 3)/2; y_0 = 1 + 0.5*(10 + y_1)/2
    returns = td_lambda(REWARDS, TERMINATED, INSIDE, VALUES, gamma=0.5, lam=0.5)
    assert returns.flatten().tolist() == [5.4375, 7.75, 3.0]


@each_return
def test_columns_are_apart_and_share_a_single_reward(returns):
    rewards, terminated, mask, values = make_batch([4, 2], [True, False], steps=5, columns=3)

    together = returns(rewards, terminated, mask, values)

    assert together.shape == (2, 5, 3)
    for c in range(3):
        same(together[..., c : c + 1], returns(rewards, terminated, mask, values[..., c : c + 1]))


@each_return
@pytest.mark.parametrize("wide", range(4), ids=["rewards", "terminated", "mask", "next_values"])
def test_any_of_the_four_may_have_all_the_columns(returns, wide):
    narrow = make_batch([4, 2], [True, False], steps=5)
    batch = [field.expand(-1, -1, 3) if i == wide else field for i, field in enumerate(narrow)]

    assert torch.equal(returns(*batch), returns(*narrow).expand(-1, -1, 3))


@each_return
@pytest.mark.parametrize("garbage", [1e30, -1e300, math.inf, -math.inf])
def test_padding_has_no_influence(returns, garbage):
    rewards, terminated, mask, values = make_batch([4, 2, 0], [True, False, False], steps=5)
    outside = mask == 0

    dirty = returns(
        rewards.masked_fill(outside, garbage),
        terminated.masked_fill(outside, 1.0),
        mask,
        values.masked_fill(outside, garbage),
    )

    clean = (rewards * mask, terminated * mask, mask, values * mask)
    assert torch.equal(dirty, returns(*clean))


@each_return
@pytest.mark.parametrize("garbage", [1e300, -math.inf])
def test_the_value_beyond_a_terminal_step_has_no_influence(returns, garbage):
    batch = make_batch([4, 2], [True, True], steps=4)
    rewards, terminated, mask, values = batch

    dirty = returns(rewards, terminated, mask, values.masked_fill(terminated == 1, garbage))

    assert torch.equal(dirty, returns(*batch))


@each_return
@pytest.mark.parametrize("of_rewards", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("of_values", [torch.float32, torch.float64], ids=str)
def test_types_are_promoted_as_torch_does(returns, of_rewards, of_values):
    rewards, terminated, mask, values = make_batch([4, 2], [True, False], steps=5, columns=3)

    mixed = returns(rewards.to(of_rewards), terminated.int(), mask.float(), values.to(of_values))

    assert mixed.dtype == torch.promote_types(of_rewards, of_values)
    exact = returns(rewards, terminated, mask, values)
    torch.testing.assert_close(mixed.double(), exact, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n", [0, -1])
def test_n_out_of_range(n):
    with pytest.raises(ValueError, match=f"n={n} is out of range: n >= 1"):
        n_step(REWARDS, TERMINATED, INSIDE, VALUES, 0.9, n)


@pytest.mark.parametrize("lam", [-0.1, 1.1, math.nan])
def test_lambda_out_of_range(lam):
    with pytest.raises(ValueError, match=f"lam={lam} is out of range: 0 <= lam <= 1"):
        td_lambda(REWARDS, TERMINATED, INSIDE, VALUES, 0.9, lam)
