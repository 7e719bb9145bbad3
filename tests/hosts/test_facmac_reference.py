"""One update of FACMAC, against sums written out from its equations.

Nothing here reads a learner of ours: networks are stepped one by one, returns are summed forwards,
and the policies' gradient is the analytic one of a softmax.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

SIZES = {"n_agents": 2, "obs": 4, "state": 6, "n_actions": 3}
GAMMA, LAMBDA = 0.9, 0.6
EPISODES, STEPS = 3, 6


@pytest.fixture
def facmac(bench, make_args, mast_options):
    def make(**changes):
        keys = ("operator", "target", "logit_penalty")
        own = {key: changes.pop(key) for key in keys if key in changes}
        mast = {
            "topology": "dense", "online_buffer_size": 0, "online_batch_size": 0,
            "target": "td_lambda", "td_lambda": LAMBDA, "gumbel_temperature": 0.7,
            "logit_penalty": 0.0, **own,
        }  # fmt: skip
        args = make_args(
            n_agents=2, n_actions=3, state_shape=6, learner="mast_facmac_learner", seed=5,
            gamma=GAMMA, grad_norm_clip=1e9, mast=mast_options(algorithm="mast_facmac", **mast),
            **changes,
        )  # fmt: skip
        torch.manual_seed(1)
        learner, log = bench.ours(bench.scheme(**SIZES), args)
        for target in learner.targets().values():  # unlike the online networks
            for weight in target.parameters():
                weight.data.add_(0.1 * torch.randn_like(weight))
        return learner, log

    return make


@pytest.fixture
def fields(bench):
    generator = torch.Generator().manual_seed(2)
    return bench.random_fields(generator, episodes=EPISODES, steps=STEPS + 1, **SIZES)


def stepped(network, fields, recurrent):
    """(B, T+1, N, U) of one network for all agents, step by step."""
    episodes, steps = fields["filled"].shape[:2]
    hidden = torch.zeros(episodes * 2, network.fc1.out_features)
    outputs = []
    for t in range(steps):
        last = fields["actions_onehot"][:, t - 1] if t else torch.zeros(episodes, 2, 3)
        ids = torch.eye(2).expand(episodes, 2, 2)
        x = torch.cat([fields["obs"][:, t], last, ids], dim=2).reshape(episodes * 2, -1)
        x = torch.relu(network.fc1(x))
        hidden = network.rnn(x, hidden) if recurrent else torch.relu(network.rnn(x))
        outputs.append(network.fc2(hidden).view(episodes, 2, 3))
    return torch.stack(outputs, dim=1)


def lambda_return(rewards, ended, values):
    """T_λ of the first step: the n-step returns, weighed; ``values[n]`` follows step n."""
    returns, discounted = [], 0.0
    for n, reward in enumerate(rewards):
        discounted += GAMMA**n * reward
        last = n + 1 == len(rewards)
        tail = 0.0 if last and ended else GAMMA ** (n + 1) * values[n]
        returns.append(discounted + tail)
    weights = [(1 - LAMBDA) * LAMBDA**n for n in range(len(returns))]
    weights[-1] = LAMBDA ** (len(returns) - 1)
    return sum(w * r for w, r in zip(weights, returns, strict=True))


def written_out(networks, targets, fields, seed):
    """Targets, steps that count, critic loss and gradients of one update."""
    utilities = stepped(networks["critic"], fields, recurrent=False)
    logits = stepped(networks["agent"], fields, recurrent=True)
    with torch.no_grad():
        next_utilities = stepped(targets["critic"], fields, recurrent=False)
        next_logits = stepped(targets["agent"], fields, recurrent=True)
    available, state = fields["avail_actions"].bool(), fields["state"]
    lengths = fields["filled"].sum(dim=(1, 2)) - 1
    mask = (torch.arange(STEPS)[None] < lengths[:, None]).float()  # (B, T)

    values = torch.zeros(EPISODES, STEPS)
    for b in range(EPISODES):
        for t in range(int(lengths[b])):
            own = []
            for i in range(2):
                allowed = next_logits[b, t + 1, i].masked_fill(~available[b, t + 1, i], -1e9)
                own.append(next_utilities[b, t + 1, i, allowed.argmax()])
            joint = torch.stack(own).view(1, 1, 2)
            values[b, t] = targets["mixer"](joint, state[b, t + 1].view(1, 1, -1)).item()
    target = torch.zeros(EPISODES, STEPS)
    for b in range(EPISODES):
        end = int(lengths[b])
        ended = bool(fields["terminated"][b].any())
        for t in range(end):
            rewards = fields["reward"][b, t:end, 0].tolist()
            target[b, t] = lambda_return(rewards, ended, values[b, t:end].tolist())

    taken = torch.gather(utilities[:, :-1], 3, fields["actions"][:, :-1]).squeeze(3)
    joint = networks["mixer"](taken, state[:, :-1]).view(EPISODES, STEPS)
    critic_loss = ((joint - target) ** 2 * mask).sum() / mask.sum()
    critic_loss.backward()

    noise = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(4)[3]))
    uniform = torch.rand(EPISODES, STEPS, 2, 3, generator=noise)
    noisy = logits[:, :-1].detach() - torch.log(-torch.log(uniform))
    noisy = noisy.masked_fill(~available[:, :-1], -1e9)
    drawn = noisy.argmax(dim=3, keepdim=True)
    q = utilities[:, :-1].detach()
    chosen = torch.gather(q, 3, drawn).squeeze(3).requires_grad_()
    fixed = copy.deepcopy(networks["mixer"])
    value = (fixed(chosen, state[:, :-1]).view(EPISODES, STEPS) * mask).sum() / mask.sum()
    (slope,) = torch.autograd.grad(value, chosen)  # (B, T, N)
    p = torch.softmax(noisy / 0.7, dim=3)
    by_logit = slope[..., None] * p * (q - (p * q).sum(3, keepdim=True)) / 0.7
    logits[:, :-1].backward(-by_logit)  # the loss is minus the value
    return target, mask, critic_loss.detach(), value.detach()


@pytest.mark.parametrize("engine", ["host", "masked"])
@pytest.mark.parametrize("mixer", ["qmix", "vdn"])
def test_an_update_is_that_of_the_equations(bench, facmac, fields, mixer, engine):
    learner, log = facmac(mixer=mixer)
    learner.engine = learner.masked_engine if engine == "masked" else learner.engine
    learner.follow_masks()
    networks, targets = copy.deepcopy(learner.online()), copy.deepcopy(learner.targets())
    seen = {}
    regress = learner.regression.target
    learner.regression.target = lambda *a: seen.setdefault("target", regress(*a))

    learner.train(bench.batch(bench.scheme(**SIZES), 2, fields), t_env=10, episode_num=1)

    target, mask, critic_loss, value = written_out(networks, targets, fields, learner.args.seed)
    real = mask.bool()
    torch.testing.assert_close(seen["target"][..., 0][real], target[real], rtol=1e-5, atol=1e-6)
    assert log.stats["mast_critic_loss"] == pytest.approx([critic_loss.item()], rel=1e-5)
    assert log.stats["mast_policy_value"] == pytest.approx([value.item()], rel=1e-4, abs=1e-6)
    assert log.stats["loss"] == pytest.approx([(critic_loss - value).item()], rel=1e-4)
    for name, network in learner.online().items():
        for (key, ours), theirs in zip(
            network.named_parameters(), networks[name].parameters(), strict=True
        ):
            torch.testing.assert_close(
                ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=f"{name}.{key}"
            )


def test_the_penalty_is_the_mean_square_of_available_logits(bench, facmac, fields):
    losses = []
    for weight in (0.0, 0.5):
        learner, log = facmac(logit_penalty=weight)
        with torch.no_grad():
            logits = stepped(learner.mac.agent, fields, recurrent=True)[:, :-1]
        learner.train(bench.batch(bench.scheme(**SIZES), 2, fields), t_env=10, episode_num=1)
        losses.append(log.stats["loss"][0])
    lengths = fields["filled"].sum(dim=(1, 2)) - 1
    squares = [
        (logits[b, t] * fields["avail_actions"][b, t]).square().sum().item() / 6
        for b in range(EPISODES)
        for t in range(int(lengths[b]))
    ]
    assert losses[1] - losses[0] == pytest.approx(0.5 * sum(squares) / len(squares), rel=1e-3)


def test_policies_take_steps_of_their_own_size(bench, facmac, fields):
    """Adam's first step is lr·sign(gradient): 2.5e-3 for the policies, 5e-4 for all others."""
    learner, _ = facmac(mixer="qmix")
    before = {n: w.detach().clone() for n, w in learner.networks.weights.items()}

    learner.train(bench.batch(bench.scheme(**SIZES), 2, fields), t_env=10, episode_num=1)

    for name, weight in learner.networks.weights.items():
        largest = (weight.detach() - before[name]).abs().max().item()
        assert largest == pytest.approx(2.5e-3 if name.startswith("agent.") else 5e-4, rel=1e-2)


