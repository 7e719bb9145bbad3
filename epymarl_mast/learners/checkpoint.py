"""``mast.pt``: what a checkpoint holds beside the host's own files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from epymarl_mast.errors import CheckpointError, OptionError, ReportError
from epymarl_mast.learners.checkpoint_files import read, write_together
from epymarl_mast.overrides import user_path
from epymarl_mast.resume.places import has_checkpoint
from epymarl_mast.sparse import Topology
from epymarl_mast.tracking.mask_history import SNAPSHOT_FILES, MaskHistory

FILE_NAME = "mast.pt"
FORMAT = 1
# How a run is computed and kept, not what it learns.
_FREE = ("engine", "mask_from", "resume", "checkpoint_")
# What reading a file of unlike content can end with.
_MALFORMED = (
    RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
    AssertionError,
)  # fmt: skip


def check_checkpoint(config: Mapping[str, Any]) -> None:
    """Refuse a ``checkpoint_path`` that holds nothing to load, before anything starts.

    The hosts end such a run as if it had been done, or with a stack trace. The same for
    ``mast.mask_from``.

    Raises:
        OptionError: saying what ``checkpoint_path`` or ``mast.mask_from`` must be.
    """
    _check_mask_source(config)
    path = config.get("checkpoint_path")
    if not path:
        if config.get("evaluate"):
            raise OptionError("evaluate=True needs checkpoint_path=<folder of checkpoints>")
        return
    folder = user_path(path)
    steps = [p for p in folder.glob("*") if p.is_dir() and p.name.isdigit()]
    if steps:
        return
    what = "does not exist" if not folder.is_dir() else "holds no folder named by a step number"
    hint = ""
    if folder.name.isdigit() and (folder / "agent.th").is_file():
        hint = f"; give its parent and load_step={folder.name}"
    raise OptionError(f"checkpoint_path={path} {what}{hint}")


def _check_mask_source(config: Mapping[str, Any]) -> None:
    block = config.get("mast")
    if not isinstance(block, Mapping):
        return
    source = block.get("mask_from")
    if source is None or has_checkpoint(block.get("resume")):  # which has the masks
        return
    if (user_path(source) / FILE_NAME).is_file():
        return
    if any(user_path(source).glob(SNAPSHOT_FILES)):
        return
    raise OptionError(
        f"mast.mask_from={source} holds neither {FILE_NAME} nor {SNAPSHOT_FILES}: allowed are the "
        "folder of one checkpoint, named by its step number, and a run's Sacred directory"
    )


def save_learner(learner: Any, folder: Path) -> None:
    """Write a learner's host files and ``mast.pt`` into ``folder``, all of them or none.

    Raises:
        OSError: if they cannot be written.
    """
    networks = {f"{name}.th": network.state_dict() for name, network in learner.online().items()}
    state = {
        "format": FORMAT,
        "options": {**learner.options.model_dump(), "resume": None},
        "run": run_record(learner.args, folder),
        "topology": learner.networks.topology.state_dict(),
        "online_buffer_generator": learner.replay.buffer.generator.get_state(),
        "training_steps": learner.training_steps,
        "last_target_update_step": learner.last_target_update_step,
        "auto": learner.auto.state_dict(),
        "noise_generator": learner.noise.get_state(),
        "rew_ms": moments(learner.regression.rew_ms),
        "ret_ms": moments(learner.regression.ret_ms),
    }
    optimiser = learner.trained.state_dict()
    write_together(folder, {**networks, "opt.th": optimiser, FILE_NAME: state})


def run_record(args: Any, folder: Path) -> dict[str, Any]:
    """Which run this is, and what its agents see and can do: what acting without it needs."""
    environment = getattr(args, "env_args", {})
    noted = ("name", "seed", "agent", "action_selector", "n_agents", "n_actions")
    return {
        **{key: getattr(args, key) for key in noted},
        "obs_last_action": bool(args.obs_last_action),
        "obs_agent_id": bool(args.obs_agent_id),
        "learner": getattr(args, "learner", None),
        "mixer": getattr(args, "mixer", None),
        "task": environment.get("map_name") or environment.get("key"),
        "t_env": int(folder.name) if folder.name.isdigit() else None,
    }


def load_learner(learner: Any, folder: Path) -> None:
    """Read what :func:`save_learner` wrote; targets start as copies of the online networks.

    Raises:
        CheckpointError: if the checkpoint does not fit the learner's run, with the first
            difference, or is not whole.
    """
    state = load_state(folder)
    networks = {name: read(folder, f"{name}.th") for name in learner.online()}
    optimiser = read(folder, "opt.th")
    try:
        for name, network in learner.online().items():
            _check_weights(name, networks[name], network.state_dict())
        if (sparsity := learner.auto.load_state_dict(state.get("auto", {}))) is not None:
            learner.networks.set_sparsity(sparsity)
            learner.count_cost()
        learner.networks.topology.check(state["topology"])
        if not getattr(learner.args, "evaluate", False):
            _check_same_training(state, learner)
        for name, network in learner.online().items():
            network.load_state_dict(networks[name])
        learner.trained.load_state_dict(optimiser)
        learner.copy_to_targets()
        learner.networks.load_state_dict(state["topology"])
        learner.follow_masks()
        learner.replay.buffer.generator.set_state(state["online_buffer_generator"])
        if "noise_generator" in state:  # absent in checkpoints from before there was one
            learner.noise.set_state(state["noise_generator"])
        learner.training_steps = int(state["training_steps"])
        learner.last_target_update_step = int(state["last_target_update_step"])
        restore_moments(learner.regression.rew_ms, state["rew_ms"])
        restore_moments(learner.regression.ret_ms, state["ret_ms"])
    except _MALFORMED as error:
        raise CheckpointError(f"{folder} does not fit this run: {_reason(error)}") from error


def adopt_masks(topology: Topology, folder: Path) -> None:
    """Start a topology from the masks of a checkpoint, or from the last that a run recorded.

    Args:
        topology: what is to have them.
        folder: of the checkpoint, or the run's Sacred directory.

    Raises:
        CheckpointError: if they do not fit.
    """
    try:
        topology.adopt(_masks_in(folder))
    except _MALFORMED as error:
        raise CheckpointError(
            f"mast.mask_from={folder} does not fit this run: {_reason(error)}"
        ) from error


def _masks_in(folder: Path) -> dict[str, torch.Tensor]:
    if (folder / FILE_NAME).is_file():
        masks: dict[str, torch.Tensor] = load_state(folder)["topology"]["masks"]
        return masks
    try:
        recorded = MaskHistory.of_run(folder).masks
    except ReportError as error:
        raise CheckpointError(str(error)) from None
    return {name: torch.from_numpy(masks[-1]) for name, masks in recorded.items()}


def load_state(folder: Path) -> dict[str, Any]:
    """Read ``mast.pt`` from a checkpoint folder; no code in it is ever executed.

    Raises:
        CheckpointError: if it is missing, damaged or of another format.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing: this is not a checkpoint of a mast learner, or one whose writing "
            f"was cut off{_whole_one_beside(folder)}"
        )
    state = read(folder, FILE_NAME)
    if not isinstance(state, dict) or not isinstance(state.get("format"), int):
        raise CheckpointError(f"{path} is not of format {FORMAT}, the one this version reads")
    if state["format"] != FORMAT:
        raise CheckpointError(
            f"{path} is of format {str(state['format'])[:20]}, not of format {FORMAT}, the one "
            "this version reads"
        )
    return state


