"""The rule of ``mast.sparsity=auto``, on made-up returns and misfits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.sparse.auto import SparsityController


def controller(lowest=0.5, highest=0.95, factor=1.25, tolerance=0.1):
    return SparsityController(lowest, highest, factor, tolerance)


def windows(rule, *seen):
    """Decide after windows of two updates; returns the decisions."""
    decisions = []
    for mean_return, misfit in seen:
        rule.observe(misfit - 0.01)
        rule.observe(misfit + 0.01)
        rule.decide(mean_return)
        decisions.append(rule.decision)
    return decisions


def test_the_first_window_is_only_looked_at():
    rule = controller()
    assert windows(rule, (1.0, 0.5)) == [0]
    assert rule.sparsity == 0.5


def test_sparser_by_the_factor_while_nothing_gets_worse():
    rule = controller()
    assert windows(rule, (0.0, 0.5), (1.0, 0.5), (2.0, 0.4)) == [0, 1, 1]
    assert 1 - rule.sparsity == pytest.approx(0.5 / 1.25**2)


@pytest.mark.parametrize(
    ("mean_return", "misfit", "decision"),
    [
        (0.95, 0.54, 1),  # both within 10 %: of the range 0 to 1, and of 0.5
        (0.85, 0.54, 0),  # the return alone
        (0.95, 0.60, 0),  # the fit alone
        (0.85, 0.60, -1),
    ],
)
def test_one_bad_sign_halts_and_two_turn_back(mean_return, misfit, decision):
    rule = controller()
    assert windows(rule, (0.0, 0.5), (1.0, 0.5)) == [0, 1]
    assert windows(rule, (mean_return, misfit)) == [decision]
    assert 1 - rule.sparsity == pytest.approx(0.4 / 1.25**decision)


def test_the_return_is_held_against_the_best_window_and_the_fit_against_the_last():
    rule = controller(tolerance=0.0)
    assert windows(rule, (2.0, 0.5), (3.0, 0.5), (1.0, 0.9)) == [0, 1, -1]
    assert windows(rule, (2.0, 0.8)) == [0]  # below the best of 3, but a better fit than 0.9
    assert windows(rule, (3.0, 0.8)) == [1]


def test_the_bounds_hold():
    rule = controller(lowest=0.5, highest=0.6)
    windows(rule, *[(1.0, 0.5)] * 5)
    assert rule.sparsity == 0.6
    for step in range(1, 9):
        windows(rule, (-float(step), 0.5 * 1.5**step))
    assert rule.sparsity == 0.5


def test_a_critical_sparsity_is_not_passed_for_long():
    """Returns fall and targets are no longer fitted as soon as fewer than 15 % are kept."""
    rule = controller(tolerance=0.05)
    seen = []
    for window in range(60):
        short = max(0.0, 0.15 - (1 - rule.sparsity))
        windows(rule, (min(window, 10) - 100 * short, 0.3 + 4 * short))
        seen.append(rule.sparsity)
    late = seen[20:]
    assert max(late) < 0.9
    assert min(late) > 0.8
    assert sum(sparsity <= 0.85 for sparsity in late) > len(late) / 3


def test_its_state_travels_as_json():
    rule, other = controller(), controller()
    windows(rule, (0.0, 0.5), (1.0, 0.5))
    rule.observe(0.7)
    other.load_state_dict(json.loads(json.dumps(rule.state_dict())))
    for one in (rule, other):
        one.observe(0.9)
    assert rule.decide(0.5) == other.decide(0.5) == rule.sparsity
    assert rule.state_dict() == other.state_dict()


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match=r"lowest=0\.9 <= highest=0\.8"):
        controller(lowest=0.9, highest=0.8)
    with pytest.raises(ValueError, match="no update was observed"):
        controller().decide(1.0)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.0, 1e6)), min_size=1, max_size=30))
def test_any_numbers_keep_it_within_its_bounds(seen):
    rule = controller()
    for mean_return, misfit in seen:
        rule.observe(misfit)
        assert 0.5 <= rule.decide(mean_return) <= 0.95
        assert rule.decision in (-1, 0, 1)
