"""What holds for every network, sparsity and seed: property tests on whole learners."""

from __future__ import annotations

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epymarl_mast.sparse.optimizer_state import per_weight_state

UPDATES = 5

SIZES = st.fixed_dictionaries(
    {"n_agents": st.integers(1, 4), "obs": st.integers(1, 20), "state": st.integers(1, 25),
     "n_actions": st.integers(2, 9)}
)  # fmt: skip
NETWORKS = st.fixed_dictionaries(
    {
        "hidden_dim": st.integers(4, 40), "mixing_embed_dim": st.integers(2, 12),
        "hypernet_layers": st.sampled_from([1, 2]), "use_rnn": st.booleans(),
        "mixer": st.sampled_from(["qmix", "vdn", None]), "obs_agent_id": st.booleans(),
        "obs_last_action": st.booleans(), "per_agent": st.booleans(),
        "target_update_interval_or_tau": st.sampled_from([0.1, 2, 200]),
        "seed": st.integers(0, 2**32 - 1),
    }
)  # fmt: skip
SPARSE = st.fixed_dictionaries(
    {
        "sparsity": st.floats(0.0, 0.98), "topology": st.sampled_from(["rigl", "set", "static"]),
        "drop_fraction": st.floats(0.05, 1.0), "topology_interval": st.integers(1, 3),
        "optimizer": st.sampled_from(["adam", "adamw", "rmsprop", "sgd"]),
        "allocation": st.sampled_from(["erdos_renyi", "uniform"]),
        "engine": st.sampled_from(["auto", "masked", "host"]),
    }
)  # fmt: skip


def assert_masked(learner):
    """The kept weights of a layer are as many as ever; nothing outside the masks is non-zero."""
    topology = learner.networks.topology
    for layer in topology.layers:
        assert sum(int(topology.masks[m].sum()) for m in layer.members) == layer.kept, layer.name
    states = learner.trained.state()
    for name, mask in topology.masks.items():
        weight = learner.networks.weights[name]
        assert not weight[~mask].any(), f"weight {name}"
        assert not learner.networks.target_weights[name][~mask].any(), f"target {name}"
        for key in per_weight_state(learner.optimiser):
            state = states[name].get(key)
            assert state is None or not state[~mask].any(), f"{key} of {name}"


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=SIZES, network=NETWORKS, sparse=SPARSE)
def test_masks_hold_and_the_same_seed_is_the_same_run(
    bench, make_args, mast_options, sizes, network, sparse
):
    scheme = bench.scheme(**sizes)
    network = dict(network)
    own = network.pop("per_agent") and sizes["n_agents"] > 1
    agents = {"mac": "non_shared_mac", "agent": "rnn_ns"} if own else {}

    def train():
        args = make_args(
            **{k: sizes[k] for k in ("n_agents", "n_actions")}, state_shape=sizes["state"],
            mast=mast_options(**sparse, online_batch_size=2), **network, **agents,
        )  # fmt: skip
        torch.manual_seed(args.seed % 2**31)
        learner, log = bench.ours(scheme, args)
        assert_masked(learner)
        generator = torch.Generator().manual_seed(args.seed % 2**31)
        for update in range(1, UPDATES + 1):
            newest = bench.random_fields(generator, episodes=1, steps=7, **sizes)
            learner.mac.online_buffer.insert(newest)
            fields = bench.random_fields(generator, episodes=3, steps=4 + update, **sizes)
            batch = bench.batch(scheme, sizes["n_agents"], fields)
            learner.train(batch, t_env=100 * update, episode_num=update)
            assert_masked(learner)
        return learner, log.stats

    first, stats = train()
    again, same = train()

    assert stats == same
    for name, weight in first.networks.weights.items():
        assert torch.equal(weight, again.networks.weights[name]), name
