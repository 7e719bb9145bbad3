"""A change of engine is no change of method: 500 updates with topology evolution."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.hosts import PyMARLzooPlus
from epymarl_mast.learners.engines import agent_inputs
from epymarl_mast.sparse import kernels

UPDATES = 500
DIMS = {"n_agents": 3, "obs": 9, "state": 11, "n_actions": 5}


@pytest.mark.parametrize("algorithm", ["mast_qmix", "mast_ow_qmix", "mast_cw_qmix"])
@pytest.mark.parametrize("host", [PyMARLzooPlus.installed()], indirect=True, ids=["pymarlzooplus"])
@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_500_updates_are_the_same_under_both_engines(bench, make_args, mast_options, algorithm):
    """Losses within tolerance, equal masks, and the same greedy actions at the end."""

    def train(engine):
        args = make_args(
            n_agents=3, n_actions=5, state_shape=11, hidden_dim=24, t_max=100 * UPDATES,
            learner="mast_q_learner" if algorithm == "mast_qmix" else "mast_wqmix_learner",
            mast=mast_options(
                algorithm=algorithm, engine=engine, topology_interval=50, online_batch_size=2
            ),
        )  # fmt: skip
        torch.manual_seed(args.seed)
        learner, log = bench.ours(bench.scheme(**DIMS), args)
        generator = torch.Generator().manual_seed(3)
        for update in range(1, UPDATES + 1):
            newest = bench.random_fields(generator, episodes=1, steps=9, **DIMS)
            learner.mac.online_buffer.insert(newest)
            fields = bench.random_fields(generator, episodes=4, steps=9, **DIMS)
            batch = bench.batch(bench.scheme(**DIMS), 3, fields)
            learner.train(batch, t_env=100 * update, episode_num=update)
        return learner, log.stats, batch

    masked, expected, batch = train("masked")
    sparse, stats, _ = train("sparse")

    assert sparse.engine.name == "sparse"
    assert masked.networks.topology.updates == sparse.networks.topology.updates >= 7
    for name, mask in masked.networks.topology.masks.items():
        assert torch.equal(mask, sparse.networks.topology.masks[name]), name
    assert len(stats["loss"]) == UPDATES
    assert stats["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    inputs = agent_inputs(masked.mac, batch)
    with torch.no_grad():
        values = [lr.engine.unroll(lr.mac, batch, inputs) for lr in (masked, sparse)]
    assert torch.equal(*(q.argmax(dim=3) for q in values))
