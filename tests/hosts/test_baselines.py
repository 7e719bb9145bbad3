"""The parts that only the baselines use, on learners of each host."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from epymarl_mast import plugin
from epymarl_mast.learners.engines import HostEngine, agent_inputs
from epymarl_mast.learners.own_replay import OwnReplay, distance_from_policy
from epymarl_mast.networks import Task
from epymarl_mast.options import MastOptions
from epymarl_mast.tiny import sparse_sizes

DIMS = {"n_agents": 3, "obs": 9, "state": 11, "n_actions": 5}
SIZES = {"n_agents": 3, "n_actions": 5, "state_shape": 11}
OFF = {"operator": "max", "target": "one_step", "online_buffer_size": 0, "online_batch_size": 0}
DYNAMIC = {
    **OFF, "target": "delayed_n_step", "dynamic_buffer_size": 20, "dynamic_buffer_minimum": 4,
    "dynamic_buffer_interval": 2, "topology_interval": 2,
}  # fmt: skip


@pytest.fixture
def learner(bench, make_args, mast_options):
    def make(mast, **changes):
        args = make_args(**SIZES, mast=mast_options(**mast), **changes)
        torch.manual_seed(1)
        return bench.ours(bench.scheme(**DIMS), args)

    return make


def test_distance_is_the_share_of_actions_that_are_not_greedy(bench, learner):
    ours, _ = learner(DYNAMIC)
    fields = bench.random_fields(torch.Generator().manual_seed(3), episodes=4, steps=8, **DIMS)
    batch = bench.batch(bench.scheme(**DIMS), 3, fields)
    ours.mac.init_hidden(4)
    with torch.no_grad():
        q = torch.stack([ours.mac.forward(batch, t=t) for t in range(8)], dim=1)
    differing = total = 0
    for b in range(4):
        for t in range(int(fields["filled"][b].sum()) - 1):  # actions that were carried out
            for n in range(3):
                available = fields["avail_actions"][b, t, n].nonzero().flatten().tolist()
                best = max(available, key=lambda u: float(q[b, t, n, u]))
                differing += best != int(fields["actions"][b, t, n])
                total += 1

    assert distance_from_policy(ours.mac, ours.engine, batch) == pytest.approx(differing / total)
    assert 0 < differing < total


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_the_dynamic_buffer_feeds_the_learner_and_shrinks(bench, learner, bound):
    ours, log = learner({**DYNAMIC, "dynamic_buffer_bound": bound}, t_max=1000)
    generator = torch.Generator().manual_seed(0)
    scheme = bench.scheme(**DIMS)
    ours.replay.buffer.insert(bench.random_fields(generator, episodes=13, steps=8, **DIMS))
    for update in range(1, 5):
        fields = bench.random_fields(generator, episodes=4, steps=8, **DIMS)
        ours.train(bench.batch(scheme, 3, fields), t_env=200 * update, episode_num=update)

    full, least = [13.0] * 4, [13.0, 5.0, 5.0, 5.0]  # due at updates 2 and 4; 4 at a time
    assert log.stats["mast_online_episodes"] == (full if bound == 1.0 else least)
    assert log.stats["mast_policy_distance"][0] == 0.0
    assert 0.0 < log.stats["mast_policy_distance"][1] <= 1.0
    assert log.stats["mast_target_kind"] == [0.0, 1.0, 1.0, 1.0]  # T_0 = 375


def test_a_batch_comes_from_the_dynamic_buffer_alone(bench, mast_options):
    options = MastOptions.from_config(mast_options(**DYNAMIC))
    args = SimpleNamespace(batch_size=4, buffer_cpu_only=True)
    replay = OwnReplay(options, args, seed=0)
    generator = torch.Generator().manual_seed(0)
    fields = bench.random_fields(generator, episodes=5, steps=8, **DIMS)
    for number in range(5):
        fields["reward"][number] = number
    replay.buffer.insert(fields)
    sample = bench.random_fields(generator, episodes=4, steps=6, **DIMS)

    batch = replay.batch(bench.batch(bench.scheme(**DIMS), 3, sample), HostEngine())

    drawn = batch["reward"][:, 0, 0].tolist()
    assert len(set(drawn)) == 4
    assert set(drawn) <= set(range(5))
    assert torch.equal(batch["obs"][0], fields["obs"][int(drawn[0])][: batch.max_seq_length])


@pytest.mark.parametrize("agent", ["rnn", "rnn_ns"])
def test_tiny_networks_are_built_as_narrow_as_said(
    host, bench, make_args, mast_options, caplog, agent
):
    caplog.set_level("INFO")
    plugin.register(host)
    changes = {"hidden_dim": 64, "mixing_embed_dim": 32, "hypernet_embed": 64, "agent": agent}
    mast = mast_options(**OFF, topology="dense", tiny=True)
    args = make_args(**SIZES, **changes, mac="mast_mac", mast=mast)
    full = dict(vars(args))

    ours, _ = bench.ours(bench.scheme(**DIMS), args)

    wanted = sum(sparse_sizes(full, ours.options, Task(3, 9, 11, 5)).values())
    weights = sum(w.numel() for n, w in ours.networks.weights.items() if w.ndim > 1)
    assert weights == pytest.approx(wanted, rel=0.02)
    assert ours.cost.size == 2 * weights
    assert ours.cost.size_ratio == pytest.approx(0.1, rel=0.03)
    assert any(f"hidden_dim={args.hidden_dim}" in text for text in caplog.messages)


@pytest.mark.parametrize("use_rnn", [True, False], ids=["recurrent", "feed forward"])
@pytest.mark.parametrize("agent", ["rnn", "rnn_ns"])
def test_a_first_layer_of_its_own_is_built_acts_and_trains(
    host, bench, make_args, mast_options, agent, use_rnn
):
    plugin.register(host)
    mast = mast_options(**OFF, topology="dense", tiny=True, sparsity=0.95)
    args = make_args(
        **SIZES, hidden_dim=40, agent=agent, use_rnn=use_rnn, mixer="vdn", mac="mast_mac", mast=mast
    )
    full = dict(vars(args))
    scheme = bench.scheme(**DIMS)
    ours, log = bench.ours(scheme, args)

    (wanted,) = sparse_sizes(full, ours.options, Task(3, 9, 11, 5)).values()
    weights = sum(w.numel() for w in ours.networks.weights.values() if w.ndim > 1)
    assert weights == pytest.approx(wanted, rel=0.02)
    assert args.first_layer_dim != args.hidden_dim
    networks = getattr(ours.mac.agent, "agents", [ours.mac.agent])
    assert {network.fc1.out_features for network in networks} == {args.first_layer_dim}

    fields = bench.random_fields(torch.Generator().manual_seed(4), episodes=4, steps=6, **DIMS)
    batch = bench.batch(scheme, 3, fields)
    ours.mac.init_hidden(4)
    with torch.no_grad():
        by_torch = ours.mac.forward(batch, t=0)
    actor = ours.mac.start_episodes(4)
    actor.act(fields["obs"][:, 0].reshape(12, -1).numpy(), np.ones((12, 5)), 0.0)
    torch.testing.assert_close(torch.from_numpy(actor.q_values).view(4, 3, 5), by_torch)
    inputs = agent_inputs(ours.mac, batch)
    torch.testing.assert_close(
        ours.masked_engine.unroll(ours.mac, batch, inputs)[:, 0], by_torch, rtol=1e-5, atol=1e-6
    )
    ours.train(batch, t_env=10, episode_num=1)
    assert log.stats["loss"][0] > 0
