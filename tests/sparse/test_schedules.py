"""When the topology evolves and how much of it moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.sparse import UpdateSchedule, cosine_drop_fraction


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.4),
        (100, 0.3),  # cos 60° = 1/2
        (150, 0.2),  # cos 90° = 0
        (200, 0.1),  # cos 120° = -1/2
        (300, 0.0),
        (301, 0.0),  # the cosine would rise again
        (600, 0.0),
    ],
)
def test_cosine_by_hand(step, expected):
    assert cosine_drop_fraction(step, 300, 0.4) == pytest.approx(expected, abs=1e-15)


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0.0, 1.0))
def test_cosine_only_falls(one, other, initial):
    early, late = sorted((one, other))

    before = cosine_drop_fraction(early, 700, initial)
    after = cosine_drop_fraction(late, 700, initial)

    assert 0.0 <= after <= before <= initial


@pytest.mark.parametrize(
    ("update", "t_env", "due"),
    [
        (200, 0, True),
        (400, 999, True),
        (199, 0, False),
        (201, 0, False),
        (400, 1000, False),  # at the end
        (400, 2000, False),  # after it
    ],
)
def test_due_at_every_interval_until_the_end(update, t_env, due):
    schedule = UpdateSchedule(interval=200, end=1000, initial_drop_fraction=0.5)

    assert schedule.due(update, t_env) is due


def test_drop_fraction_is_counted_in_environment_steps():
    schedule = UpdateSchedule(interval=200, end=1000, initial_drop_fraction=0.5)

    assert schedule.drop_fraction(500) == pytest.approx(0.25, abs=1e-15)
