"""Everything of a learner that changes while it trains: what an exact resume needs.

The host's checkpoint files (:mod:`epymarl_mast.learners.checkpoint`) hold less: a run that goes on
from them copies its targets anew and starts with empty buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from epymarl_mast.errors import CheckpointError
from epymarl_mast.learners.checkpoint import moments, restore_moments


def learner_state(learner: Any) -> dict[str, Any]:
    """Networks, targets, masks, optimiser, statistics, counters and generators, as tensors."""
    return {
        "online": _weights(learner.online()),
        "targets": _weights(learner.targets()),
        "optimiser": learner.optimiser.state_dict(),
        "topology": learner.networks.topology.state_dict(),
        "auto": learner.auto.state_dict(),
        "distance": learner.replay.distance,
        "rew_ms": moments(learner.regression.rew_ms),
        "ret_ms": moments(learner.regression.ret_ms),
        "noise": learner.noise.get_state(),
        "training_steps": learner.training_steps,
        "last_target_update_step": learner.last_target_update_step,
        "log_stats_t": learner.log_stats_t,
        "masks_recorded": learner.mac.mask_recorder.state_dict(),
    }


def restore_learner(learner: Any, state: Mapping[str, Any]) -> None:
    """Take over what :func:`learner_state` gave.

    Raises:
        CheckpointError: naming the first weight or mask that is another here.
    """
    for kind, networks in (("online", learner.online()), ("targets", learner.targets())):
        _check_shapes(_weights(networks), state[kind])
        for name, network in networks.items():
            network.load_state_dict(state[kind][name])
    try:
        learner.optimiser.load_state_dict(state["optimiser"])
        if (sparsity := learner.auto.load_state_dict(dict(state["auto"]))) is not None:
            learner.networks.set_sparsity(sparsity)
            learner.count_cost()
        learner.networks.topology.load_state_dict(state["topology"])
    except (ValueError, KeyError) as error:
        raise CheckpointError(str(error).splitlines()[-1].strip()) from error
    learner.follow_masks()
    learner.replay.distance = state["distance"]
    restore_moments(learner.regression.rew_ms, state["rew_ms"])
    restore_moments(learner.regression.ret_ms, state["ret_ms"])
    learner.noise.set_state(state["noise"])
    for counter in ("training_steps", "last_target_update_step", "log_stats_t"):
        if not isinstance(state[counter], (int, float)):
            raise CheckpointError(f"its {counter} is {state[counter]!r}, which is no number")
        setattr(learner, counter, state[counter])
    learner.mac.mask_recorder.load_state_dict(state["masks_recorded"])


def _weights(networks: Mapping[str, nn.Module]) -> dict[str, dict[str, Any]]:
    return {name: dict(network.state_dict()) for name, network in networks.items()}


def _check_shapes(here: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    own = {f"{n}.{key}": tuple(w.shape) for n, part in here.items() for key, w in part.items()}
    other = {f"{n}.{key}": tuple(w.shape) for n, part in saved.items() for key, w in part.items()}
    for name in sorted(own.keys() | other.keys()):
        if own.get(name) != other.get(name):
            there, mine = (str(found.get(name, "missing")) for found in (other, own))
            raise CheckpointError(f"the shape of {name} is {there} in the checkpoint, {mine} here")
