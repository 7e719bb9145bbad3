"""What a checkpoint consists of, and which one of a folder to go on from.

``checkpoint_<step>.json`` names the files that belong to it with their checksums: one of small
state, and segments of episodes, which it may share with other checkpoints.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from epymarl_mast.errors import CheckpointError
from epymarl_mast.resume.files import StoredFile, fetch, is_number, store
from epymarl_mast.resume.places import PATTERN
from epymarl_mast.resume.segments import Segment, unpack
from epymarl_mast.torch_files import load_tensors
from epymarl_mast.whole_files import MOST_BYTES_OF_JSON, read_file

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in a folder.

    Attributes:
        folder: where its files are.
        t_env: environment steps of the run.
        state: the file of everything but episodes.
        segments: ``{ring: files with the episodes it held}``, oldest first.
    """

    folder: Path
    t_env: int
    state: StoredFile
    segments: dict[str, list[Segment]]

    @property
    def path(self) -> Path:
        """Its own file."""
        return self.folder / f"checkpoint_{self.t_env:012d}.json"

    def write(self) -> None:
        """Make it count: all its files must be there.

        Raises:
            OSError: if that cannot be done.
        """
        parts = {name: [asdict(s) for s in own] for name, own in self.segments.items()}
        body = {
            "format": FORMAT, "t_env": self.t_env, "state": asdict(self.state), "segments": parts,
        }  # fmt: skip
        store(self.path, json.dumps({**body, "sha256": _digest(body)}, indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a checkpoint's own file, and see whether all it names is whole.

        Raises:
            CheckpointError: saying what is missing, damaged or of another format.
        """
        try:
            content = json.loads(read_file(path, MOST_BYTES_OF_JSON).decode())
            found = content.pop("sha256")
            if _digest(content) != found:
                raise CheckpointError(f"{path.name} is damaged: its checksum is another")
            if content["format"] != FORMAT:
                raise CheckpointError(
                    f"{path.name} is of format {content['format']}, this version reads {FORMAT}"
                )
            segments = {
                name: [Segment.of(said) for said in own]
                for name, own in content["segments"].items()
            }
            if not is_number(content["t_env"]):
                raise ValueError(f"t_env is {content['t_env']!r}")
            state = StoredFile.of(content["state"])
            checkpoint = cls(path.parent, content["t_env"], state, segments)
            if checkpoint.path != path:
                raise ValueError(f"it is that of step {checkpoint.t_env}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path.name} cannot be read: {error}") from None
        for file in checkpoint.files():
            fetch(path.parent, file)
        return checkpoint

    def files(self) -> Iterator[StoredFile]:
        """All files it needs beside its own."""
        yield self.state
        for segments in self.segments.values():
            yield from (segment.file for segment in segments)

    def load_state(self) -> dict[str, Any]:
        """Everything but episodes; no code in it is ever executed.

        Raises:
            CheckpointError: if it cannot be read.
        """
        content = fetch(self.folder, self.state)
        try:
            state = load_tensors(content)
        except ValueError as error:
            raise CheckpointError(f"{self.state.name} cannot be read: {error}") from None
        kinds = {"config": str, "record": dict}
        if not isinstance(state, dict) or not all(
            isinstance(state.get(key), kind) for key, kind in kinds.items()
        ):
            raise CheckpointError(f"{self.state.name} does not hold the state of a run")
        return state

    def episodes(self, ring: str, first: int) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """``(number, fields)`` of the episodes a ring held, from number ``first`` on.

        Raises:
            CheckpointError: if they are not what was written.
        """
        for segment in self.segments[ring]:
            if segment.end <= first:
                continue
            content = fetch(self.folder, segment.file)
            for number, fields in enumerate(unpack(content), start=segment.first):
                if number >= first:
                    yield number, fields


@functools.lru_cache(maxsize=1)  # asked before a host is loaded and again when it trains
def newest_whole(folder: Path) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The newest checkpoint of a folder with nothing missing or damaged.

    Returns:
        It, or None if there is none; and a line on each newer one that cannot be used.
    """
    problems: list[str] = []
    for path in sorted(folder.glob(PATTERN), reverse=True):
        try:
            return Checkpoint.read(path), tuple(problems)
        except CheckpointError as error:
            problems.append(str(error))
    return None, tuple(problems)


def prune(folder: Path, kept: list[Checkpoint]) -> None:
    """Delete every file of a checkpoint folder that none of ``kept`` needs.

    Raises:
        OSError: if one cannot be deleted.
    """
    needed = {checkpoint.path.name for checkpoint in kept}
    needed |= {file.name for checkpoint in kept for file in checkpoint.files()}
    patterns = (PATTERN, "state_*.pt", "*.episodes", "*.tmp")
    # First those that name other files.
    for path in (path for pattern in patterns for path in folder.glob(pattern)):
        if path.name not in needed:
            path.unlink(missing_ok=True)


def _digest(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
