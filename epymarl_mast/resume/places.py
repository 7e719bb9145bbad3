"""Where the checkpoints of a run are, for who only looks whether there are any: without torch."""

from __future__ import annotations

from pathlib import Path

FOLDER = "checkpoints"  # in the run's Sacred directory
PATTERN = "checkpoint_*.json"


def newest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of a run's Sacred directory, whole or not; None if there is none."""
    return max((run / FOLDER).glob(PATTERN), key=lambda path: path.name, default=None)


def has_checkpoint(run: str | None) -> bool:
    """Whether the run of ``mast.resume`` goes on from a checkpoint, and does not begin again."""
    return run is not None and newest_checkpoint(Path(run)) is not None


def step_of(checkpoint: Path) -> int:
    """The environment step in a checkpoint's name; -1 for a file of another name."""
    step = checkpoint.stem.partition("_")[2]
    return int(step) if step.isdecimal() else -1
