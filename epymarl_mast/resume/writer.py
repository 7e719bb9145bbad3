"""Writes checkpoints piece by piece, while the run goes on.

A checkpoint is of one moment. The small state is written at that moment; the episodes stand still
in their buffers until they are overwritten, oldest first, so they are written oldest first and
always ahead of that: no copy of a buffer is needed. What an earlier checkpoint has in a segment is
not written again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from epymarl_mast.resume.checkpoint import Checkpoint, prune
from epymarl_mast.resume.files import StoredFile, store
from epymarl_mast.resume.places import PATTERN
from epymarl_mast.resume.segments import Ring, Segment, SegmentBuilder

# A piece ends in a file that is brought to the disk, which waits as long again on many.
SECONDS_AT_ONCE = 0.1
_BYTES_IN_A_SEGMENT = 2**26  # before compression: what is held in memory beside the buffers


@dataclass
class _Open:
    """A checkpoint that is not complete: ``[first, end)`` of each ring belong to it."""

    t_env: int
    state: StoredFile
    spans: dict[str, tuple[int, int]]


class CheckpointWriter:
    """The checkpoints of a run.

    Args:
        folder: where they go.
        rings: the buffers to keep.
        keep: number of checkpoints to keep.
        warn: told in one line when one cannot be written.

    Attributes:
        seconds, longest: time spent in here in all, and the longest at once.
    """

    def __init__(
        self, folder: Path, rings: Sequence[Ring], keep: int, warn: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._rings = rings
        self._keep = keep
        self._warn = warn
        self._written: dict[str, list[Segment]] = {ring.name: [] for ring in rings}
        self._done: list[Checkpoint] = []
        self._open: _Open | None = None
        self._failed = False
        self.seconds = 0.0
        self.longest = 0.0

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._open is not None

    @property
    def newest(self) -> int | None:
        """Environment step of the newest whole checkpoint."""
        return self._done[-1].t_env if self._done else None

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Take over the files of the checkpoint a run goes on from; newer ones are deleted."""
        older = []
        for path in sorted(self._folder.glob(PATTERN)):
            if path.name < checkpoint.path.name:
                try:
                    older.append(Checkpoint.read(path))
                except Exception:  # a damaged one is not kept
                    continue
        self._done = [*older, checkpoint][-self._keep :]
        self._written = {ring.name: list(checkpoint.segments[ring.name]) for ring in self._rings}
        self._tidy()

    def begin(self, t_env: int, state: Mapping[str, Any]) -> None:
        """Start a checkpoint of this moment; one that is not complete is completed first.

        Nothing where there is one of this moment: to write over its files could cost it.
        """
        if t_env != self.newest:
            self._timed(lambda: self._begin(t_env, state))

    def advance(self, coming: int) -> None:
        """Write some more.

        Args:
            coming: episodes about to be put into the buffers: what they overwrite is written.
        """
        if self._open is not None:
            self._timed(lambda: self._advance(coming, SECONDS_AT_ONCE))

    def finish(self) -> None:
        """Write all that is left."""
        if self._open is not None:
            self._timed(lambda: self._advance(0, None))

    def _begin(self, t_env: int, state: Mapping[str, Any]) -> None:
        if self._open is not None:
            self._advance(0, None)
        memory = io.BytesIO()
        torch.save(dict(state), memory)
        self._folder.mkdir(parents=True, exist_ok=True)
        stored = store(self._folder / f"state_{t_env:012d}.pt", memory.getvalue(), name_too=False)
        spans = {ring.name: (ring.first, ring.inserted) for ring in self._rings}
        self._open = _Open(t_env, stored, spans)

    def _advance(self, coming: int, seconds: float | None) -> None:
        assert self._open is not None
        deadline = None if seconds is None else time.monotonic() + seconds
        whole = True
        for ring in self._rings:  # each, even when it is late: none must be overtaken
            # Before these many episodes are written, others must not overwrite them.
            safe = ring.inserted + coming - ring.capacity
            whole = self._write_ring(ring, deadline, safe) and whole
        if whole:
            self._complete()

    def _write_ring(self, ring: Ring, deadline: float | None, safe: int) -> bool:
        """Write episodes of one ring until the deadline, but those before ``safe`` in any case.

        Returns:
            Whether all are written.
        """
        assert self._open is not None
        first, end = self._open.spans[ring.name]
        written = self._written[ring.name]
        done = max(first, written[-1].end if written else first)
        while done < end:
            if deadline is not None and time.monotonic() >= deadline and done >= safe:
                return False
            assert done >= ring.inserted - ring.capacity, "overwritten before it was written"
            start, segment = done, SegmentBuilder()
            while done < end and segment.size < _BYTES_IN_A_SEGMENT:
                segment.add(ring.episode(done))
                done += 1
                if deadline is not None and time.monotonic() >= deadline and done >= safe:
                    break
            name = f"{ring.name}_{start:010d}_{done:010d}.episodes"
            stored = store(self._folder / name, segment.content(), name_too=False)
            written.append(Segment(start, done, stored))
        return True

    def _complete(self) -> None:
        assert self._open is not None
        segments = {}
        for name, (first, end) in self._open.spans.items():
            own = self._written[name]
            segments[name] = [s for s in own if s.end > first and s.first < end]
        checkpoint = Checkpoint(self._folder, self._open.t_env, self._open.state, segments)
        checkpoint.write()
        self._open = None
        self._failed = False
        self._done = [*self._done, checkpoint][-self._keep :]
        self._written = {name: list(own) for name, own in segments.items()}
        self._tidy()

    def _tidy(self) -> None:
        try:
            prune(self._folder, self._done)
        except OSError as error:
            self._warn(f"old checkpoints in {self._folder} stay: {error.strerror}")

    def _timed(self, write: Callable[[], None]) -> None:
        """Run ``write``; where the disk does not do it, drop this checkpoint and say so once."""
        started = time.perf_counter()
        try:
            write()
        except OSError as error:
            self._open = None
            if not self._failed:
                self._warn(
                    f"no checkpoint was written ({error.strerror} in {self._folder}): training "
                    "goes on, earlier checkpoints stay"
                )
            self._failed = True
        spent = time.perf_counter() - started
        self.seconds += spent
        self.longest = max(self.longest, spent)
