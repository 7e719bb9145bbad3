"""What is known of each run on disk: ``<results>/sweep/<id>/``.

A run's folder holds its log, a lock while it runs, and ``done.json`` once it has finished.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from epymarl_mast.errors import printable
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
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def finished(self) -> bool:
        """Whether it need not run again."""
        return self.seconds is not None

    @property
    def unfinished(self) -> Path | None:
        """Sacred directory of its newest record that can be gone on with; None if there is none."""
        records = [
            config.parent
            for config in Path(self.run.results).glob("sacred/*/*/*/config.json")
            if read_json(config).get("label") == f"sweep-{self.run.id}"
            and read_json(config.with_name("run.json")).get("status") != "COMPLETED"
        ]
        if not records:
            return None
        from epymarl_mast.resume.checkpoint import has_checkpoint  # loads torch: seconds

        whole = filter(has_checkpoint, records)
        return max(whole, key=lambda folder: folder.stat().st_mtime, default=None)

    def finish(self, seconds: float) -> None:
        """Note that it has finished."""
        said = {"seconds": round(seconds, 3), "command": self.run.command}
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


def note_completed(runs: Sequence[Run]) -> None:
    """Note as finished what Sacred recorded as completed, although nobody was left to say so."""
    left = {f"sweep-{run.id}": run for run in runs if not RunState(run).finished}
    for results in {run.results for run in left.values()}:
        for config in Path(results).glob("sacred/*/*/*/config.json"):
            run = left.get(str(read_json(config).get("label")))
            seconds = _seconds(read_json(config.with_name("run.json"))) if run is not None else None
            if run is not None and seconds is not None:
                RunState(run).folder.mkdir(parents=True, exist_ok=True)
                RunState(run).finish(seconds)


def _seconds(record: dict[str, Any]) -> float | None:
    """How long a completed run took; None for another one, or a damaged record."""
    if record.get("status") != "COMPLETED":
        return None
    try:
        begin, end = (datetime.fromisoformat(record[f"{w}_time"]) for w in ("start", "stop"))
        return (end - begin).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
