"""Two batches as one: what a loss sees is the two parts, whatever their lengths."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.replay import OnlineBuffer, Room, copy_episodes, join_episodes
from epymarl_mast.targets import td_lambda


def make_batch(lengths, limit, seed):
    """Episodes as hosts store them: data for the steps 0..length, zero after that.

    An episode ends at the time limit or because its task ended, before it or right there.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), limit + 1, 1)
    time, length = torch.arange(limit + 1)[None, :, None], torch.tensor(lengths)[:, None, None]
    filled = (time <= length).long()
    ended = (torch.rand(len(lengths), 1, 1, generator=generator) < 0.5) | (length < limit)
    return {
        "value": torch.randn(*shape, generator=generator, dtype=torch.float64) * filled,
        "reward": torch.randn(*shape, generator=generator, dtype=torch.float64) * (time < length),
        "terminated": ((time == length - 1) & ended).to(torch.uint8),
        "filled": filled,
    }


def cut_to_the_longest(batch):
    """As samples are: a buffer's sample of all its episodes."""
    size = len(batch["filled"])
    buffer = OnlineBuffer(size, torch.Generator().manual_seed(0))
    buffer.insert(batch)
    return buffer.sample(size)


@st.composite
def two_batches(draw):
    """Two batches of one environment; each is cut to its longest episode, as samples are."""
    limit = draw(st.integers(1, 7))
    lengths = st.lists(st.integers(1, limit), min_size=1, max_size=4)
    seed = draw(st.integers(0, 9999))
    batches = (make_batch(draw(lengths), limit, seed + i) for i in range(2))
    return tuple(map(cut_to_the_longest, batches))


def loss_terms(batch):
    """Sum of squared TD errors and number of steps, with the mask as the hosts make it."""
    terminated = batch["terminated"][:, :-1].double()
    mask = batch["filled"][:, :-1].double()
    mask[:, 1:] = mask[:, 1:] * (1 - terminated[:, :-1])
    values, reward = batch["value"], batch["reward"]
    target = td_lambda(reward[:, :-1], terminated, mask, values[:, 1:], gamma=0.9, lam=0.6)
    return torch.stack([(mask * (values[:, :-1] - target) ** 2).sum(), mask.sum()])


@given(two_batches())
def test_the_loss_on_the_joined_batch_is_that_of_the_two_parts(parts):
    first, second = parts

    joined = join_episodes(first, second)

    torch.testing.assert_close(
        loss_terms(joined), loss_terms(first) + loss_terms(second), rtol=1e-12, atol=1e-12
    )


@given(two_batches())
def test_the_shorter_part_is_padded_with_zeros(parts):
    first, second = parts

    joined = join_episodes(first, second)

    for key, field in joined.items():
        halves = torch.split(field, [len(first[key]), len(second[key])])
        assert field.dtype == first[key].dtype
        for part, original in zip(halves, (first[key], second[key]), strict=True):
            steps = original.shape[1]
            assert torch.equal(part[:, :steps], original)
            assert not part[:, steps:].any()
    assert joined["filled"].shape[1] == max(first["filled"].shape[1], second["filled"].shape[1])


def test_fields_with_more_axes_are_padded_along_time_only():
    joined = join_episodes({"obs": torch.ones(2, 3, 4, 5)}, {"obs": torch.ones(1, 6, 4, 5)})

    assert joined["obs"].shape == (3, 6, 4, 5)
    assert joined["obs"].sum() == 2 * 3 * 20 + 1 * 6 * 20


@given(st.lists(two_batches(), min_size=2, max_size=4))
def test_memory_that_is_kept_makes_no_difference(pairs):
    room = Room()
    for first, second in pairs:
        joined = join_episodes(first, second, room)

        assert all(torch.equal(joined[k], v) for k, v in join_episodes(first, second).items())


