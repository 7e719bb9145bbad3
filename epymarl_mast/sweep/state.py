"""What is known of each run on disk: ``<results>/sweep/<id>/``.

A run's folder holds its log, a lock while it runs, and ``done.json`` once it has finished.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from epymarl_mast.sweep.plan import Run

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
            return float(json.loads((self.folder / "done.json").read_text())["seconds"])
        except (OSError, ValueError, KeyError):
            return None

    @property
    def finished(self) -> bool:
        """Whether it need not run again."""
        return self.seconds is not None

    def finish(self, seconds: float) -> None:
        """Note that it has finished; to a temporary name first."""
        temporary = self.folder / "done.json.tmp"
        said = {"seconds": round(seconds, 3), "command": self.run.command}
        temporary.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.folder / "done.json")

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
        return [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]

    def _end(self) -> bytes:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _LOOK_AT))
                return file.read()
        except OSError:
            return b""
