"""Runs in Sacred's directories."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from epymarl_mast.report.record import Record, Series, Unreadable, flat, seconds_trained, time_of


def read_folder(folder: Path, metrics: Collection[str]) -> Iterator[Record | Unreadable]:
    """All runs below a folder, by path: every folder with a ``run.json`` and a ``config.json``.

    Args:
        folder: ``results``, or a folder in it.
        metrics: names to read.
    """
    for run in sorted(folder.rglob("run.json")):
        if not run.with_name("config.json").exists():
            yield Unreadable(str(run.parent), "no config.json")
            continue
        try:
            yield _record(run.parent, metrics)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            yield Unreadable(str(run.parent), f"{type(error).__name__}: {error}")


def _record(folder: Path, metrics: Collection[str]) -> Record:
    run = _read(folder / "run.json")
    recorded = _read(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
    return Record(
        source=str(folder),
        status=str(run.get("status")),
        config=flat(_read(folder / "config.json")),
        series={
            name: Series.of(recorded[name]["steps"], recorded[name]["values"])
            for name in metrics
            if name in recorded
        },
        started=time_of(run.get("start_time")),
        seconds=seconds_trained(run),
        made_with=(run.get("host") or {}).get("epymarl_mast") or {},
    )


def _read(path: Path) -> Mapping[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no record")
    return content
