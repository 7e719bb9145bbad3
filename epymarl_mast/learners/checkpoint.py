"""``mast.pt``: what a checkpoint holds beside the host's own files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from epymarl_mast.errors import CheckpointError, OptionError
from epymarl_mast.sparse import Topology

FILE_NAME = "mast.pt"
FORMAT = 1


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
    folder = Path(path).expanduser()
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
    source = block.get("mask_from") if isinstance(block, Mapping) else None
    if source is None or (Path(source).expanduser() / FILE_NAME).is_file():
        return
    raise OptionError(
        f"mast.mask_from={source} holds no {FILE_NAME}: the folder of one checkpoint is allowed, "
        "named by its step number"
    )


def save_atomically(value: Any, path: Path) -> None:
    """``torch.save`` to a temporary name in the same folder, then rename."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def save_learner(learner: Any, folder: Path) -> None:
    """Write a learner's host files and ``mast.pt`` into ``folder``."""
    learner.mac.save_models(str(folder))
    for name, network in _beside_the_agents(learner).items():
        save_atomically(network.state_dict(), folder / f"{name}.th")
    save_atomically(learner.trained.state_dict(), folder / "opt.th")
    state = {
        "format": FORMAT,
        "options": learner.options.model_dump(),
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
    save_atomically(state, folder / FILE_NAME)


def run_record(args: Any, folder: Path) -> dict[str, Any]:
    """Which run this is, and what its agents see and can do: what acting without it needs."""
    environment = getattr(args, "env_args", {})
    noted = ("name", "seed", "agent", "action_selector", "n_agents", "n_actions")
    return {
        **{key: getattr(args, key) for key in noted},
        "obs_last_action": bool(args.obs_last_action),
        "obs_agent_id": bool(args.obs_agent_id),
        "task": environment.get("map_name") or environment.get("key"),
        "t_env": int(folder.name) if folder.name.isdigit() else None,
    }


def load_learner(learner: Any, folder: Path) -> None:
    """Read what :func:`save_learner` wrote; targets start as copies of the online networks.

    Raises:
        CheckpointError: if the checkpoint does not fit the learner's run.
    """
    state = load_state(folder)
    try:
        learner.mac.load_models(str(folder))
        for name, network in _beside_the_agents(learner).items():
            network.load_state_dict(_load(folder / f"{name}.th"))
        learner.trained.load_state_dict(_load(folder / "opt.th"))
        learner.copy_to_targets()
        if (sparsity := learner.auto.load_state_dict(state.get("auto", {}))) is not None:
            learner.networks.set_sparsity(sparsity)
            learner.count_cost()
        learner.networks.load_state_dict(state["topology"])
        learner.follow_masks()
    except (RuntimeError, ValueError, KeyError, FileNotFoundError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{folder} does not fit this run: {reason}") from error
    learner.replay.buffer.generator.set_state(state["online_buffer_generator"])
    if "noise_generator" in state:  # absent in checkpoints from before there was one
        learner.noise.set_state(state["noise_generator"])
    learner.training_steps = state["training_steps"]
    learner.last_target_update_step = state["last_target_update_step"]
    restore_moments(learner.regression.rew_ms, state["rew_ms"])
    restore_moments(learner.regression.ret_ms, state["ret_ms"])


def adopt_masks(topology: Topology, folder: Path) -> None:
    """Start a topology from the masks of a checkpoint.

    Raises:
        CheckpointError: if they do not fit.
    """
    try:
        topology.adopt(load_state(folder)["topology"]["masks"])
    except ValueError as error:
        raise CheckpointError(f"mast.mask_from={folder} does not fit this run: {error}") from error


def load_state(folder: Path) -> dict[str, Any]:
    """Read ``mast.pt`` from a checkpoint folder; no code in it is ever executed.

    Raises:
        CheckpointError: if it is missing, unreadable or of another format.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: this is not a checkpoint of a mast learner")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise CheckpointError(f"{path} cannot be read: {type(error).__name__}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of format {FORMAT}, the one this version reads")
    return state


def _beside_the_agents(learner: Any) -> dict[str, Any]:
    """The networks that the host's controller does not save itself."""
    return {name: network for name, network in learner.online().items() if name != "agent"}


def _load(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


def moments(running: Any) -> dict[str, Any]:
    """Running statistics of a host, as tensors and a number."""
    return {"mean": running.mean.cpu(), "var": running.var.cpu(), "count": float(running.count)}


def restore_moments(running: Any, saved: dict[str, Any]) -> None:
    """Take over what :func:`moments` gave."""
    running.mean = saved["mean"].to(running.mean.device)
    running.var = saved["var"].to(running.var.device)
    running.count = saved["count"]
