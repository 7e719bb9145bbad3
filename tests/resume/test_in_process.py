"""Environments in the runner's own process give and take their random state as workers do."""

from __future__ import annotations

from epymarl_mast.hosts import random_states
from epymarl_mast.hosts.reach import ask_random_states, set_random_states
from epymarl_mast.runners.in_process import connections


class Counting:
    """Three environments that draw from how many episodes they had."""

    def __init__(self):
        self.episodes = [4, 5, 6]

    def get_env_info(self):
        return {"n_agents": 2}

    def random_state(self):
        return list(self.episodes)

    def set_random_state(self, states):
        self.episodes = list(states)


def test_all_environments_go_on_where_they_were():
    environments = Counting()
    ends = connections(environments, 3)
    states = ask_random_states(ends)
    environments.episodes = [0, 0, 0]
    set_random_states(ends, states)
    assert environments.episodes == [4, 5, 6]


def test_an_environment_that_speaks_for_itself_is_asked():
    environment = Counting()
    state = random_states.of(environment)
    environment.episodes = []
    random_states.restore(environment, state)
    assert environment.episodes == [4, 5, 6]
