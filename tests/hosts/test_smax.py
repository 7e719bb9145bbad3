"""SMAX battles: rules, seeds, many in one call, whole runs. JAX compiles for seconds: long."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from epymarl_mast import plugin
from epymarl_mast.environments.smax import Battles, import_jax, smax
from epymarl_mast.hosts import random_states
from epymarl_mast.hosts.environments import SMAX_MAPS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        importlib.util.find_spec("jaxmarl") is None,
        reason="needs the extra smax: pip install 'jaxmarl>=0.2,<0.3'",
    ),
]
STOP, EAST, FIRST_ENEMY = 4, 1, 5


@pytest.fixture(scope="module")
def alone():
    """One battle with the hosts' interface."""
    make = smax(SimpleNamespace(stepped=lambda *step: step))
    return make(seed=7, map_name="3m", time_limit=40)


def focused(available):
    """Shoot at the first enemy in range, else walk towards where they start. (…, N)"""
    shoots = available[..., FIRST_ENEMY:].any(-1)
    target = FIRST_ENEMY + available[..., FIRST_ENEMY:].argmax(-1)
    return np.where(shoots, target, np.where(available[..., EAST], EAST, STOP))


def play(battle, policy=focused):
    """One episode: its steps, each ``(reward, ended, cut, info)``."""
    battle.reset()
    steps = []
    while not steps or not (steps[-1][1] or steps[-1][2]):
        steps.append(battle.step(policy(battle.get_avail_actions())))
    return steps


def test_maps_are_those_of_jaxmarl(alone):
    from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

    assert set(SMAX_MAPS) == set(MAP_NAME_TO_SCENARIO)


def test_sizes_are_what_it_shows(alone):
    alone.reset()
    info = alone.get_env_info()
    assert (info["n_agents"], info["n_actions"], info["episode_limit"]) == (3, 5 + 3, 40)
    assert np.shape(alone.get_obs()) == (3, info["obs_shape"])
    assert np.shape(alone.get_state()) == (info["state_shape"],)
    assert np.shape(alone.get_avail_actions()) == (3, info["n_actions"])
    assert not np.any(alone.get_avail_actions()[:, FIRST_ENEMY:])  # teams start out of range


def test_it_goes_on_at_any_episode(alone):
    state = random_states.of(alone)
    first = play(alone), play(alone)
    random_states.restore(alone, state)
    assert (play(alone), play(alone)) == first


def test_battles_end_by_the_rules(alone):
    """Won and lost ones; the last state is that of the end, and not of the next episode."""
    results = set()
    for _ in range(40):
        steps = play(alone)
        *before, (_, ended, cut, info) = steps
        assert not any(ended or cut for _, ended, cut, _ in before)
        assert (ended, cut, info["episode_limit"]) == (True, False, False)
        won = info["battle_won"]
        assert won == (info["dead_enemies"] == 3 and info["dead_allies"] < 3)
        health = alone.get_state()[: 6 * 10].reshape(6, 10)[:, 0]
        assert (health[:3] == 0).sum() == info["dead_allies"]
        assert (health[3:] == 0).sum() == info["dead_enemies"]
        dead = health[:3] == 0
        assert not np.any(alone.get_obs()[dead])
        assert (alone.get_avail_actions()[dead] == np.eye(8)[STOP]).all()
        total = sum(reward for reward, *_ in steps)
        shot_down = 3 - health[3:].sum()  # of 3 enemies
        assert total == pytest.approx(10 * shot_down / 3 + 10 * won, abs=1e-4)
        results.add(won)
    assert results == {True, False}


def test_the_time_limit_cuts():
    """Two steps: nobody is dead by then."""
    battle = smax(SimpleNamespace(stepped=lambda *step: step))(map_name="3m", time_limit=2)
    steps = play(battle)
    assert len(steps) == 2
    _, ended, cut, info = steps[-1]
    assert (ended, cut, info["episode_limit"], info["battle_won"]) == (False, True, True, False)


def test_every_battle_is_that_of_its_seed_alone(alone):
    """Two episodes of three battles that end at different times."""
    seeds, together = (6, 7, 8), Battles(seeds=(6, 7, 8), map_name="3m", time_limit=40)
    alone_of = {s: Battles(seeds=[s], map_name="3m", time_limit=40) for s in seeds}
    for _ in range(2):
        shown = together.reset()
        own = {s: battle.reset() for s, battle in alone_of.items()}
        running, lengths = dict(enumerate(seeds)), []
        while running:
            actions = focused(shown.available)
            outcome, shown = together.step(actions)
            for i, seed in list(running.items()):
                their, own[seed] = alone_of[seed].step(focused(own[seed].available))
                assert outcome.of(i) == their.of(0)
                for ours, theirs in zip(shown, own[seed], strict=True):
                    assert np.array_equal(ours[i], theirs[0])
                if outcome.over[i]:
                    lengths.append(together._episodes[i])
                    del running[i]
        assert len(lengths) == 3


