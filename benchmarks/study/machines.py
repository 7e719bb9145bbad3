"""What ran a run, and how many others ran beside it: wall times depend on both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

Span = tuple[datetime, datetime]


def spans(results: Path) -> list[Span]:
    """From when to when each run of a folder of results ran, the unfinished ones too.

    Args:
        results: folder of Sacred's records, at any depth.
    """
    records = (_read(file.parent) for file in sorted(results.rglob("run.json")))
    return [span for record in records if (span := _span(record)) is not None]


def machine_of(source: str, others: Sequence[Span]) -> dict[str, Any]:
    """``cpu``, ``cores`` (None in old records), and ``at_once``: how many ran, itself included.

    Args:
        source: the run's folder.
        others: all runs of the machine, this one among them.
    """
    record = _read(Path(source))
    own = _span(record)
    at_once = None if own is None else round(_at_once(own, others), 1)
    host = record["host"]
    return {
        "cpu": str(host.get("cpu", "unknown")),
        "cores": host.get("epymarl_mast", {}).get("cores"),
        "at_once": at_once,
    }


def _at_once(own: Span, others: Sequence[Span]) -> float:
    start, stop = own
    shared = (
        (min(stop, other_stop) - max(start, other_start)).total_seconds()
        for other_start, other_stop in others
    )
    return sum(max(0.0, seconds) for seconds in shared) / (stop - start).total_seconds()


def _span(record: dict[str, Any]) -> Span | None:
    """None for a run that never began, or ended as it did."""
    times = record.get("start_time"), record.get("stop_time") or record.get("heartbeat")
    if None in times:
        return None
    start, stop = map(datetime.fromisoformat, times)
    return (start, stop) if start < stop else None


def _read(folder: Path) -> dict[str, Any]:
    """Nothing of a record that a kill left half written."""
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return {}
    return record
