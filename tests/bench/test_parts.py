"""The parts of a measurement that need no host."""

from __future__ import annotations

import time

import pytest

from epymarl_mast.bench.plan import DIMS, Plan, stock_options
from epymarl_mast.bench.synthetic import IdleEnvironment, episode_fields
from epymarl_mast.bench.timing import Ratio, Timing, interleave


def test_calls_alternate_and_first_calls_are_kept_apart():
    order = []

    def slow_once(name):
        if name not in order:
            time.sleep(0.02)
        order.append(name)

    calls = {name: lambda name=name: slow_once(name) for name in "AB"}
    timings = interleave(calls, repeats=3, warm_up=1)
    rounds = ["".join(order[start : start + 2]) for start in range(0, 10, 2)]
    assert set(rounds) == {"AB", "BA"}  # each once a round
    for timing in timings.values():
        assert len(timing.samples_ms) == 3
        assert timing.first_call_s >= 0.02
        assert max(timing.samples_ms) < 20


def test_samples_are_parts_of_a_call():
    [timing] = interleave({"A": lambda: time.sleep(0.02)}, 1, parts=10, warm_up=0).values()
    assert timing.samples_ms[0] >= 2.0
    assert timing.first_call_s >= 0.02


def test_ratio_is_stock_over_ours():
    ratio = Ratio.of(Timing((8.0, 12.0, 10.0), 0.0), Timing((2.0, 2.0, 4.0), 0.0))
    assert ratio.median == 5.0
    assert ratio.quartiles == (3.25, 5.0)


def test_stock_gets_no_option_of_ours():
    given = ("lr=0.001", "mast.sparsity=0.9", "mac=mast_mac", "mine.yaml", "runner='mast_episode'")
    assert stock_options(given) == ["lr=0.001"]


@pytest.mark.parametrize(("density", "sparsity"), [(0.1, 0.9), (0.05, 0.95), (1.0, 0.0)])
def test_sparsity_is_the_rest(density, sparsity):
    assert Plan("pymarlzooplus", density=density).sparsity == sparsity


def test_synthetic_episodes_hold_only_actions_that_can_be_taken():
    dims = DIMS["lbf"]
    fields = episode_fields(dims, episodes=3, steps=dims.steps, seed=1)
    assert fields["obs"].shape == (3, 51, 2, 15)
    assert fields["avail_actions"].gather(3, fields["actions"]).all()
    assert not fields["terminated"].any()


@pytest.mark.parametrize("five", [True, False])
def test_an_idle_episode_ends_at_its_limit(five):
    dims = DIMS["lbf"]
    environment = IdleEnvironment(dims, returns_observation=five)
    environment.reset()
    overs = [environment.step([0, 0])[-2] for _ in range(dims.steps)]
    assert overs == [False] * (dims.steps - 1) + [True]
    assert environment.get_env_info()["obs_shape"] == len(environment.get_obs()[0])