def _whole_one_beside(folder: Path) -> str:
    """A hint at the newest checkpoint of the same run that is complete."""
    steps = [int(p.parent.name) for p in folder.parent.glob(f"[0-9]*/{FILE_NAME}")
             if p.parent.name.isdigit()]  # fmt: skip
    return f"; load_step={max(steps)} is the newest whole one beside it" if steps else ""


def _check_same_training(state: Mapping[str, Any], learner: Any) -> None:
    """Refuse to train on with another algorithm or other options, naming the first difference.

    What an older version did not save yet is not compared.
    """
    saved = {**state["options"], **state.get("run", {})}
    own = learner.options.model_dump()
    for key in ("learner", "mixer"):
        if key in saved and saved[key] != getattr(learner.args, key, None):
            raise ValueError(_said(key, saved[key], getattr(learner.args, key, None)))
    for key, value in own.items():
        if not key.startswith(_FREE) and key in saved and saved[key] != value:
            raise ValueError(_said(f"mast.{key}", saved[key], value))


def _said(key: str, saved: Any, own: Any) -> str:
    return f"it was trained with {key}={str(saved)[:80]}, this run has {key}={own}"


def _check_weights(network: str, saved: Any, own: Mapping[str, Tensor]) -> None:
    """Refuse weights of another network, naming the first difference."""
    if not isinstance(saved, Mapping):
        raise ValueError(f"{network}.th holds no weights")
    for name in [*own, *(name for name in saved if name not in own)]:
        weight = saved.get(name)
        if name not in own or not isinstance(weight, Tensor):
            where = "only in the checkpoint" if name not in own else "not in the checkpoint"
            raise ValueError(f"{network}.{name} is {where}")
        if weight.shape != own[name].shape:
            raise ValueError(
                f"{network}.{name} has shape {tuple(weight.shape)} in the checkpoint, "
                f"{tuple(own[name].shape)} here"
            )
        if not torch.isfinite(weight).all():
            raise ValueError(f"{network}.{name} holds a number that is not finite")


def _reason(error: Exception) -> str:
    """The last line of what an error says; of a KeyError that something is missing."""
    if isinstance(error, KeyError):
        return f"{error} is missing in {FILE_NAME}"
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def moments(running: Any) -> dict[str, Any]:
    """Running statistics of a host, as tensors and a number."""
    return {"mean": running.mean.cpu(), "var": running.var.cpu(), "count": float(running.count)}


def restore_moments(running: Any, saved: dict[str, Any]) -> None:
    """Take over what :func:`moments` gave."""
    running.mean = saved["mean"].to(running.mean.device)
    running.var = saved["var"].to(running.var.device)
    running.count = saved["count"]
