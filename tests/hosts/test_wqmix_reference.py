"""Two updates of weighted QMIX, recorded upstream (reference/wqmix_train)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

COPY = Path(__file__).resolve().parent.parent / "conformance" / "data"
FOLDER = Path(os.environ.get("MAST_REFERENCE", COPY))
RECORD = json.loads((FOLDER / "wqmix_train.json").read_text())
LOGGED = {  # ours: theirs
    "loss": "loss",
    "mast_weighted_loss": "qmix_loss",
    "mast_central_loss": "central_loss",
    "grad_norm": "grad_norm",
    "td_error_abs": "td_error_abs",
    "q_taken_mean": "q_taken_mean",
    "target_mean": "target_mean",
}


@pytest.fixture(scope="module")
def wqmix_train(recorded):
    return recorded("wqmix_train")


@pytest.fixture
def upstream_args(make_args, mast_options):
    """The recorded arguments in our names: every part of MAST off, RMSprop."""

    def make(theirs):
        mast = mast_options(
            "all_off",
            algorithm="mast_ow_qmix",
            weighting="ow" if theirs["hysteretic_qmix"] else "cw",
            small_weight=theirs["w"],
            optimizer="rmsprop",
        )
        ours = {
            "hidden_dim": theirs["rnn_hidden_dim"],
            "target_update_interval_or_tau": theirs["target_update_interval"],
            "learner": "mast_wqmix_learner",
            "mast": mast,
        }
        return make_args(**{**theirs, **ours})

    return make


def watch(learner, seen):
    """Keep the targets and the weights of every update."""
    compute, weigh = learner.regression.target, learner.weights

    def target(kind, data, rewards, next_values):
        seen.append({"target_max_qvals": next_values, "mask": data.mask})
        seen[-1]["targets"] = compute(kind, data, rewards, next_values)
        return seen[-1]["targets"]

    def weights(update, target, td_error):
        seen[-1]["chosen_action_qvals"] = update.values.detach()
        seen[-1]["ws"] = weigh(update, target, td_error)
        return seen[-1]["ws"]

    learner.regression.target, learner.weights = target, weights


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_two_updates_equal_the_record(bench, upstream_args, wqmix_train, case):
    name = case["name"]
    args = upstream_args(case["args"])
    scheme = bench.scheme(args.n_agents, args.obs_shape, args.state_shape, args.n_actions)
    ours, log = bench.ours(scheme, args)
    online, targets = ours.online(), ours.targets()
    for network, module in online.items():
        module.load_state_dict(wqmix_train.below(f"{name}/init/{network}"))
    for network, module in targets.items():
        module.load_state_dict(wqmix_train.below(f"{name}/init_target/{network}"))
    seen: list[dict] = []
    watch(ours, seen)

    for call in (1, 2):
        fields = wqmix_train.fields(f"batch{call - 1}", args.n_actions)
        ours.train(bench.batch(scheme, args.n_agents, fields), t_env=10 * call, episode_num=call)
        theirs = wqmix_train.below(f"{name}/step{call}")
        real = theirs["mask"].bool()
        assert torch.equal(seen[-1].pop("mask").bool(), real)
        for key, mine in seen[-1].items():
            for column in mine.split(1, dim=2):  # a common reward may stand in N equal columns
                torch.testing.assert_close(column[real], theirs[key][real], rtol=0, atol=2e-5)
        for network, module in online.items():
            for key, value in wqmix_train.below(f"{name}/after{call}/{network}").items():
                torch.testing.assert_close(module.state_dict()[key], value, rtol=0, atol=2e-5)

    for mine, their in LOGGED.items():
        recorded = wqmix_train.arrays[f"{name}/{their}"].tolist()
        assert log.stats[mine] == pytest.approx(recorded, rel=1e-4, abs=1e-6), mine
