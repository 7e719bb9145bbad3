"""Two updates of RES, recorded upstream (reference/res_target)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

COPY = Path(__file__).resolve().parent.parent / "conformance" / "data"
FOLDER = Path(os.environ.get("MAST_REFERENCE", COPY))
RECORD = json.loads((FOLDER / "res_target.json").read_text())
SCALARS = ("loss", "grad_norm", "td_error_abs", "q_taken_mean", "target_mean")


@pytest.fixture(scope="module")
def res_target(recorded):
    return recorded("res_target")


@pytest.fixture
def upstream_learner(bench, make_args, mast_options, res_target):
    """Our RES with the recorded networks and arguments, in our names."""

    def make(case, operator):
        theirs = case["args"]
        res = {"res_operator": operator, "res_beta": 0.0, "res_lambda": 0.0}
        if theirs["res"]:
            res = {**res, "res_beta": theirs["res_beta"], "res_lambda": theirs["res_lambda"]}
        else:
            res["res_operator"] = "none"
        ours = {
            "hidden_dim": theirs["rnn_hidden_dim"],
            "target_update_interval_or_tau": theirs["target_update_interval"],
            "learner": "mast_res_learner",
            "mast": mast_options("all_off", algorithm="mast_res", optimizer="rmsprop", **res),
        }
        args = make_args(**{**theirs, **ours})
        scheme = bench.scheme(args.n_agents, args.obs_shape, args.state_shape, args.n_actions)
        learner, log = bench.ours(scheme, args)
        for network, module in learner.online().items():
            if state := res_target.below(f"{case['name']}/init/{network}"):
                module.load_state_dict(state)
                learner.targets()[network].load_state_dict(
                    res_target.below(f"{case['name']}/init_target/{network}")
                )
        learner.seen = []
        operate = learner.next_values
        learner.next_values = lambda update: (
            learner.seen.append(operate(update)) or learner.seen[-1]
        )
        return scheme, learner, log

    return make


def train(bench, res_target, case, scheme, learner, call):
    """Update number ``call``; returns which steps bootstrap."""
    fields = res_target.fields(f"{case['batch_prefix']}{call - 1}", case["args"]["n_actions"])
    fields.pop("future_discounted_return")
    batch = bench.batch(scheme, case["args"]["n_agents"], fields)
    learner.train(batch, t_env=10 * call, episode_num=call)
    mask = res_target.arrays[f"{case['name']}/step{call}/mask"].bool()
    return mask & (fields["terminated"][:, :-1] == 0)


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_the_faithful_operator_equals_the_record(bench, upstream_learner, res_target, case):
    scheme, learner, log = upstream_learner(case, "all")
    for call in (1, 2):
        bootstraps = train(bench, res_target, case, scheme, learner, call)
        theirs = res_target.below(f"{case['name']}/step{call}")
        torch.testing.assert_close(
            learner.seen[-1][bootstraps], theirs["target_max_qvals"][bootstraps], rtol=0, atol=2e-5
        )
        for network, module in learner.online().items():
            for key, value in res_target.below(f"{case['name']}/after{call}/{network}").items():
                torch.testing.assert_close(module.state_dict()[key], value, rtol=0, atol=2e-5)
    for key in SCALARS:
        recorded = res_target.arrays[f"{case['name']}/{key}"].tolist()
        assert log.stats[key] == pytest.approx(recorded, rel=1e-4, abs=1e-6), key
    if case["args"]["res"]:
        recorded = res_target.arrays[f"{case['name']}/v_l2"].tolist()
        assert log.stats["mast_return_penalty"] == pytest.approx(recorded, rel=1e-4, abs=1e-6)


RES_CASES = [case for case in RECORD["cases"] if case["args"]["res"]]


@pytest.mark.parametrize("case", RES_CASES, ids=lambda case: case["name"])
def test_the_default_operator_leaves_unavailable_actions_out(
    bench, upstream_learner, res_target, case
):
    scheme, learner, _ = upstream_learner(case, "available")
    bootstraps = train(bench, res_target, case, scheme, learner, 1)
    clean = res_target.arrays[
        f"{case['name']}/step1/clean_target_max_qvals_excluding_unavailable"
    ].float()
    torch.testing.assert_close(learner.seen[-1][bootstraps], clean[bootstraps], rtol=0, atol=2e-5)
