"""FACMAC's policies and COMIX's agents find the best joint action of a one-step game.

Each of two agents sees which action is the right one for both; the data are uniformly random.
"""

from __future__ import annotations

import pytest
import torch

from epymarl_mast import plugin

EPISODES = 32


@pytest.fixture
def learner(host, bench, make_args, mast_options):
    plugin.register(host)

    def make(algorithm, sizes, mast, **changes):
        args = make_args(
            n_agents=2, n_actions=sizes["n_actions"], state_shape=sizes["state"], seed=1,
            hidden_dim=32, lr=0.01, learner=f"{algorithm}_learner", mast=mast_options(
                algorithm=algorithm, online_buffer_size=0, online_batch_size=0, engine="masked",
                sparsity=0.5, topology_interval=20, **mast,
            ), **changes,
        )  # fmt: skip
        torch.manual_seed(1)
        return bench.ours(bench.scheme(**sizes), args)[0]

    return make


def one_step(sizes, obs, next_obs, actions, reward):
    """Episodes of one step, as a host stores them."""
    n_actions = sizes["n_actions"]
    steps = torch.stack([obs, next_obs], dim=1)  # (B, 2, N, O)
    chosen = torch.stack([actions, torch.zeros_like(actions)], dim=1)[..., None]
    both = torch.tensor([[1], [0]]).expand(EPISODES, 2, 1)
    return {
        "state": steps[:, :, 0, : sizes["state"]],
        "obs": steps,
        "actions": chosen,
        "avail_actions": torch.ones(EPISODES, 2, 2, n_actions, dtype=torch.int),
        "reward": torch.stack([reward, torch.zeros_like(reward)], dim=1)[..., None],
        "terminated": both.to(torch.uint8),
        "actions_onehot": torch.nn.functional.one_hot(chosen.squeeze(3), n_actions).float(),
        "filled": torch.ones(EPISODES, 2, 1, dtype=torch.long),
    }


def test_facmac(bench, learner):
    sizes = {"n_agents": 2, "obs": 3, "state": 3, "n_actions": 3}
    ours = learner("mast_facmac", sizes, {"actor_lr": 0.01})
    draws = torch.Generator().manual_seed(0)
    for update in range(1, 251):
        right = torch.randint(3, (EPISODES, 1), generator=draws)
        actions = torch.randint(3, (EPISODES, 2), generator=draws)
        obs = torch.nn.functional.one_hot(right, 3).float().expand(-1, 2, -1)
        reward = (actions == right).float().sum(1) + (actions == right).all(1).float()
        fields = one_step(sizes, obs, torch.zeros_like(obs), actions, reward)
        batch = bench.batch(bench.scheme(**sizes), 2, fields)
        ours.train(batch, t_env=10 * update, episode_num=update)

    ours.mac.init_hidden(EPISODES)
    with torch.no_grad():
        greedy = ours.mac.forward(batch, t=0).argmax(dim=2)
    assert torch.equal(greedy, right.expand(-1, 2))


def test_comix(bench, learner):
    sizes = {"n_agents": 2, "obs": 2, "state": 1, "n_actions": 1}
    comix = {"mac": "mast_cem_mac", "use_rnn": False, "obs_last_action": False}
    ours = learner("mast_comix", sizes, {"cem_samples": 16, "cem_elites": 3}, **comix)
    draws = torch.Generator().manual_seed(0)
    for update in range(1, 151):
        right = torch.rand(EPISODES, 1, 1, generator=draws) * 1.2 - 0.6
        taken = torch.rand(EPISODES, 2, 1, generator=draws) * 2 - 1
        obs = torch.cat([right.expand(-1, 2, -1), torch.zeros(EPISODES, 2, 1)], dim=2)
        following = torch.cat([torch.zeros(EPISODES, 2, 1), taken], dim=2)
        reward = -2 * (taken - right).abs().sum(dim=(1, 2))
        none = torch.zeros(EPISODES, 2, dtype=torch.long)
        fields = one_step(sizes, obs, following, none, reward)
        batch = bench.batch(bench.scheme(**sizes), 2, fields)
        ours.train(batch, t_env=10 * update, episode_num=update)

    actor = ours.mac.start_episodes(1)
    ours.mac.epsilon_at(0, test_mode=True)
    for wanted in (-0.5, 0.0, 0.5):
        seen = torch.tensor([[wanted, 0.0]] * 2).numpy()
        assert actor.act(seen, None, 0.0) == pytest.approx(wanted, abs=0.3)
