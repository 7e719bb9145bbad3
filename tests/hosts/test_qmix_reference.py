"""Three updates of the host's learner, recorded upstream (reference/qmix_train)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

COPY = Path(__file__).resolve().parent.parent / "conformance" / "data"
FOLDER = Path(os.environ.get("MAST_REFERENCE", COPY))
RECORD = json.loads((FOLDER / "qmix_train.json").read_text())
SCALARS = ("loss", "grad_norm", "td_error_abs", "q_taken_mean", "target_mean")


@pytest.fixture(scope="module")
def qmix_train(recorded):
    return recorded("qmix_train")


def observe_targets(learner, seen):
    """Keep what goes into and comes out of the return computation."""
    compute = learner.regression.target

    def observed(kind, data, rewards, next_values):
        target = compute(kind, data, rewards, next_values)
        seen.append((next_values, target, data.mask))
        return target

    learner.regression.target = observed


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_three_updates_equal_the_record(bench, make_args, mast_options, qmix_train, case):
    name = case["name"]
    args = make_args(
        **{
            **case["args"],
            "learner": "mast_q_learner",
            "runner": "mast_episode",
            "mast": mast_options("all_off"),
        }
    )
    scheme = bench.scheme(args.n_agents, args.obs_shape, args.state_shape, args.n_actions)
    ours, log = bench.ours(scheme, args)
    networks = {
        "agent": (ours.mac.agent, ours.target_mac.agent),
        "mixer": (ours.mixer, ours.target_mixer),
    }
    for network, (online, target) in networks.items():
        if qmix_train.below(f"{name}/init/{network}"):
            online.load_state_dict(qmix_train.below(f"{name}/init/{network}"))
            target.load_state_dict(qmix_train.below(f"{name}/init_target/{network}"))
    seen: list[tuple] = []
    observe_targets(ours, seen)

    for call in range(RECORD["n_train_calls"]):
        fields = qmix_train.fields(f"batch{call}", args.n_actions)
        batch = bench.batch(scheme, args.n_agents, fields)
        ours.train(batch, t_env=10 * (call + 1), episode_num=call + 1)
        step = SimpleNamespace(
            **{
                key: qmix_train.arrays[f"{name}/step{call + 1}/{key}"]
                for key in ("target_max_qtot", "targets", "mask")
            }
        )
        next_values, target, mask = seen[-1]
        torch.testing.assert_close(mask, step.mask.to(mask.dtype).view_as(mask))
        real = step.mask.bool().view_as(mask)
        for mine, theirs in ((next_values, step.target_max_qtot), (target, step.targets)):
            for column in mine.split(1, dim=2):  # a common reward may stand in N equal columns
                torch.testing.assert_close(column[real], theirs[real], rtol=0, atol=2e-5)
        for network, (online, _) in networks.items():
            for key, value in qmix_train.below(f"{name}/after{call + 1}/{network}").items():
                torch.testing.assert_close(online.state_dict()[key], value, rtol=0, atol=2e-5)

    for key in SCALARS:
        recorded = qmix_train.arrays[f"{name}/{key}"].tolist()
        assert log.stats[key] == pytest.approx(recorded, rel=1e-4, abs=1e-6), key
    for network, (_, target) in networks.items():
        for key, value in qmix_train.below(f"{name}/final_target/{network}").items():
            torch.testing.assert_close(target.state_dict()[key], value, rtol=0, atol=2e-5)
