"""Gumbel-softmax actions: distribution, availability and gradient."""

from __future__ import annotations

import math

import pytest
import torch

from epymarl_mast.learners.policy import entropy, straight_through


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_samples_are_one_hot_and_follow_the_softmax(generator):
    logits = torch.tensor([0.0, 1.0, 2.0]).expand(20_000, 3)
    actions = straight_through(logits, torch.ones(20_000, 3), 1.0, generator)

    assert set(actions.unique().tolist()) <= {0.0, 1.0}
    assert actions.sum(dim=1).eq(1).all()
    expected = torch.softmax(logits[0], dim=0)
    torch.testing.assert_close(actions.mean(dim=0), expected, rtol=0, atol=0.01)


def test_what_is_not_available_is_never_sampled_and_gets_no_gradient(generator):
    logits = torch.tensor([[9.0, 0.0, 0.0]]).repeat(200, 1).requires_grad_()
    available = torch.tensor([0, 1, 1]).expand(200, 3)

    actions = straight_through(logits, available, 1.0, generator)
    (actions * torch.tensor([5.0, 1.0, 2.0])).sum().backward()

    assert not actions[:, 0].any()
    assert not logits.grad[:, 0].any()
    assert logits.grad[:, 2].sum() > 0  # towards the action that is worth more


def test_a_row_without_any_action_is_finite(generator):
    """Padded steps have none."""
    logits = torch.zeros(1, 3, requires_grad=True)
    actions = straight_through(logits, torch.zeros(1, 3), 0.5, generator)
    actions.sum().backward()
    assert torch.isfinite(actions).all()
    assert torch.isfinite(logits.grad).all()


def test_entropy_by_hand():
    available = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 1, 0]])
    logits = torch.zeros(3, 3)
    expected = torch.tensor([math.log(2), math.log(3), 0.0])
    torch.testing.assert_close(entropy(logits, available), expected)