def test_each_group_has_its_own_clipping(bench, facmac, fields):
    free, log = facmac()
    free.train(bench.batch(bench.scheme(**SIZES), 2, fields), t_env=10, episode_num=1)
    gradient = {n: w.grad.clone() for n, w in free.networks.weights.items()}
    norms = {
        policies: torch.linalg.vector_norm(
            torch.cat(
                [g.flatten() for n, g in gradient.items() if n.startswith("agent.") == policies]
            )
        )
        for policies in (True, False)
    }
    limit = (norms[True] * norms[False]).sqrt().item()  # between the two
    assert norms[True] < limit < norms[False]
    clipped, _ = facmac()
    clipped.args.grad_norm_clip = limit

    clipped.train(bench.batch(bench.scheme(**SIZES), 2, fields), t_env=10, episode_num=1)

    for name, weight in clipped.networks.weights.items():
        share = 1.0 if name.startswith("agent.") else limit / norms[False].item()
        torch.testing.assert_close(weight.grad, gradient[name] * share, rtol=1e-4, atol=1e-9)
    both = (norms[True] ** 2 + norms[False] ** 2).sqrt().item()
    assert log.stats["grad_norm"] == pytest.approx([both], rel=1e-4)


def test_soft_mellowmax_and_max_of_the_critic_do_not_ask_the_target_policy(bench, facmac, fields):
    batch = bench.batch(bench.scheme(**SIZES), 2, fields)
    for changes, asks in (
        ({}, True), ({"double_q": False}, False), ({"operator": "soft_mellowmax"}, False),
    ):  # fmt: skip
        targets = []
        for shift in (0.0, 5.0):
            learner, log = facmac(**changes)
            learner.target_mac.agent.fc2.bias.data[0] += shift  # another action is greedy
            learner.train(batch, t_env=10, episode_num=1)
            targets.append(log.stats["target_mean"][0])
        assert (targets[0] != targets[1]) == asks, changes
