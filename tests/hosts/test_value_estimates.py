"""Estimated values beside realised returns, and distances of buffers from the policy."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.learners.engines import HostEngine, agent_inputs
from epymarl_mast.learners.value_estimates import ValueEstimates, estimated_and_realised
from epymarl_mast.sparse import kernels

DIMS = {"n_agents": 2, "obs": 5, "state": 6, "n_actions": 3}
ALGORITHMS = {
    "mast_vdn": {"mixer": "vdn"},
    "mast_qmix": {},
    "mast_iql": {"mixer": None},
    "mast_ow_qmix": {"learner": "mast_wqmix_learner"},
    "mast_res": {"learner": "mast_res_learner"},
    "mast_facmac": {"learner": "mast_facmac_learner"},
}


@pytest.fixture
def make_learner(bench, make_args, mast_options):
    def make(algorithm="mast_qmix", engine="masked", mast=(), **changes):
        options = mast_options(algorithm=algorithm, engine=engine, **dict(mast))
        args = make_args(
            n_agents=2, n_actions=3, state_shape=6, mast=options,
            **{**ALGORITHMS[algorithm], **changes},
        )  # fmt: skip
        torch.manual_seed(args.seed)
        learner, _ = bench.ours(bench.scheme(**DIMS), args)
        return learner

    return make


@pytest.fixture
def make_batch(bench):
    def make(episodes=3, steps=6, **fields):
        generator = torch.Generator().manual_seed(1)
        made = bench.random_fields(generator, episodes=episodes, steps=steps, **DIMS)
        return bench.batch(bench.scheme(**DIMS), 2, {**made, **fields})

    return make


def one_episode(ended):
    """Three transitions with the rewards 1, 2 and 4, in a batch with room for five."""
    row = torch.tensor
    return {
        "filled": row([1, 1, 1, 1, 0, 0]).view(1, 6, 1),
        "reward": row([1.0, 2.0, 4.0, 0.0, 0.0, 0.0]).view(1, 6, 1),
        "terminated": row([0, 0, int(ended), 0, 0, 0], dtype=torch.uint8).view(1, 6, 1),
        "actions": row([[0, 1], [2, 2], [1, 0], [2, 1], [0, 0], [0, 0]]).view(1, 6, 2, 1),
    }


# Of each agent's actions, the same in every step: VDN's sums are 10, 35, 12 and 35 - 20 + 10 = 25.
UTILITIES = torch.tensor([[0.0, 2.0, 5.0], [10.0, 20.0, 30.0]])


@pytest.fixture
def known_values(make_learner, make_batch, monkeypatch):
    """A VDN learner of γ = 0.5 whose utilities are those above."""

    def make(ended, **changes):
        learner = make_learner("mast_vdn", gamma=0.5, **changes)
        monkeypatch.setattr(
            learner,
            "action_values",
            lambda engine, batch, inputs: UTILITIES.expand(1, len(batch["filled"][0]), 2, 3),
        )
        return learner, make_batch(episodes=1, **one_episode(ended))

    return make


def test_returns_of_an_episode_that_ended(known_values):
    estimated, realised, mask = estimated_and_realised(*known_values(ended=True))
    assert estimated[0, :, 0].tolist() == [20.0, 35.0, 12.0]
    assert realised[0, :, 0].tolist() == [1 + 0.5 * 4, 2 + 0.5 * 4, 4]
    assert mask[0, :, 0].tolist() == [1, 1, 1]


def test_an_episode_that_was_cut_goes_on_with_the_value_of_its_last_state(known_values):
    _, realised, _ = estimated_and_realised(*known_values(ended=False))
    last = 4 + 0.5 * 25
    assert realised[0, :, 0].tolist() == [1 + 0.5 * (2 + 0.5 * last), 2 + 0.5 * last, last]


def test_both_are_in_the_unit_that_the_networks_learn(known_values):
    learner, batch = known_values(ended=True, standardise_rewards=True)
    learner.regression.rew_ms.mean, learner.regression.rew_ms.var = torch.ones(1), torch.ones(1) * 4
    _, realised, _ = estimated_and_realised(learner, batch)
    assert realised[0, :, 0].tolist() == [0 + 0.5 * (0.5 + 0.5 * 1.5), 0.5 + 0.5 * 1.5, 1.5]

    learner, batch = known_values(ended=False, standardise_returns=True)
    learner.regression.ret_ms.mean = torch.full((2,), 10.0)
    learner.regression.ret_ms.var = torch.full((2,), 4.0)
    _, realised, _ = estimated_and_realised(learner, batch)
    last = 4 + 0.5 * (2 * 25 + 10)
    returns = [1 + 0.5 * (2 + 0.5 * last), 2 + 0.5 * last, last]
    for column in realised[0].T:  # one, or a copy for each agent
        assert column.tolist() == [(r - 10) / 2 for r in returns]


def test_means_are_over_the_steps_of_an_evaluation(known_values, make_batch):
    learner, batch = known_values(ended=True)
    estimates = ValueEstimates(episodes=2)
    short = one_episode(ended=True)
    short["filled"][0, 3] = 0  # two transitions, the second ends it
    short["terminated"][0] = torch.tensor([0, 1, 0, 0, 0, 0]).view(6, 1)
    learner.training_steps = 1
    assert estimates.see(learner, batch) == {}
    found = estimates.see(learner, make_batch(episodes=1, **short))
    assert found == {
        "mast_value_estimated": pytest.approx((20 + 35 + 12 + 20 + 35) / 5),
        "mast_value_realised": pytest.approx((3 + 4 + 4 + 2 + 2) / 5),
    }
    assert estimates.see(learner, batch) == {}  # the next evaluation starts anew


def test_there_are_none_before_the_first_update(known_values):
    learner, batch = known_values(ended=True)
    estimates = ValueEstimates(episodes=1)
    assert estimates.see(learner, batch) == {}
    learner.training_steps = 1
    assert estimates.see(learner, batch) != {}


ENGINES = ["host", "masked", *(["sparse"] if kernels.available() else [])]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_and_engine_gives_the_value_of_the_actions_taken(
    make_learner, make_batch, algorithm, engine
):
    learner, batch = make_learner(algorithm, engine), make_batch()
    before = {k: v.clone() for k, v in learner.mac.agent.state_dict().items()}
    statistics = [float(learner.regression.rew_ms.count), float(learner.regression.ret_ms.count)]
    estimated, realised, mask = estimated_and_realised(learner, batch)

    values = stepwise(learner, batch)[:, :-1]
    inside = batch["filled"][:, :-1] * batch["filled"][:, 1:]
    assert torch.equal(mask, inside.expand_as(mask).float())
    assert torch.allclose(estimated * mask, values * inside, atol=1e-5)
    assert realised.shape == estimated.shape
    assert realised[mask == 0].abs().sum() == 0
    assert all(torch.equal(v, before[k]) for k, v in learner.mac.agent.state_dict().items())
    assert statistics == [
        float(learner.regression.rew_ms.count), float(learner.regression.ret_ms.count),
    ]  # fmt: skip


@torch.no_grad()
def stepwise(learner, batch):
    """(B, T+1, C) by the host's own controller and mixing network."""
    if learner.args.learner == "mast_facmac_learner":
        q = learner.critic.unroll(HostEngine(), batch, None)
    else:
        q = HostEngine().unroll(learner.mac, batch, None)
    taken = q.gather(3, batch["actions"]).squeeze(3)
    return taken if learner.mixer is None else learner.mixer(taken, batch["state"])


