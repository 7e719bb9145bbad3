"""With every part switched off, our learner is the host's own."""

from __future__ import annotations

import pytest
import torch

DIMS = {"n_agents": 3, "obs": 9, "state": 11, "n_actions": 5}
VARIANTS = {
    "qmix-gru": {},
    "qmix-ff": {"use_rnn": False},
    "qmix-no-double-q": {"double_q": False},
    "qmix-one-layer-hypernet": {"hypernet_layers": 1},
    "qmix-standardised": {"standardise_rewards": True, "standardise_returns": True},
    "qmix-clipped": {"grad_norm_clip": 0.05},
    "qmix-soft-targets": {"target_update_interval_or_tau": 0.1},
    "qmix-hard-targets": {"target_update_interval_or_tau": 2},
    "qmix-per-agent": {"mac": "non_shared_mac", "agent": "rnn_ns", "obs_agent_id": False},
    "vdn": {"mixer": "vdn"},
    "vdn-per-agent-ff": {
        "mixer": "vdn",
        "mac": "non_shared_mac",
        "agent": "rnn_ns",
        "use_rnn": False,
    },
    "iql": {"mixer": None},
    "iql-standardised": {"mixer": None, "standardise_rewards": True, "standardise_returns": True},
}
LOGGED = ("loss", "grad_norm", "td_error_abs", "q_taken_mean", "target_mean")


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_three_updates_equal_the_stock_learner(
    bench, make_args, mast_options, same_networks, variant
):
    args = make_args(
        n_agents=3, n_actions=5, state_shape=11, mast=mast_options("all_off"), **variant
    )
    scheme = bench.scheme(**DIMS)
    torch.manual_seed(1)
    ours, our_log = bench.ours(scheme, args)
    stock, stock_log = bench.stock(scheme, args)
    with torch.no_grad():  # targets that differ from the online networks
        for weight in ours.networks.target_weights.values():
            weight += 0.1 * torch.randn_like(weight)
    same_networks(ours, stock)

    generator = torch.Generator().manual_seed(2)
    for update in range(1, 4):
        fields = bench.random_fields(generator, episodes=4, steps=8, **DIMS)
        for learner in (ours, stock):
            copy = {key: field.clone() for key, field in fields.items()}
            learner.train(bench.batch(scheme, 3, copy), t_env=10 * update, episode_num=update)

    assert ours.engine.name == "host"
    for mine, theirs in zip(ours.trained.tensors, stock.params, strict=True):
        assert torch.equal(mine, theirs)
    targets = list(stock.target_mac.parameters())
    targets += list(stock.target_mixer.parameters()) if stock.mixer is not None else []
    for mine, theirs in zip(ours.networks.target_weights.values(), targets, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    for key in LOGGED:
        assert our_log.stats[key] == pytest.approx(stock_log.stats[key], rel=1e-5, abs=1e-6), key


def test_individual_rewards_of_independent_learners(
    bench, host, make_args, mast_options, same_networks
):
    if host.name != "epymarl":
        pytest.skip("pymarlzooplus has common rewards only")
    args = make_args(
        n_agents=3,
        n_actions=5,
        state_shape=11,
        mast=mast_options("all_off"),
        mixer=None,
        common_reward=False,
        standardise_rewards=True,
    )
    scheme = bench.scheme(**DIMS, reward=3)
    ours, _ = bench.ours(scheme, args)
    stock, _ = bench.stock(scheme, args)
    same_networks(ours, stock)
    fields = bench.random_fields(
        torch.Generator().manual_seed(3), episodes=4, steps=8, **DIMS, reward=3
    )
    for learner in (ours, stock):
        learner.train(bench.batch(scheme, 3, dict(fields)), t_env=10, episode_num=1)
    for mine, theirs in zip(ours.trained.tensors, stock.params, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
