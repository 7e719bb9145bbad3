"""Returns of random actions, where shares of dense are counted from."""

from __future__ import annotations

import numpy as np
import pytest


class Steps:
    """Two agents and three steps, with some actions that are not there."""

    def __init__(self):
        self.taken, self.left = [], 0

    def reset(self):
        self.left = 3

    def get_avail_actions(self):
        return [[0, 1, 0, 1], [1, 0, 0, 0]]

    def step(self, actions):
        self.taken.append(actions)
        self.left -= 1
        return [1.0, 0.5], self.left == 0, {}


def test_an_episode_of_random_actions_is_summed_and_keeps_to_what_is_there(playing):
    environment, draws = Steps(), np.random.default_rng(0)
    assert [playing.episode(environment, draws) for _ in range(20)] == [4.5] * 20
    first, second = zip(*environment.taken, strict=True)
    assert set(first) == {1, 3}
    assert set(second) == {0}
    assert first.count(1) == pytest.approx(30, abs=12)
