"""The second buffer: newest episodes only, drawn without replacement from a seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.replay import OnlineBuffer


def numbered(*numbers):
    """A batch with one episode of three steps per number; every entry is the number."""
    episode = torch.tensor(numbers)[:, None, None]
    return {
        "obs": episode[..., None].expand(-1, 3, 2, 4).float(),
        "actions": episode.expand(-1, 3, 1),
    }


def buffer_with(*numbers, capacity=10, seed=0):
    buffer = OnlineBuffer(capacity, torch.Generator().manual_seed(seed))
    buffer.insert(numbered(*numbers))
    return buffer


def drawn(buffer, size):
    return buffer.sample(size)["actions"][:, 0, 0].tolist()


def test_the_oldest_episodes_fall_out_first():
    buffer = buffer_with(0, 1, capacity=4)
    buffer.insert(numbered(2, 3))
    buffer.insert(numbered(4, 5, 6))

    assert len(buffer) == 4
    assert sorted(drawn(buffer, 4)) == [3, 4, 5, 6]


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(0, 8))
def test_it_holds_the_newest_episodes_up_to_its_capacity(batches, capacity):
    buffer = OnlineBuffer(capacity, torch.Generator())
    inserted = []
    for size in batches:
        numbers = range(len(inserted), len(inserted) + size)
        buffer.insert(numbered(*numbers))
        inserted += numbers

    newest = inserted[len(inserted) - min(capacity, len(inserted)) :]
    assert len(buffer) == len(newest)
    assert not newest or sorted(drawn(buffer, len(newest))) == newest


def test_capacity_zero_takes_nothing():
    buffer = buffer_with(1, 2, capacity=0)

    assert len(buffer) == 0
    with pytest.raises(ValueError, match="cannot draw 1 episodes from 0"):
        buffer.sample(1)


def test_a_sample_keeps_fields_shapes_and_types():
    sample = buffer_with(7, 8, 9).sample(2)

    assert {key: (field.shape, field.dtype) for key, field in sample.items()} == {
        "obs": ((2, 3, 2, 4), torch.float32),
        "actions": ((2, 3, 1), torch.int64),
    }
    assert torch.equal(sample["obs"][..., 0, 0], sample["actions"].squeeze(2).float())


def test_episodes_are_drawn_without_replacement():
    buffer = buffer_with(*range(10))

    assert all(len(set(drawn(buffer, 6))) == 6 for _ in range(20))


def test_every_episode_is_as_likely():
    buffer = buffer_with(*range(10))

    draws = [number for _ in range(1000) for number in drawn(buffer, 2)]

    # 200 expected; five standard deviations are 63
    assert all(abs(draws.count(number) - 200) < 63 for number in range(10))


def test_draws_follow_the_seed():
    def draws(seed):
        buffer = buffer_with(*range(10), seed=seed)
        return [drawn(buffer, 3) for _ in range(5)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_a_sample_larger_than_the_buffer_is_refused():
    with pytest.raises(ValueError, match="cannot draw 4 episodes from 3"):
        buffer_with(1, 2, 3).sample(4)


def test_longer_episodes_than_before_make_room_and_shorter_ones_are_padded():
    buffer = OnlineBuffer(3, torch.Generator().manual_seed(0))
    for steps in (2, 4, 3, 1):
        filled = torch.ones(1, steps, 1, dtype=torch.long)
        buffer.insert({"filled": filled, "obs": filled * steps})

    sample = buffer.sample(3)

    lengths = sample["filled"].sum(dim=1).flatten()
    assert sorted(lengths.tolist()) == [1, 3, 4]
    assert torch.equal(sample["obs"].sum(dim=1).flatten(), lengths**2)  # zero in the padding


def test_changing_a_sample_does_not_change_the_buffer():
    buffer = buffer_with(5)

    buffer.sample(1)["obs"].zero_()

    assert bool((buffer.sample(1)["obs"] == 5).all())


def test_stored_episodes_need_no_gradient():
    buffer = OnlineBuffer(2, torch.Generator())
    buffer.insert({"obs": torch.ones(1, 3, requires_grad=True)})

    assert not buffer.sample(1)["obs"].requires_grad


def measured(distances):
    """A distance for each episode's number, and what was asked for."""
    asked = []

    def distance(fields):
        numbers = fields["actions"][:, 0, 0].tolist()
        asked.append(numbers)
        return sum(distances[number] for number in numbers) / len(numbers)

    return distance, asked


def test_the_oldest_episodes_are_dropped_while_they_are_far():
    buffer = buffer_with(*range(10))
    distance, asked = measured([0.9, 0.9, 0.5, 0.7, 0.1, 0.3, 0.9, 0.9, 0.9, 0.9])

    far = buffer.drop_stale(distance, bound=0.2, group=2, minimum=2)

    assert asked == [[0, 1], [2, 3], [4, 5]]  # means 0.9, 0.6, 0.2: the bound itself is near
    assert far == pytest.approx(0.2)
    assert sorted(drawn(buffer, len(buffer))) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(("minimum", "left"), [(7, 8), (8, 8), (9, 10), (10, 10), (50, 10)])
def test_the_minimum_is_kept_however_far_the_policy_is(minimum, left):
    buffer = buffer_with(*range(10))
    distance, _ = measured([1.0] * 10)

    buffer.drop_stale(distance, bound=0.0, group=2, minimum=minimum)

    assert len(buffer) == left


def test_a_buffer_at_its_minimum_is_not_measured():
    buffer = buffer_with(*range(3))

    assert buffer.drop_stale(lambda fields: pytest.fail("measured"), 0.0, 2, minimum=2) == 0.0


def test_returns_are_those_of_the_newest_episodes():
    buffer = OnlineBuffer(2, torch.Generator())
    with pytest.raises(ValueError, match="an empty buffer has no returns"):
        buffer.returns()
    buffer.insert({"reward": torch.tensor([[[9.0], [9.0]], [[1.0], [0.5]], [[2.0], [-1.0]]])})
    assert sorted(buffer.returns()) == [1.0, 1.5]


def test_returns_sum_over_agents_with_rewards_of_their_own():
    buffer = OnlineBuffer(2, torch.Generator())
    buffer.insert({"reward": torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])})
    assert buffer.returns() == [10.0]
