"""What is known of each run on disk: ``<results>/sweep/<id>/``.

A run's folder holds its log, a lock while it runs, and ``done.json`` once it has finished. What it
can go on from is in Sacred's record, which the run's ``label`` tells from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from epymarl_mast.errors import printable
from epymarl_mast.resume.places import newest_checkpoint, step_of
from epymarl_mast.sweep.plan import Run
from epymarl_mast.whole_files import read_json, write_json

TAIL_LINES = 15
_PROGRESS = re.compile(rb"(\d+)/(\d+) \[|t_env: (\d+) / (\d+)")
_LOOK_AT = 20_000  # bytes of the log's end


@dataclass(frozen=True)
class RunState:
    """Of one run.

    Attributes:
        run: which.
    """

    run: Run

    @property
    def folder(self) -> Path:
        """Where its log is."""
        return Path(self.run.results) / "sweep" / self.run.id

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / "log.txt"

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it has not finished."""
        try:
            return float(read_json(self.folder / "done.json")["seconds"])
        except (ValueError, KeyError, TypeError, OverflowError):
            return None

    @property
    def finished(self) -> bool:
        """Whether it need not run again."""
        return self.seconds is not None

    @property
    def in_one_go(self) -> bool:
        """Whether :attr:`seconds` are those of the whole run, which was never interrupted."""
        return not read_json(self.folder / "done.json").get("went_on", False)

    def finish(self, seconds: float, went_on: bool = False) -> None:
        """Note that it has finished.

        Args:
            seconds: how long it took.
            went_on: whether that is its last part alone.
        """
        said = {"seconds": round(seconds, 3), "went_on": went_on, "command": self.run.command}
        write_json(self.folder / "done.json", said)

    def progress(self) -> float:
        """Share of its environment steps, by the last progress line in its log."""
        matches = list(_PROGRESS.finditer(self._end()))
        if not matches:
            return 0.0
        done, total = (int(number) for number in matches[-1].groups() if number is not None)
        return min(1.0, done / total) if total else 0.0

    def tail(self) -> list[str]:
        """The log's last lines."""
        text = self._end().decode("utf-8", errors="replace").replace("\r", "\n")
        return [printable(line) for line in text.splitlines() if line.strip()][-TAIL_LINES:]

    def _end(self) -> bytes:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _LOOK_AT))
                return file.read()
        except OSError:
            return b""


@dataclass(frozen=True)
class Half:
    """A record of a run that has not completed.

    Attributes:
        folder: its Sacred directory.
        step: of its newest checkpoint; -1 if it has none.
        written: when that, or else the record's beginning, was written, in seconds.
    """

    folder: Path
    step: int
    written: float

    @classmethod
    def of(cls, folder: Path) -> Half:
        """What a Sacred directory holds."""
        newest = newest_checkpoint(folder)
        if newest is None:
            return cls(folder, -1, (folder / "config.json").stat().st_mtime)
        return cls(folder, step_of(newest), newest.stat().st_mtime)


def note_completed(runs: Sequence[Run]) -> None:
    """Note as finished what Sacred recorded as completed, although nobody was left to say so."""
    left = [run for run in runs if not RunState(run).finished]
    for run, folder, _ in _records(left):
        record = read_json(folder / "run.json")
        seconds = _seconds(record)
        if seconds is not None:
            RunState(run).folder.mkdir(parents=True, exist_ok=True)
            RunState(run).finish(seconds, went_on=bool(record.get("resumed")))


def halves(runs: Sequence[Run]) -> dict[Run, list[Half]]:
    """What runs can go on from, in the order to try it: with a checkpoint first, then the newest.

    The hosts' own algorithms have nothing to go on from.
    """
    found: dict[Run, list[Half]] = {run: [] for run in runs}
    for run, folder, config in _records(runs):
        ours = isinstance(config.get("mast"), dict)
        if ours and read_json(folder / "run.json").get("status") != "COMPLETED":
            with suppress(OSError):  # deleted meanwhile
                found[run].append(Half.of(folder))
    for own in found.values():
        own.sort(key=lambda half: (half.step >= 0, half.written), reverse=True)
    return found


def _records(runs: Sequence[Run]) -> Iterator[tuple[Run, Path, dict[str, Any]]]:
    """Each record of one of the runs: run, Sacred directory, configuration."""
    labels = {run.label: run for run in runs}
    for results in sorted({run.results for run in runs}):
        for file in sorted(Path(results).glob("sacred/*/*/*/config.json")):
            config = read_json(file)
            run = labels.get(str(config.get("label")))
            if run is not None:
                yield run, file.parent, config


def _seconds(record: dict[str, Any]) -> float | None:
    """How long a completed run took; None for another one, or a damaged record."""
    if record.get("status") != "COMPLETED":
        return None
    try:
        begin, end = (datetime.fromisoformat(record[f"{w}_time"]) for w in ("start", "stop"))
        return (end - begin).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
