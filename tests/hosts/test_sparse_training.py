"""What holds at every update of a sparse learner, with the host's own networks."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from epymarl_mast import targets
from epymarl_mast.costs import training_cost
from epymarl_mast.errors import CheckpointError, OptionError
from epymarl_mast.learners import LEARNERS, MastQLearner, engine_choice
from epymarl_mast.learners.batch import Transitions
from epymarl_mast.learners.invariants import violations
from epymarl_mast.networks import Task, network_shapes
from epymarl_mast.overrides import read_yaml, shipped_algorithms
from epymarl_mast.tracking.mask_history import packed

DIMS = {"n_agents": 3, "obs": 9, "state": 11, "n_actions": 5}
PER_AGENT = {"mac": "non_shared_mac", "agent": "rnn_ns"}


@pytest.fixture
def sparse_learner(bench, make_args, mast_options):
    def make(mast=(), algorithm="mast_qmix", **changes):
        learner = read_yaml(shipped_algorithms()[algorithm], algorithm)["learner"]
        values = {"n_agents": 3, "n_actions": 5, "state_shape": 11, "hidden_dim": 12, **changes}
        options = {"topology_interval": 2, "online_batch_size": 2, **dict(mast)}
        args = make_args(
            learner=learner, mast=mast_options(algorithm=algorithm, **options), **values
        )
        torch.manual_seed(args.seed)
        return bench.ours(bench.scheme(**DIMS), args)

    return make


@pytest.fixture
def train_on_random_episodes(bench):
    """Train for some updates; ``look(learner)`` is called after each."""

    def run(learner, updates, seed=0, look=lambda learner: None):
        generator = torch.Generator().manual_seed(seed)
        scheme = bench.scheme(**DIMS)
        for update in range(1, updates + 1):
            steps = 5 + update % 4  # the two buffers' samples differ in length
            newest = bench.random_fields(generator, episodes=1, steps=12, **DIMS)
            learner.replay.buffer.insert(newest)
            fields = bench.random_fields(generator, episodes=4, steps=steps, **DIMS)
            batch = bench.batch(scheme, 3, fields)
            learner.train(batch, t_env=100 * update, episode_num=update)
            look(learner)

    return run


def assert_nothing_outside_the_masks(learner):
    assert list(violations(learner)) == []


CASES = {
    "rigl-adam": ({}, {}),
    "rigl-hard-targets-off-beat": ({}, {"target_update_interval_or_tau": 3}),
    "rigl-soft-targets": ({}, {"target_update_interval_or_tau": 0.1}),
    "set-adamw": ({"topology": "set", "optimizer": "adamw"}, {}),
    "rigl-rmsprop-uniform": ({"optimizer": "rmsprop", "allocation": "uniform"}, {}),
    "static-sgd": ({"topology": "static", "optimizer": "sgd"}, {}),
    "per-agent-gru": ({"sparsity": 0.8}, PER_AGENT),
    "per-agent-ff-vdn": ({"topology": "set"}, {**PER_AGENT, "use_rnn": False, "mixer": "vdn"}),
    "per-agent-ids": ({"sparsity": 0.8}, {**PER_AGENT, "obs_last_action": False}),
    "iql-ff": ({"sparsity": 0.95}, {"mixer": None, "use_rnn": False}),
    "ow": ({}, {"algorithm": "mast_ow_qmix", "target_update_interval_or_tau": 0.1}),
    "ow-dense-central": ({"central_mixer_sparsity": 0.0}, {"algorithm": "mast_ow_qmix"}),
    "ow-per-agent": ({}, {"algorithm": "mast_ow_qmix", **PER_AGENT}),
    "cw": ({}, {"algorithm": "mast_cw_qmix", "target_update_interval_or_tau": 3}),
    "cw-atten-vdn-ff": (
        {"topology": "set"},
        {"algorithm": "mast_cw_qmix", "central_mixer": "atten", "mixer": "vdn", "use_rnn": False},
    ),
    "cw-two-utilities": (
        {"operator": "max"}, {"algorithm": "mast_cw_qmix", "central_action_embed": 2},
    ),
    "res": ({}, {"algorithm": "mast_res"}),
    "res-vdn-per-agent": ({}, {"algorithm": "mast_res", "mixer": "vdn", **PER_AGENT}),
    "res-without-its-operator": ({"res_operator": "none"}, {"algorithm": "mast_res"}),
    "facmac": ({}, {"algorithm": "mast_facmac"}),
    "facmac-soft-vdn": (
        {"operator": "soft_mellowmax", "critic_sparsity": 0.6},
        {"algorithm": "mast_facmac", "mixer": "vdn", "critic_use_rnn": True},
    ),
    "facmac-per-agent": (
        {"topology": "set"},
        {"algorithm": "mast_facmac", "target_update_interval_or_tau": 0.1, **PER_AGENT},
    ),
    "auto": ({"sparsity": "auto", "auto_interval": 1, "mixer_sparsity": 0.7}, {}),
    "unlike-sparsities": ({"agent_sparsity": 0.5, "mixer_sparsity": 0.97}, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_nothing_outside_the_masks_is_ever_non_zero(sparse_learner, train_on_random_episodes, case):
    mast, changes = CASES[case]
    learner, log = sparse_learner(mast, **changes)
    assert_nothing_outside_the_masks(learner)
    train_on_random_episodes(learner, 9, look=assert_nothing_outside_the_masks)
    evolves = mast.get("topology") != "static"
    assert log.stats["mast_topology_updates"][-1] == (4 if evolves else 0)
    assert (log.stats["mast_explored"][-1] > log.stats["mast_explored"][0]) == evolves


@pytest.mark.parametrize("operator", ["soft_mellowmax", "mellowmax", "softmax", "max"])
@pytest.mark.parametrize("target", ["hybrid", "td_lambda", "n_step", "one_step", "delayed_n_step"])
def test_every_target_trains(sparse_learner, train_on_random_episodes, operator, target):
    learner, log = sparse_learner({"operator": operator, "target": target}, t_max=1000)
    train_on_random_episodes(learner, 6)
    kinds = {"hybrid": [0, 0, 0, 2, 2, 2], "td_lambda": [2] * 6, "n_step": [1] * 6,
             "one_step": [0] * 6, "delayed_n_step": [0, 0, 0, 1, 1, 1]}  # fmt: skip
    assert log.stats["mast_target_kind"] == kinds[target]
    assert all(0 < loss < 1e4 for loss in log.stats["loss"])


def test_same_seed_is_bit_identical(sparse_learner, train_on_random_episodes):
    def weights(seed):
        learner, _ = sparse_learner(seed=seed)
        train_on_random_episodes(learner, 6)
        return learner.networks.weights

    first, again, other = weights(7), weights(7), weights(8)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_joining_two_batches_changes_no_loss_term(bench, sparse_learner):
    """The loss of a joined batch is the step-weighted mean of the losses of its parts."""
    generator = torch.Generator().manual_seed(5)
    scheme = bench.scheme(**DIMS)
    long = bench.random_fields(generator, episodes=3, steps=11, **DIMS)
    short = bench.random_fields(generator, episodes=2, steps=6, **DIMS)

    def loss_and_steps(fields, newest=None):
        learner, log = sparse_learner({"target": "td_lambda"})
        if newest is not None:
            learner.replay.buffer.insert(newest)
        learner.train(bench.batch(scheme, 3, dict(fields)), t_env=1, episode_num=1)
        return log.stats["loss"][0], float(fields["filled"][:, 1:].sum())  # transitions

    for first, second in ((long, short), (short, long)):
        two = {key: field[:2] for key, field in second.items()}
        (one_loss, one), (two_loss, other) = loss_and_steps(first), loss_and_steps(two)
        joined, _ = loss_and_steps(first, newest=two)
        expected = (one_loss * one + two_loss * other) / (one + other)
        assert joined == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("algorithm", ["mast_qmix", "mast_ow_qmix", "mast_res", "mast_facmac"])
def test_logged_cost_is_that_of_mast_flops(sparse_learner, train_on_random_episodes, algorithm):
    variants = [{}, PER_AGENT, {"use_rnn": False}, {"mixer": "vdn"}, {"hypernet_layers": 1}]
    variants += [{"central_mixer": "atten"}] if algorithm == "mast_ow_qmix" else []
    for variant in variants:
        changes = {"algorithm": algorithm, **variant}
        learner, log = sparse_learner(**changes)
        train_on_random_episodes(learner, 1)
        task = Task(n_agents=3, obs=9, state=11, n_actions=5)
        config = {**vars(learner.args)}
        cost = training_cost(config, learner.options, task)
        assert log.stats["mast_flops_train"] == [pytest.approx(cost.train_flops)]
        assert log.stats["mast_size"] == [cost.size]
        shapes = {
            f"{network}.{name}": shape
            for network, own in network_shapes(config, learner.options, task).items()
            for name, shape in own.items()
        }
        assert shapes == {
            name: tuple(learner.networks.weights[name].shape)
            for name in learner.networks.topology.masks
        }


@pytest.mark.parametrize("algorithm", ["mast_qmix", "mast_ow_qmix", "mast_res", "mast_facmac"])
def test_checkpoint_restores_everything(
    sparse_learner, train_on_random_episodes, tmp_path, algorithm
):
    settings = {
        "algorithm": algorithm, "standardise_rewards": True, "standardise_returns": True,
    }  # fmt: skip
    learner, _ = sparse_learner(**settings)
    train_on_random_episodes(learner, 5)
    learner.save_models(str(tmp_path))
    other, _ = sparse_learner(seed=99, **settings)
    other.load_models(str(tmp_path))
    for name, weight in learner.networks.weights.items():
        assert torch.equal(weight, other.networks.weights[name])
    for name, target in other.networks.target_weights.items():
        assert torch.equal(target, learner.networks.weights[name])
    assert_nothing_outside_the_masks(other)
    for name, mask in learner.networks.topology.masks.items():
        assert torch.equal(mask, other.networks.topology.masks[name])
    assert other.training_steps == 5
    assert torch.equal(other.regression.rew_ms.mean, learner.regression.rew_ms.mean)
    assert not list(tmp_path.glob("*.tmp"))
    learner.copy_to_targets()  # the one thing a load does beyond restoring
    other.replay.buffer = learner.replay.buffer
    for one in (learner, other):
        one.replay.buffer.generator.manual_seed(1)
        train_on_random_episodes(one, 1, seed=3)
        one.replay.buffer._places.pop()
    assert all(
        torch.equal(weight, other.networks.weights[name])
        for name, weight in learner.networks.weights.items()
    )


@pytest.mark.parametrize("algorithm", ["mast_qmix", "mast_ow_qmix", "mast_facmac"])
def test_a_winning_ticket_has_the_masks_of_a_run_and_the_first_weights(
    sparse_learner, train_on_random_episodes, tmp_path, algorithm
):
    run, _ = sparse_learner(algorithm=algorithm)
    random_start = {name: mask.clone() for name, mask in run.networks.topology.masks.items()}
    train_on_random_episodes(run, 4)
    run.save_models(str(tmp_path))

    static = {"topology": "static", "mask_from": str(tmp_path)}
    ticket, _ = sparse_learner(static, algorithm=algorithm)
    dense, _ = sparse_learner({"topology": "dense"}, algorithm=algorithm)

    moved = 0
    for name, mask in run.networks.topology.masks.items():
        assert torch.equal(ticket.networks.topology.masks[name], mask)
        first = dense.networks.weights[name]
        assert torch.equal(ticket.networks.weights[name], first * mask)
        moved += int((mask & ~random_start[name]).sum())
    assert moved > 0
    train_on_random_episodes(ticket, 4, look=assert_nothing_outside_the_masks)
    with pytest.raises(CheckpointError, match=r"mast\.mask_from=.* the sparsity options differ"):
        sparse_learner({**static, "sparsity": 0.8}, algorithm=algorithm)


def test_a_ticket_can_come_from_the_masks_that_a_run_recorded(sparse_learner, tmp_path):
    run, _ = sparse_learner({"topology": "set"})
    for step, mask_of in ((100, torch.zeros_like), (200, lambda mask: mask)):
        masks = {name: mask_of(m).numpy() for name, m in run.networks.topology.masks.items()}
        np.savez(tmp_path / f"masks_{step:012d}.npz", allow_pickle=False, **packed(masks))
    static = {"topology": "static", "mask_from": str(tmp_path)}
    ticket, _ = sparse_learner(static)
    for name, mask in run.networks.topology.masks.items():
        assert torch.equal(ticket.networks.topology.masks[name], mask)
    with pytest.raises(CheckpointError, match=r"mast\.mask_from=.* does not fit this run"):
        sparse_learner({**static, "sparsity": 0.8})
    (tmp_path / "masks_000000000200.npz").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match=r"masks_000000000200\.npz cannot be read"):
        sparse_learner(static)


def test_foreign_checkpoints_are_refused(sparse_learner, tmp_path):
    learner, _ = sparse_learner()
    with pytest.raises(CheckpointError, match=r"mast\.pt is missing"):
        learner.load_models(str(tmp_path))
    learner.save_models(str(tmp_path))
    wider, _ = sparse_learner(hidden_dim=16)
    with pytest.raises(CheckpointError, match=r"agent\.fc1\.weight has shape \(12, "):
        wider.load_models(str(tmp_path))
    (tmp_path / "SHA256SUMS").unlink()  # of what was saved
    (tmp_path / "mast.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        learner.load_models(str(tmp_path))
    torch.save({"format": 99}, tmp_path / "mast.pt")
    with pytest.raises(CheckpointError, match="is of format 99, not of format 1"):
        learner.load_models(str(tmp_path))


def test_learner_checks_its_options_itself(sparse_learner):
    with pytest.raises(OptionError, match=r"mast\.sparsity=1\.0"):
        sparse_learner({"sparsity": 1.0})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_as_the_cpu_does(bench, sparse_learner, train_on_random_episodes, tmp_path):
    """Same masks and, within float tolerance, same weights; checkpoints cross devices."""
    on_cpu, _ = sparse_learner(standardise_rewards=True)
    on_cuda, _ = sparse_learner(
        standardise_rewards=True, use_cuda=True, device="cuda", buffer_cpu_only=False
    )
    on_cuda.cuda()
    scheme = bench.scheme(**DIMS)
    for learner in (on_cpu, on_cuda):
        generator = torch.Generator().manual_seed(0)
        for update in range(1, 6):
            fields = bench.random_fields(generator, episodes=4, steps=8, **DIMS)
            learner.replay.buffer.insert(fields)
            batch = bench.batch(scheme, 3, fields)
            batch.to(learner.args.device)
            learner.train(batch, t_env=100 * update, episode_num=update)
        assert_nothing_outside_the_masks(learner)
    for name, weight in on_cpu.networks.weights.items():
        torch.testing.assert_close(weight, on_cuda.networks.weights[name].cpu(), atol=1e-4, rtol=0)
    on_cuda.save_models(str(tmp_path))
    on_cpu.load_models(str(tmp_path))
    on_cuda.load_models(str(tmp_path))
    assert_nothing_outside_the_masks(on_cuda)


@pytest.mark.parametrize("engine", ["masked", "sparse"])
@pytest.mark.parametrize("case", CASES)
def test_engines_learn_the_same(sparse_learner, train_on_random_episodes, case, engine):
    """Five updates with two topology updates; the same masks, weights within float tolerance."""
    mast, changes = CASES[case]
    ours, _ = sparse_learner({**mast, "engine": engine}, **changes)
    stepwise, _ = sparse_learner({**mast, "engine": "host"}, **changes)
    assert (ours.engine.name, stepwise.engine.name) == (engine, "host")
    for learner in (ours, stepwise):
        train_on_random_episodes(learner, 5)
    for name, mask in ours.networks.topology.masks.items():
        assert torch.equal(mask, stepwise.networks.topology.masks[name]), name
    for name, weight in ours.networks.weights.items():
        torch.testing.assert_close(weight, stepwise.networks.weights[name], rtol=0, atol=2e-5)


def test_a_controller_with_inputs_of_its_own_is_stepped(bench, make_args, mast_options):
    args = make_args(n_agents=3, n_actions=5, state_shape=11, mast=mast_options())
    scheme = bench.scheme(**DIMS)
    learner, _ = bench.ours(scheme, args)

    class Own(type(learner.mac)):
        def _build_inputs(self, batch, t):
            return -super()._build_inputs(batch, t)

    assert engine_choice.knows(learner.mac, bench.modules)
    assert not engine_choice.knows(Own(scheme, {"agents": 3}, args), bench.modules)


class WithBaseline(MastQLearner):
    """An algorithm with a network of its own: a value of the state beside the joint one."""

    def build(self, scheme, host):
        super().build(scheme, host)
        self.baseline = torch.nn.Linear(scheme["state"]["vshape"], 4)
        self.target_baseline = copy.deepcopy(self.baseline)

    def online(self):
        return {**super().online(), "baseline": self.baseline}

    def targets(self):
        return {**super().targets(), "baseline": self.target_baseline}

    def loss(self, update, target, td_error, mask):
        loss, parts = super().loss(update, target, td_error, mask)
        own = (self.baseline(update.data.state[:, :-1]) - target) ** 2 * mask
        return loss + own.sum() / mask.sum(), parts


@pytest.mark.parametrize("engine", ["host", "masked", "sparse"])
def test_a_network_of_an_extension_is_sparse_too(
    sparse_learner, train_on_random_episodes, monkeypatch, tmp_path, engine
):
    monkeypatch.setitem(LEARNERS, "mast_q_learner", WithBaseline)
    learner, log = sparse_learner({"engine": engine})
    train_on_random_episodes(learner, 5, look=assert_nothing_outside_the_masks)
    kept = int(learner.networks.topology.masks["baseline.weight"].sum())
    assert 0 < kept < 44
    assert log.stats["mast_size_baseline"][-1] == kept
    learner.save_models(str(tmp_path))
    other, _ = sparse_learner({"engine": engine}, seed=99)
    other.load_models(str(tmp_path))
    assert torch.equal(other.baseline.weight, learner.baseline.weight)


@pytest.mark.parametrize("engine", ["masked", "sparse"])
@pytest.mark.parametrize(
    ("networks", "torch_computes"),
    [
        ({"algorithm": "mast_qmix"}, None),
        ({"algorithm": "mast_cw_qmix"}, None),
        ({"algorithm": "mast_cw_qmix", "central_mixer": "atten"}, "central_mixer"),
        ({"algorithm": "mast_ow_qmix", "mast": {"central_mixer_sparsity": 0.4}}, "central_mixer"),
        ({"algorithm": "mast_res"}, "mixer over joint"),
        ({"algorithm": "mast_facmac"}, "mixer under the policies' actions"),
    ],
)
def test_what_torch_computes_is_said(sparse_learner, caplog, networks, torch_computes, engine):
    caplog.set_level("INFO")
    sparse_learner(**{**networks, "mast": {"engine": engine, **networks.get("mast", {})}})
    said = [text for text in caplog.messages if "masked torch for" in text]
    assert bool(said) == (engine == "sparse" and torch_computes is not None)
    assert all(torch_computes in text for text in said)
    chosen = [text for text in caplog.messages if text.startswith(f"mast.engine: {engine} (")]
    assert len(chosen) == 1  # and why, in brackets


def test_which_engine_is_chosen(monkeypatch):
    def choose(wanted="auto", known=True, dense=False, device="cpu"):
        return engine_choice.choose_engine(wanted, known=known, dense=dense, device=device)[0].name

    monkeypatch.setattr(engine_choice.kernels, "available", lambda: True)
    assert choose("sparse") == choose() == "sparse"
    assert choose(dense=True) == choose(known=False) == choose("host") == "host"
    assert choose(device="cuda") == choose("masked") == "masked"
    monkeypatch.setattr(engine_choice.kernels, "available", lambda: False)
    assert choose() == "masked"
    for impossible in ({"wanted": "sparse"}, {"wanted": "masked", "known": False}):
        with pytest.raises(OptionError, match="cannot be had"):
            choose(**impossible)


def test_target_options_reach_the_target(sparse_learner):
    """λ, n, α and ω as given, not swapped and not ignored."""
    learner, _ = sparse_learner({"alpha": 0.5, "omega": 4.0, "td_lambda": 0.3, "n_step": 2})
    generator = torch.Generator().manual_seed(1)
    q = torch.randn(2, 6, 3, 5, generator=generator)
    available = torch.ones(2, 6, 3, 5)
    expected = targets.soft_mellowmax(q, available, 0.5, 4.0)
    operated = learner.regression.operate(q, available, q)
    torch.testing.assert_close(operated, expected, rtol=0, atol=1e-6)
    fields = {
        "rewards": torch.randn(2, 6, 1, generator=generator),
        "terminated": torch.zeros(2, 6, 1),
        "mask": torch.ones(2, 6, 1),
    }
    data = Transitions(**fields, actions=None, available=None, state=None)
    values = torch.randn(2, 6, 1, generator=generator)
    step = (*fields.values(), values, learner.args.gamma)

    def target(kind):
        return learner.regression.target(kind, data, data.rewards, values)

    torch.testing.assert_close(target("td_lambda"), targets.td_lambda(*step, 0.3))
    assert torch.equal(target("n_step"), targets.n_step(*step, 2))


def test_hybrid_switches_at_t_0(sparse_learner):
    learner, _ = sparse_learner({"td_lambda_start": 0.5}, t_max=1000)
    assert [learner.regression.kind(t) for t in (0, 499, 500, 999)] == [
        "one_step", "one_step", "td_lambda", "td_lambda",
    ]  # fmt: skip


def test_topology_rests_after_its_end(sparse_learner, train_on_random_episodes):
    learner, _ = sparse_learner({"topology_end": 0.5}, t_max=1000)
    train_on_random_episodes(learner, 9)  # t_env 100 … 900; due at 200, 400, 600, 800
    assert learner.networks.topology.updates == 2


@pytest.mark.parametrize("engine", ["host", "masked", "sparse"])
def test_growth_sees_the_dense_gradient_and_clipping_the_masked_one(
    sparse_learner, train_on_random_episodes, monkeypatch, engine
):
    learner, log = sparse_learner({"engine": engine})
    seen = {}
    evolve = learner.networks.topology.evolve
    step = learner.trained.step

    def spy_evolve(weights, gradients, t_env):
        seen["outside"] = sum(
            int(gradients[name][~mask].count_nonzero())
            for name, mask in learner.networks.topology.masks.items()
        )
        return evolve(weights, gradients, t_env)

    def spy_step():
        norms = [tensor.grad.norm() for tensor in learner.trained.tensors]
        seen["norm"] = float(torch.stack(norms).norm())  # clipping at 10 does nothing here
        learner.trained.gather_gradients(into_parameters=True)
        gradients = {n: weight.grad for n, weight in learner.networks.weights.items()}
        for name, mask in learner.networks.topology.masks.items():
            assert not gradients[name][~mask].any(), name
        return step()

    monkeypatch.setattr(learner.networks.topology, "evolve", spy_evolve)
    monkeypatch.setattr(learner.trained, "step", spy_step)
    learner.args.grad_norm_clip = 1e9
    train_on_random_episodes(learner, 2)
    assert seen["outside"] > 0
    assert log.stats["grad_norm"][-1] == pytest.approx(seen["norm"], rel=1e-5)


def test_rmsprop_takes_the_hosts_options(sparse_learner):
    learner, _ = sparse_learner({"optimizer": "rmsprop"}, optim_alpha=0.5, optim_eps=1e-3)
    group = learner.optimiser.param_groups[0]
    assert (group["alpha"], group["eps"]) == (0.5, 1e-3)


def test_reward_statistics_leave_padding_out(bench, sparse_learner):
    """Extra padded steps change neither the statistics nor the loss."""
    fields = bench.random_fields(torch.Generator().manual_seed(5), episodes=3, steps=9, **DIMS)
    losses = []
    for extra in (0, 20):
        learner, log = sparse_learner({"target": "td_lambda"}, standardise_rewards=True)
        padded = {
            key: torch.cat([field, field.new_zeros(3, extra, *field.shape[2:])], dim=1)
            for key, field in fields.items()
        }
        learner.train(bench.batch(bench.scheme(**DIMS), 3, padded), t_env=1, episode_num=1)
        losses.append(log.stats["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("engine", ["masked", "sparse"])
def test_auto_sparsity_follows_its_controller(
    sparse_learner, train_on_random_episodes, tmp_path, engine
):
    mast = {
        "sparsity": "auto", "auto_interval": 2, "auto_factor": 1.5, "auto_tolerance": 1e6,
        "topology_interval": 1, "mixer_sparsity": 0.7, "engine": engine,
    }  # fmt: skip
    learner, log = sparse_learner(mast)
    assert log.stats == {}
    first = learner.cost.size
    train_on_random_episodes(learner, 8, look=assert_nothing_outside_the_masks)

    assert log.stats["mast_auto_decision"] == [0, 0, 0, 1, 1, 1, 1, 1]
    kept = [0.5, 0.5, 0.5, *[0.5 / 1.5] * 2, *[0.5 / 1.5**2] * 2, 0.5 / 1.5**3]
    assert [1 - s for s in log.stats["mast_auto_sparsity"]] == pytest.approx(kept)
    assert [1 - s for s in log.stats["mast_sparsity_agent"]] == pytest.approx(kept, abs=0.01)
    assert log.stats["mast_sparsity_mixer"] == pytest.approx([0.7] * 8, abs=0.01)  # its own
    masks = learner.networks.topology.masks
    assert log.stats["mast_size"][-1] == 2 * sum(int(mask.sum()) for mask in masks.values())
    assert log.stats["mast_size"][-1] < first

    learner.save_models(str(tmp_path))
    other, again = sparse_learner(mast, seed=99)
    other.load_models(str(tmp_path))
    assert other.auto.state_dict() == learner.auto.state_dict()
    assert other.cost == learner.cost
    train_on_random_episodes(other, 2, look=assert_nothing_outside_the_masks)
    assert again.stats["mast_auto_sparsity"][-1] > log.stats["mast_auto_sparsity"][-1]
    number, _ = sparse_learner({**mast, "sparsity": 0.5}, seed=99)
    with pytest.raises(CheckpointError, match="the sparsity options differ"):
        number.load_models(str(tmp_path))


@pytest.mark.parametrize("engine", ["masked", "sparse"])
def test_a_denser_step_regrows_weights(
    sparse_learner, train_on_random_episodes, monkeypatch, engine
):
    mast = {"sparsity": "auto", "topology_interval": 1, "engine": engine}
    learner, log = sparse_learner(mast)
    asked = iter([0.8, 0.8, 0.5, 0.5])
    monkeypatch.setattr(learner.auto, "decide", lambda evolution, newest: next(asked))
    train_on_random_episodes(learner, 4, look=assert_nothing_outside_the_masks)
    expected = pytest.approx([0.8, 0.8, 0.5, 0.5], abs=0.01)
    assert log.stats["mast_sparsity_total"] == expected
    for layer in learner.networks.topology.layers:
        masks = learner.networks.topology.masks
        assert sum(int(masks[member].sum()) for member in layer.members) == layer.kept
