"""Runs in Sacred's directories."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from epymarl_mast.errors import printable
from epymarl_mast.report.record import Record, Series, Unreadable, flat, seconds_trained, time_of
from epymarl_mast.whole_files import MOST_BYTES_OF_JSON, read_file

# What reading a record of unlike content can end with.
MALFORMED = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip


def read_folder(folder: Path, metrics: Collection[str]) -> Iterator[Record | Unreadable]:
    """All runs below a folder, by path: every folder with a ``run.json`` and a ``config.json``.

    Args:
        folder: ``results``, or a folder in it.
        metrics: names to read.
    """
    for run in sorted(folder.rglob("run.json")):
        if not run.with_name("config.json").exists():
            yield Unreadable(printable(run.parent), "no config.json")
            continue
        try:
            yield _record(run.parent, metrics)
        except MALFORMED as error:
            yield Unreadable(printable(run.parent), f"{type(error).__name__}: {error}")


def _record(folder: Path, metrics: Collection[str]) -> Record:
    run, config = _read(folder / "run.json"), _read(folder / "config.json")
    # Half characters, which JSON can have and no file of ours.
    json.dumps([str(folder), run, config], ensure_ascii=False).encode()
    recorded = _read(folder / "metrics.json") if (folder / "metrics.json").exists() else {}
    return Record(
        source=str(folder),
        status=str(run.get("status")),
        config=flat(config),
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
    content = json.loads(read_file(path, MOST_BYTES_OF_JSON).decode())
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no record")
    return content
