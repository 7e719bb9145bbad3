"""The cross-entropy method: by an independent computation, and on functions of known maximum."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.targets import best_of, cross_entropy_method


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_two_rounds_as_written_out():
    """Elites, mean and deviation by sorting, for one place and one number."""

    def value(actions):
        return -((actions - 0.3) ** 2).sum(-1)

    actions, values = cross_entropy_method(value, (1, 1), 8, 3, 2, seeded())

    draws = seeded()
    first = torch.randn(8, 1, 1, generator=draws).flatten().tolist()
    best = sorted(first, key=lambda x: (torch.tanh(torch.tensor(x)) - 0.3).abs().item())[:3]
    mean = sum(best) / 3
    deviation = (sum((x - mean) ** 2 for x in best) / 2) ** 0.5
    second = mean + deviation * torch.randn(8, 1, 1, generator=draws)
    torch.testing.assert_close(actions, torch.tanh(second))
    torch.testing.assert_close(values, value(actions))


@pytest.mark.parametrize("peak", [(-0.7, 0.2), (0.0, 0.0), (0.9, -0.9)])
def test_it_finds_a_maximum_for_every_place_of_its_own(peak):
    peaks = torch.tensor([peak, (peak[1], peak[0]), (0.5, 0.5)])  # (places, A)
    actions, values = cross_entropy_method(
        lambda a: -((a - peaks) ** 2).sum(-1), (3, 2), 64, 6, 6, seeded()
    )

    torch.testing.assert_close(best_of(actions, values), peaks, rtol=0, atol=0.05)
    assert actions.abs().max() <= 1


def test_the_best_action_is_that_of_the_highest_value():
    actions = torch.arange(12.0).view(3, 2, 2)  # (K, places, A)
    values = torch.tensor([[0.0, 5.0], [2.0, 1.0], [1.0, 3.0]])

    assert best_of(actions, values).tolist() == [[4.0, 5.0], [2.0, 3.0]]


def test_the_same_seed_draws_the_same():
    def run(seed):
        return cross_entropy_method(lambda a: a.sum(-1), (2, 3), 10, 4, 2, seeded(seed))[0]

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
