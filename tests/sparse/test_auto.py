"""The rule of ``mast.sparsity=auto``, on made-up returns and misfits."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epymarl_mast.sparse.auto import Estimate, SparsityController

LEARNED = [(0.0, 0.5), (1.0, 0.5), (1.0, 0.5), (1.0, 0.5)]


def controller(lowest=0.5, highest=0.95, factor=1.25, tolerance=0.1, patience=2):
    return SparsityController(lowest, highest, factor, tolerance, patience)


def windows(rule, *seen, error=0.0):
    """Decide after windows of one part; returns the decisions."""
    decisions = []
    for mean_return, misfit in seen:
        rule.observe(misfit - 0.01)
        rule.observe(misfit + 0.01)
        rule.end_part()
        rule.decide(Estimate(mean_return, error))
        decisions.append(rule.decision)
    return decisions


def simulate(seen, windows=80, seed=0):
    """Sparsities of a run whose ``seen(window, sparsity)`` is ``(return, misfit)``, both noisy."""
    rule, noise, found = controller(tolerance=0.05), random.Random(seed), []
    for window in range(windows):
        mean_return, misfit = seen(window, rule.sparsity)
        for _ in range(5):
            rule.observe(misfit * noise.gauss(1.0, 0.1))
            rule.end_part()
        rule.decide(Estimate(noise.gauss(mean_return, 0.03), 0.03))
        found.append(rule.sparsity)
    return found


def test_an_estimate_is_a_mean_and_its_standard_error():
    assert Estimate.of([1.0, 2.0, 6.0]) == (3.0, pytest.approx((7 / 3) ** 0.5))
    assert Estimate.of([4.0]) == (4.0, 0.0)


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
        (0.91, 0.54, 1),  # both within 10 %: of the range 0 to 1, and of 0.5
        (0.89, 0.54, 0),  # the return alone
        (0.91, 0.56, 0),  # the fit alone
        (1.01, 0.90, 1),  # a higher return than ever: a worse fit is of new targets
    ],
)
def test_either_sign_makes_a_window_bad(mean_return, misfit, decision):
    rule = controller()
    assert windows(rule, *LEARNED) == [0, 1, 1, 1]
    assert windows(rule, (mean_return, misfit)) == [decision]


def test_bands_are_wider_by_what_chance_may_do():
    for error, decision in ((0.0, 0), (0.1, 1)):  # 0.3 below; 2 SE of the difference are 0.23
        rule = controller()
        assert windows(rule, *LEARNED, (0.7, 0.5), error=error)[-1] == decision
    rule = controller()
    windows(rule, (1.0, 0.5), (1.0, 0.5))
    for misfit in (0.5, 0.7):  # 0.6 on average, standard error 0.1
        rule.observe(misfit)
        rule.end_part()
    rule.decide(Estimate(1.0, 0.0))
    assert rule.decision == 1


def test_back_after_patience_and_forward_again_only_after_more_good_windows():
    rule = controller(patience=2)
    good, bad = (1.0, 0.5), (0.0, 0.5)
    assert windows(rule, good, good) == [0, 1]
    for wait in (1, 2, 4, 8):
        assert windows(rule, bad, bad) == [0, -1]
        assert rule.sparsity == 0.5
        assert windows(rule, *[good] * 2 * wait) == [0] * (2 * wait - 1) + [1]


def test_one_bad_window_is_forgiven():
    rule = controller(patience=2)
    good, bad = (1.0, 0.5), (0.0, 0.5)
    assert windows(rule, good, good, bad, good, bad, good) == [0, 1, 0, 1, 0, 1]


def test_windows_at_a_higher_sparsity_are_no_reference():
    """After a step back, only what that step and denser ones gave counts."""
    rule = controller(patience=1)
    windows(rule, (1.0, 0.5), (1.0, 0.5), (2.0, 0.5))  # the best one, at step 1
    assert windows(rule, (0.0, 0.5), (0.0, 0.5)) == [-1, -1]
    assert rule.sparsity == 0.5
    assert windows(rule, (1.0, 0.5), (1.0, 0.5)) == [0, 1]


def test_the_bounds_hold():
    rule = controller(lowest=0.5, highest=0.6)
    windows(rule, *[(1.0, 0.5)] * 5)
    assert rule.sparsity == 0.6
    for step in range(1, 9):
        windows(rule, (-float(step), 0.5 * 1.5**step))
    assert rule.sparsity == 0.5
    fixed = controller(lowest=0.9, highest=0.9)
    assert windows(fixed, *[(1.0, 0.5)] * 4) == [0] * 4
    assert fixed.sparsity == 0.9


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_does_not_keep_it_from_the_highest_sparsity(seed):
    found = simulate(lambda window, sparsity: (1.0, 0.3), seed=seed)
    assert sum(sparsity == 0.95 for sparsity in found) > 0.6 * len(found)


@pytest.mark.parametrize("seed", range(4))
def test_learning_is_no_reason_to_stop(seed):
    found = simulate(lambda window, sparsity: (window / 80, 0.3 + window / 800), seed=seed)
    assert found[-1] == 0.95


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fit_suffers", [True, False], ids=["both", "return alone"])
def test_a_slow_collapse_is_noticed_and_undone(seed, fit_suffers):
    """With fewer than 15 % kept, 4 % is lost a window, too little to be seen in one."""
    lost = 0.0

    def seen(window, sparsity):
        nonlocal lost
        lost = min(1.0, max(0.0, lost + (0.04 if sparsity > 0.85 else -0.04)))
        return 1.0 - lost, 0.3 * (1.0 + lost * fit_suffers)

    found = simulate(seen, seed=seed)
    late = found[20:]
    assert max(found) <= 0.92
    assert sum(sparsity <= 0.85 for sparsity in late) > 0.6 * len(late)
    assert min(late) >= 0.7
    assert lost < 0.4


@pytest.mark.parametrize("seed", range(4))
def test_a_sudden_collapse_is_undone_and_tried_less_and_less_often(seed):
    found = simulate(
        lambda window, sparsity: (1.0, 0.3) if sparsity <= 0.85 else (0.1, 0.9), seed=seed
    )
    assert max(found) < 0.9
    collapsed = [sparsity > 0.85 for sparsity in found]
    assert sum(collapsed[:40]) > sum(collapsed[40:]) > 0
    assert sum(collapsed[40:]) <= 5


def test_its_state_travels_as_json():
    rule, other = controller(patience=1), controller(patience=1)
    windows(rule, (0.0, 0.5), (1.0, 0.5), (0.0, 0.5))
    rule.observe(0.7)
    rule.end_part()
    rule.observe(0.8)
    other.load_state_dict(json.loads(json.dumps(rule.state_dict())))
    for one in (rule, other):
        one.observe(0.9)
        one.end_part()
    assert rule.decide(Estimate(0.5, 0.1)) == other.decide(Estimate(0.5, 0.1)) == rule.sparsity
    assert rule.state_dict() == other.state_dict()


def test_wrong_use_is_told():
    with pytest.raises(ValueError, match=r"lowest=0\.9 <= highest=0\.8"):
        controller(lowest=0.9, highest=0.8)
    with pytest.raises(ValueError, match="no part of this window has ended"):
        controller().decide(Estimate(1.0, 0.0))
    with pytest.raises(ValueError, match="no update was observed"):
        controller().end_part()


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.0, 1e6)), min_size=1, max_size=30))
def test_any_numbers_keep_it_within_its_bounds(seen):
    rule = controller()
    for mean_return, misfit in seen:
        rule.observe(misfit)
        rule.end_part()
        assert 0.5 <= rule.decide(Estimate(mean_return, 0.0)) <= 0.95
        assert rule.decision in (-1, 0, 1)