def test_the_parts_are_left_alone():
    first, second = make_batch([1], 3, seed=0), make_batch([4], 6, seed=1)

    join_episodes(first, second)["reward"].fill_(9.0)

    assert torch.equal(first["reward"], make_batch([1], 3, seed=0)["reward"])
    assert torch.equal(second["reward"], make_batch([4], 6, seed=1)["reward"])


@pytest.mark.parametrize("odd_one", [0, 1], ids=["first", "second"])
def test_a_field_of_one_part_only_is_named(odd_one):
    parts = [make_batch([1], 3, seed=0), make_batch([1], 3, seed=0)]
    parts[odd_one]["avail_actions"] = torch.ones(1, 3, 2)

    message = "field 'avail_actions' is in one of the two batches only"
    with pytest.raises(ValueError, match=message):
        join_episodes(*parts)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(0, 9999))
def test_a_sample_without_its_padding_has_the_same_loss(lengths, seed):
    batch = make_batch(lengths, 7, seed)
    sample = cut_to_the_longest(batch)

    assert sample["filled"].shape[1] == max(lengths) + 1
    torch.testing.assert_close(loss_terms(sample), loss_terms(batch))


def drawn(batch, size):
    buffer = OnlineBuffer(size + 2, torch.Generator().manual_seed(0))
    buffer.insert(make_batch([1, 1], batch["filled"].shape[1] - 1, seed=5))
    buffer.insert(batch)
    return buffer.draw(size)


@pytest.mark.parametrize("longest", [3, 6])
def test_places_lead_to_what_is_joined(longest):
    first, second = make_batch([longest, 1], longest, seed=0), make_batch([1, 2, 3], 6, seed=1)
    joined = join_episodes(first, drawn(second, 3))

    for key, field in joined.items():
        there = [part[rows, : joined.steps] for part, rows in joined.places(key)]
        assert torch.equal(torch.cat(there), field)


def test_no_places_where_a_part_is_shorter_or_copied():
    first, second = make_batch([2], 2, seed=0), make_batch([6, 5, 6], 6, seed=1)

    assert join_episodes(first, drawn(second, 3)).places("reward") is None
    assert join_episodes(second, second).places("reward") is None


def test_a_field_that_nothing_reads_is_not_copied():
    first, second = make_batch([6], 6, seed=0), make_batch([6, 5, 6], 6, seed=1)
    room = Room()

    joined = join_episodes(first, drawn(second, 3), room)
    joined.places("value")
    assert set(joined) == set(first)
    assert room.memory == {}
    assert joined["reward"] is joined["reward"]
    assert set(room.memory) == {"reward"}


def test_what_the_last_batch_was_asked_for_is_joined_together():
    first, second = make_batch([6], 6, seed=0), make_batch([6, 5, 6], 6, seed=1)
    room, copied = Room(), []

    def copy(indices, fields):
        copied.append(len(fields))
        copy_episodes(indices, fields)

    for read in (["reward", "filled"], ["filled", "reward"], ["value"], ["value", "filled"]):
        joined = join_episodes(first, drawn(second, 3), room, copy)
        for key in read:
            assert torch.equal(joined[key], join_episodes(first, drawn(second, 3))[key])

    assert copied == [1, 1, 2, 3, 1, 1]


@pytest.mark.parametrize("field", ["value", "terminated", "filled"])
@pytest.mark.parametrize("steps", [3, 6, 9])
def test_the_compiled_copy_is_that_of_torch(field, steps):
    kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
    if not kernels.available():
        pytest.skip("the sparse kernels do not run here")
    first, second = make_batch([5, 3, 2], 5, 0)[field], make_batch([8] * 4, 8, 1)[field]
    parts = first, second[:, :7], second.mT.contiguous().mT
    indices = [*map(torch.tensor, ([0, 1, 2], [2, 0], [3]))]
    ours, expected = (
        [torch.full((6, t, 1), 7, dtype=first.dtype) for t in (steps, 1)] for _ in "12"
    )

    kernels.copy_episodes(indices, [(parts, out) for out in ours])
    copy_episodes(indices, [(parts, out) for out in expected])

    assert all(map(torch.equal, ours, expected))