def test_distances_are_of_either_part_of_a_batch(make_learner, make_batch):
    mast = {"log_policy_distance": True, "online_batch_size": 2}
    learner, batch = make_learner(mast=mast), make_batch(episodes=5)
    parts = [(0, 5), (0, 3), (3, 5)]
    seen = []

    def distance(part):
        seen.append(part["reward"])
        return float(part.batch_size)

    assert learner.replay.distances(distance, batch, drawn=3) == {
        "mast_distance_batch": 5.0, "mast_distance_large": 3.0, "mast_distance_newest": 2.0,
    }  # fmt: skip
    for (start, end), rewards in zip(parts, seen, strict=True):
        assert torch.equal(rewards, batch["reward"][start:end])
    assert learner.replay.distances(distance, batch, drawn=5) == {"mast_distance_batch": 5.0}
    one = make_learner(mast={**mast, "online_buffer_size": 0, "online_batch_size": 0})
    assert one.replay.distances(distance, batch, drawn=3) == {"mast_distance_batch": 5.0}
    assert make_learner().replay.distances(distance, batch, drawn=3) == {}


def test_the_distance_is_the_share_of_actions_that_are_not_greedy(make_learner, make_batch):
    learner, batch = make_learner(), make_batch()
    with torch.no_grad():
        q = learner.engine.unroll(learner.mac, batch, agent_inputs(learner.mac, batch))
    # What the agents saw stays: the one-hot actions that are their inputs are another field.
    batch["actions"][:] = q.masked_fill(batch["avail_actions"] == 0, -1e9).argmax(3, keepdim=True)
    assert learner.policy_distance(batch) == 0.0
    transitions = int(batch["filled"].sum()) - batch.batch_size
    batch["actions"][0, :2, 1] = (batch["actions"][0, :2, 1] + 1) % 3
    assert learner.policy_distance(batch) == pytest.approx(2 / (2 * transitions))


@pytest.mark.parametrize(
    "runner",
    ["mast_episode", pytest.param("mast_parallel batch_size_run=2", marks=pytest.mark.long)],
)
def test_a_run_logs_them_and_learns_the_same(mast_train, records, tmp_path, runner):
    runs = {}
    for name, more in {
        "off": [], "on": ["mast.log_value_estimates=True", "mast.log_policy_distance=True"],
    }.items():  # fmt: skip
        options = [f"runner={runner.split()[0]}", *runner.split()[1:], "seed=4", *more]
        mast_train(tmp_path / name, "mast_qmix", *options)
        [(_, _, runs[name])] = records(tmp_path / name / "results")
    off, on = runs["off"], runs["on"]
    added = {
        "mast_value_estimated", "mast_value_realised",
        "mast_distance_batch", "mast_distance_large", "mast_distance_newest",
    }  # fmt: skip
    assert on.keys() - off.keys() == added
    assert off["loss"] == on["loss"]
    assert off["test_return_mean"] == on["test_return_mean"]
    assert len(on["mast_value_estimated"]) == len(on["test_return_mean"]) - 1  # the untrained
    assert len(on["mast_distance_batch"]) == len(on["loss"])
    assert all(0 <= share <= 1 for share in on["mast_distance_newest"])
