"""A loss that grows beyond all bounds ends the run before it makes every weight nan."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.errors import RunError
from epymarl_mast.learners.divergence import check_converging
from epymarl_mast.sparse import kernels


@pytest.mark.parametrize(
    ("algorithm", "mast"),
    [
        ("mast_qmix", {"engine": "masked"}),
        ("mast_qmix", {"engine": "sparse"}),
        ("mast_qmix", {"topology": "dense", "engine": "host"}),
        ("mast_iql", {}),
        ("mast_ow_qmix", {}),
        ("mast_facmac", {}),
    ],
)
@pytest.mark.parametrize("reward", [1e30, float("nan")], ids=["too large", "nan"])
def test_it_ends_with_finite_weights(workplace, learner, capsys, algorithm, mast, reward):
    if mast.get("engine") == "sparse" and not kernels.available():
        pytest.skip("no kernels on this machine")
    rewards = {"standardise_rewards": False}
    own = learner(algorithm, mast, **rewards, **({"common_reward": False} if "iql" in algorithm
                  and workplace.modules.copies_common_reward else {}))  # fmt: skip
    batch = workplace.batch(2, 5, seed=0)
    own.train(batch, t_env=10, episode_num=1)
    before = {name: weight.clone() for name, weight in own.networks.weights.items()}
    batch.data.transition_data["reward"].fill_(reward)
    with pytest.raises(SystemExit) as stopped:
        own.train(batch, t_env=20, episode_num=2)
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert "learning has diverged: at update 2 (t_env=20)" in said
    assert "smaller lr" in said
    assert all(torch.equal(w, before[name]) for name, w in own.networks.weights.items())


def test_a_finite_gradient_is_no_fault():
    check_converging(torch.tensor(1e30), torch.tensor(1e30), update=1, t_env=1)
    with pytest.raises(RunError, match="the loss is inf and the norm of its gradient nan"):
        check_converging(torch.tensor(float("nan")), torch.tensor(float("inf")), 1, 1)
