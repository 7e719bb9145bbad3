"""``mast.pt``: what a checkpoint holds beside the host's own files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from epymarl_mast.errors import CheckpointError, OptionError

FILE_NAME = "mast.pt"
FORMAT = 1


def check_checkpoint(config: Mapping[str, Any]) -> None:
    """Refuse a ``checkpoint_path`` that holds nothing to load, before anything starts.

    The hosts end such a run as if it had been done, or with a stack trace.

    Raises:
        OptionError: saying what ``checkpoint_path`` must be.
    """
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


def save_atomically(value: Any, path: Path) -> None:
    """``torch.save`` to a temporary name in the same folder, then rename."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write ``mast.pt`` into a checkpoint folder."""
    save_atomically({"format": FORMAT, **state}, folder / FILE_NAME)


def load_state(folder: Path) -> dict[str, Any]:
    """Read ``mast.pt`` from a checkpoint folder; no code in it is ever executed.

    Raises:
        CheckpointError: if it is missing, unreadable or of another format.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: this is not a checkpoint of mast_q_learner")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise CheckpointError(f"{path} cannot be read: {type(error).__name__}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not of format {FORMAT}, the one this version reads")
    return state