def test_a_seed_gives_its_episodes_again_and_never_twice(alone):
    first, again = (Battles(seeds=[3], map_name="3m", time_limit=40) for _ in range(2))
    starts = [first.reset().state for _ in range(2)]
    assert np.array_equal(starts, [again.reset().state for _ in range(2)])
    assert not np.array_equal(*starts)


def test_a_step_is_jaxmarls_own(alone):
    """With the key of the seed, the episode and the step."""
    jax = import_jax()
    from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario

    game = HeuristicEnemySMAX(scenario=map_name_to_scenario("3m"))
    battles = Battles(seeds=[3], map_name="3m", time_limit=40)
    key = jax.random.fold_in(jax.random.key(3), 1)
    seen, state = game.reset(jax.random.fold_in(key, 0))
    shown = battles.reset()
    for t in range(1, 12):
        actions = focused(shown.available)
        taken = dict(zip(game.agents, actions[0], strict=True))
        seen, state, rewards, _, _ = game.step_env(jax.random.fold_in(key, t), state, taken)
        outcome, shown = battles.step(actions)
        assert outcome.reward[0] == pytest.approx(10 * float(rewards["ally_0"]), abs=1e-5)
        np.testing.assert_allclose(shown.state[0], seen["world_state"], atol=1e-4)
        for agent, name in enumerate(game.agents):
            np.testing.assert_allclose(shown.observations[0, agent], seen[name], atol=1e-4)


RUN = (
    "with", "env_args.map_name=3m", "env_args.time_limit=30", "t_max=300", "test_nepisode=4",
    "test_interval=150", "log_interval=150", "learner_log_interval=50", "runner_log_interval=50",
    "batch_size=4", "buffer_size=8", "use_cuda=False", "seed=1",
)  # fmt: skip
RUNNERS = {
    "episode": ("mast_qmix", "mast.engine=masked", "mast.topology_interval=5"),
    "parallel": (
        "mast_qmix", "mast.engine=masked", "mast.topology_interval=2", "runner=mast_parallel",
        "batch_size_run=4",
    ),
    "processes-of-the-host": ("qmix", "runner=parallel", "batch_size_run=2"),
}  # fmt: skip


@pytest.mark.parametrize("runner", RUNNERS)
def test_it_trains(mast, host, records, tmp_path, runner):
    where = host.root if host.name == "epymarl" else host.name
    algorithm, *options = RUNNERS[runner]
    mast(
        tmp_path, "train", "--host", where, f"--config={algorithm}", "--env-config=smax",
        *RUN, *options,
    )  # fmt: skip
    [(folder, _, metrics)] = records(tmp_path)
    assert folder.parent.name == "3m"
    assert all(0.0 <= value <= 1.0 for value in metrics["test_battle_won_mean"])
    assert all(0.0 <= value <= 3.0 for value in metrics["test_dead_enemies_mean"])
    assert all(0 < value <= 30 for value in metrics["ep_length_mean"])
    if algorithm == "mast_qmix":
        assert metrics["mast_topology_updates"][-1] >= 1


def test_it_trains_in_an_attached_checkout(checkout, run_program, mast, records, tmp_path):
    copy = tmp_path / "epymarl"
    run_program(["git", "clone", "-q", checkout.root, copy], [], tmp_path)
    mast(tmp_path, "attach", copy)
    run_program(
        [sys.executable, "src/main.py"],
        ["--config=mast_qmix", "--env-config=smax", *RUN, "mast.engine=masked"],
        copy,
    )
    [(_, config, metrics)] = records(copy)
    assert config["env"] == "smax"
    assert all(0.0 <= value <= 1.0 for value in metrics["test_battle_won_mean"])


def test_both_hosts_have_it(host):
    modules = plugin.register(host)
    battle = modules.environments["smax"](seed=1, map_name="3m", time_limit=2, common_reward=True)
    battle.reset()
    answer = battle.step(np.full(3, STOP))
    assert len(answer) == (5 if host.name == "epymarl" else 3)
