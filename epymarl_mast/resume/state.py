"""All of a run but the episodes in its buffers: gathered for a checkpoint, put back from one."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from epymarl_mast.errors import CheckpointError
from epymarl_mast.hosts import random_states, reach
from epymarl_mast.hosts.environments import NEVER_EXACT
from epymarl_mast.learners.whole_state import learner_state, restore_learner
from epymarl_mast.resume import record
from epymarl_mast.resume.arithmetic import arithmetic
from epymarl_mast.resume.checkpoint import Checkpoint
from epymarl_mast.resume.database import list_metrics
from epymarl_mast.resume.rewind import packed_clock
from epymarl_mast.resume.segments import Ring
from epymarl_mast.resume.values import (
    plain,
    process_random_state,
    revive,
    set_process_random_state,
)

_OF_THE_RUNNER = (
    "t_env", "train_returns", "test_returns", "train_stats", "test_stats", "log_train_stats_t",
)  # fmt: skip
_FREE = (
    "local_results_path",
    "checkpoint_path",
    "mast.resume",
    "mast.checkpoint_",
    "mast.log_",
)  # may differ at a resume


def gather(runner: Any, learner: Any, rings: Sequence[Ring], clock: list[int]) -> dict[str, Any]:
    """Everything that changes in a run, as tensors and plain values."""
    return {
        "config": configuration(runner.logger),
        "arithmetic": arithmetic(learner),
        "clock": packed_clock(clock),
        "learner": learner_state(learner),
        "acting": _acting(runner.mac),
        "runner": {key: plain(getattr(runner, key)) for key in _OF_THE_RUNNER},
        "recent_rewards": plain(list(runner.recent_rewards)),
        "rings": {ring.name: ring.state() for ring in rings},
        "record": record.noted(runner.logger),
        "environments": environment_states(runner),
        "random": process_random_state(),
    }


def put_back(
    runner: Any,
    learner: Any,
    rings: Sequence[Ring],
    checkpoint: Checkpoint,
    state: Mapping[str, Any],
) -> str:
    """Bring a run to where :func:`gather` saw it, its buffers included.

    Returns:
        Why its environments may not be what they were; empty where they are.

    Raises:
        CheckpointError: if the checkpoint is not of such a run.
    """
    restore_learner(learner, state["learner"])
    for ring in rings:
        _fill(ring, state["rings"][ring.name], checkpoint)
    if (t_env := revive(state["runner"]["t_env"])) < runner.t_env:
        raise CheckpointError(f"its clock is at step {runner.t_env}, beyond its own, {t_env}")
    for key in _OF_THE_RUNNER:
        setattr(runner, key, revive(state["runner"][key]))
    runner.recent_rewards = deque(
        revive(state["recent_rewards"]), maxlen=runner.recent_rewards.maxlen
    )
    _set_acting(runner.mac, state["acting"])
    record.restore(runner.logger, state["record"])
    list_metrics(runner.logger)
    if hasattr(runner, "parent_conns"):
        doubts = reach.set_random_states(runner.parent_conns, state["environments"])
    else:
        doubts = [random_states.restore(runner.env, state["environments"][0]["environment"])]
    set_process_random_state(state["random"])
    return next(filter(None, doubts), "")


def _fill(ring: Ring, own: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Put the episodes of a checkpoint into a buffer.

    Raises:
        CheckpointError: if they are not those that the buffer held, one after the other.
    """
    first, end = own["first"], own["inserted"]
    if end != ring.inserted or not max(0, end - ring.capacity) <= first <= end:
        raise CheckpointError(
            f"the buffer {ring.name} of {ring.capacity} episodes cannot have held those from "
            f"{first} to {end} after {ring.inserted}"
        )
    ring.prepare(own)
    coming = first
    for number, fields in checkpoint.episodes(ring.name, first):
        if number != coming or number >= end:
            raise CheckpointError(f"episode {coming} of the buffer {ring.name} is not in it")
        ring.put(number, fields)
        coming += 1
    if coming != end:
        raise CheckpointError(f"episode {coming} of the buffer {ring.name} is not in it")


def environment_states(runner: Any) -> list[dict[str, Any]]:
    """The random states of a runner's environments."""
    if hasattr(runner, "parent_conns"):
        return reach.ask_random_states(runner.parent_conns)
    return [{"environment": random_states.of(runner.env)}]


def doubt_about(runner: Any) -> str:
    """Why a run on these environments may not be bit-identical when it is resumed.

    Returns:
        The end of a sentence that begins with "the environment"; empty where it will be.
    """
    name = runner.args.env
    if name in NEVER_EXACT:
        return NEVER_EXACT[name]
    doubts = (states["environment"].get("doubt", "") for states in environment_states(runner))
    return next(filter(None, doubts), "")


def configuration(logger: Any) -> str:
    """A run's configuration as Sacred has it, as JSON."""
    return json.dumps(logger._run_obj.config, sort_keys=True, default=str)


def check_same_run(saved: str, here: str) -> None:
    """Refuse a checkpoint of another configuration.

    Raises:
        CheckpointError: naming the first option that is another.
    """
    try:
        other, own = _flat(json.loads(saved)), _flat(json.loads(here))
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"the checkpoint holds no configuration: {error}") from None
    for key in sorted(other.keys() | own.keys()):
        if key.startswith(_FREE) or other.get(key) == own.get(key):
            continue
        said = f"{key}={other[key]!r}" if key in other else f"no {key}"
        mine = f"{key}={own[key]!r}" if key in own else "no such option"
        raise CheckpointError(f"the checkpoint is of a run with {said}, this one has {mine}")


def _flat(block: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in block.items():
        name = f"{above}{key}"
        flat.update(
            _flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
        )
    return flat


def _acting(mac: Any) -> dict[str, Any]:
    actor = getattr(mac, "_actor", None)
    return {
        "epsilon": plain(getattr(mac.action_selector, "epsilon", None)),
        "actor": None if actor is None else plain(actor.random_state()),
    }


def _set_acting(mac: Any, state: Mapping[str, Any]) -> None:
    actor = getattr(mac, "_actor", None)
    if hasattr(mac.action_selector, "epsilon"):
        mac.action_selector.epsilon = revive(state["epsilon"])
    if (actor is None) != (state["actor"] is None):
        raise CheckpointError("the agents of the checkpoint act in another way")
    if actor is not None:
        actor.set_random_state(revive(state["actor"]))
