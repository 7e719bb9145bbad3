"""Three updates of the host's learner, recorded upstream (reference/qmix_train)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

COPY = Path(__file__).resolve().parent.parent / "conformance" / "data"
FOLDER = Path(os.environ.get("MAST_REFERENCE", COPY))
RECORD = json.loads((FOLDER / "qmix_train.json").read_text())
SCALARS = ("loss", "grad_norm", "td_error_abs", "q_taken_mean", "target_mean")
DTYPES = {
    "actions": torch.long,
    "avail_actions": torch.int32,
    "terminated": torch.uint8,
    "filled": torch.long,
}


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "qmix_train.npz", allow_pickle=False) as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}


def fields_of(arrays, call, n_actions):
    prefix = f"batch{call}/"
    fields = {
        key.removeprefix(prefix): value.to(DTYPES.get(key.removeprefix(prefix), torch.float32))
        for key, value in arrays.items()
        if key.startswith(prefix)
    }
    onehot = torch.nn.functional.one_hot(fields["actions"].squeeze(3), n_actions).float()
    return {**fields, "actions_onehot": onehot * fields["filled"][..., None]}


def state_of(arrays, name, when, network):
    prefix = f"{name}/{when}/{network}/"
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def observe_targets(learner, seen):
    """Keep what goes into and comes out of the return computation."""
    compute = learner._targets_of

    def observed(kind, data, next_values):
        target = compute(kind, data, next_values)
        seen.append((next_values, target, data.mask))
        return target

    learner._targets_of = observed


@pytest.mark.parametrize("case", RECORD["cases"], ids=lambda case: case["name"])
def test_three_updates_equal_the_record(bench, make_args, mast_options, arrays, case):
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
        if state_of(arrays, name, "init", network):
            online.load_state_dict(state_of(arrays, name, "init", network))
            target.load_state_dict(state_of(arrays, name, "init_target", network))
    seen: list[tuple] = []
    observe_targets(ours, seen)

    for call in range(RECORD["n_train_calls"]):
        fields = fields_of(arrays, call, args.n_actions)
        batch = bench.batch(scheme, args.n_agents, fields)
        ours.train(batch, t_env=10 * (call + 1), episode_num=call + 1)
        step = SimpleNamespace(
            **{
                key: arrays[f"{name}/step{call + 1}/{key}"]
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
            for key, value in state_of(arrays, name, f"after{call + 1}", network).items():
                torch.testing.assert_close(online.state_dict()[key], value, rtol=0, atol=2e-5)

    for key in SCALARS:
        recorded = arrays[f"{name}/{key}"].tolist()
        assert log.stats[key] == pytest.approx(recorded, rel=1e-4, abs=1e-6), key
    for network, (_, target) in networks.items():
        for key, value in state_of(arrays, name, "final_target", network).items():
            torch.testing.assert_close(target.state_dict()[key], value, rtol=0, atol=2e-5)
