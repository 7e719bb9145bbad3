"""Sacred's record of a run: cut back to a checkpoint, and continued in the same folder."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from epymarl_mast.errors import CheckpointError
from epymarl_mast.resume.files import is_name, is_number
from epymarl_mast.resume.values import plain, revive
from epymarl_mast.whole_files import read_json, write_json


def file_observer(logger: Any) -> Any:
    """The observer that writes a run's files, or None."""
    run = getattr(logger, "_run_obj", None)
    observers = getattr(run, "observers", None) or []
    return next((o for o in observers if hasattr(o, "basedir") and o.dir), None)


def noted(logger: Any) -> dict[str, Any]:
    """What the record of a run holds at this moment, as plain values."""
    observer = file_observer(logger)
    log = Path(observer.dir) / "cout.txt"
    return {
        "info": plain(dict(logger.sacred_info)),
        "stats": {key: _columns(pairs) for key, pairs in logger.stats.items()},
        "artifacts": list(observer.run_entry["artifacts"]),
        "run_entry": json.dumps(_flat(observer.run_entry)),
        "log": log.stat().st_size if log.exists() else 0,
        "when": _now().isoformat(),
    }


def check(kept: Mapping[str, Any]) -> None:
    """Refuse what :func:`noted` cannot have given, before a record is changed by it.

    Raises:
        CheckpointError: naming the first part that is wrong.
    """
    holds: dict[str, Callable[[Any], Any]] = {
        "info": lambda said: metrics_at(revive(dict(said)), {}, "") is not None,
        "stats": lambda said: isinstance(said, dict),
        "artifacts": lambda said: all(map(is_name, said)),  # files of the run's own folder
        "run_entry": lambda said: isinstance(json.loads(said), dict),
        "log": is_number,
    }
    for key, right in holds.items():
        try:
            fine = right(kept[key])
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
            fine = False
        if not fine:
            raise CheckpointError(f"the checkpoint holds no record of a run: its {key} is none")


def restore(logger: Any, kept: Mapping[str, Any]) -> None:
    """Give a logger and its Sacred run what :func:`noted` gave."""
    info = revive(kept["info"])
    info.pop("metrics", None)  # those of a database are named by who continues its entry
    logger.sacred_info.update(info)
    for key, (steps, values) in revive(kept["stats"]).items():
        logger.stats[key] = list(zip(steps, values, strict=True))


def written_at(kept: Mapping[str, Any] | None, file: Path | None) -> datetime.datetime:
    """Wall time of a checkpoint, in UTC.

    Args:
        kept: what :func:`noted` gave; None, as ``file``, for the start of a run.
        file: the checkpoint's, whose own time is that of a copy where it was copied.
    """
    if kept is None or file is None:
        return _now()
    with suppress(TypeError, ValueError, LookupError):
        return datetime.datetime.fromisoformat(kept["when"]).replace(tzinfo=None)
    written = datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.timezone.utc)
    return written.replace(tzinfo=None)  # from before it was noted


def note_checkpoint(logger: Any, t_env: int) -> None:
    """Have ``run.json`` say of which step the newest checkpoint is, wherever that will be then."""
    observer = file_observer(logger)
    # Another dict: the heartbeat may be writing this one.
    observer.run_entry = {**observer.run_entry, "last_checkpoint": t_env}


def seconds_away(
    kept: Mapping[str, Any] | None, record: Mapping[str, Any], when: datetime.datetime
) -> float:
    """Seconds since a run's start in which it was not trained, if it goes on now.

    Args:
        kept: what :func:`noted` gave; None for a run that begins again.
        record: ``run.json``.
        when: wall time of the checkpoint.
    """
    before = 0.0
    with suppress(TypeError, ValueError, LookupError, AttributeError, RecursionError):
        if kept is None:
            when = datetime.datetime.fromisoformat(record["start_time"]).replace(tzinfo=None)
        else:
            before = float(json.loads(kept["run_entry"]).get("away_seconds", 0.0))
    return max(0.0, before + (_now() - when).total_seconds())


def cut_back(
    folder: Path,
    kept: Mapping[str, Any] | None,
    when: str,
    away: float,
    fresh: Mapping[str, Any],
) -> None:
    """Bring the files of a record to what they were at a checkpoint, or at the start.

    Values have the wall times they were logged at, as far as they had reached the disk; others
    have the one of the checkpoint.

    Args:
        folder: the run's Sacred directory.
        kept: what :func:`noted` gave, None for the start.
        when: wall time of the checkpoint, in ISO format.
        away: :func:`seconds_away`.
        fresh: ``run.json`` of a run that starts, for one whose own was torn before a checkpoint.
    """
    info = revive(kept["info"]) if kept else {}
    record = read_json(folder / "run.json") or (json.loads(kept["run_entry"]) if kept else fresh)
    record = dict(record)
    artifacts = list(kept["artifacts"]) if kept else []
    for file in folder.glob("masks_*.npz"):
        if file.name not in artifacts:
            file.unlink()
    for key in ("stop_time", "fail_trace", "result"):
        record.pop(key, None)
    metrics = metrics_at(info, read_json(folder / "metrics.json"), when)
    resumed = record.get("resumed")
    update = {
        "artifacts": artifacts, "status": "RUNNING", "result": None, "away_seconds": away,
        "resumed": [*(resumed if isinstance(resumed, list) else []), _now().isoformat()],
    }  # fmt: skip
    write_json(folder / "run.json", _flat({**record, **update}))
    write_json(folder / "metrics.json", _flat(metrics))
    write_json(folder / "info.json", _flat(info))
    log = folder / "cout.txt"
    if log.exists():
        with log.open("r+b") as opened:
            opened.truncate(min(kept["log"] if kept else 0, log.stat().st_size))


@contextmanager
def continued(
    folder: Path, kept: Mapping[str, Any] | None, when: str, away: float
) -> Iterator[None]:
    """Inside, the next run that Sacred starts goes on in this record; see :func:`cut_back`."""
    from sacred.observers import FileStorageObserver

    def started(
        self: Any, *, ex_info: Any, command: Any, host_info: Any, start_time: Any, config: Any,
        meta_info: Any, _id: Any,
    ) -> Any:  # fmt: skip
        fresh = {
            "experiment": {**ex_info, "sources": self.save_sources(ex_info)},
            "command": command,
            "host": host_info,
            "meta": meta_info,
            "start_time": start_time.isoformat(),
            "resources": [],
            "heartbeat": None,
        }
        cut_back(folder, kept, when, away, fresh)
        self.dir = str(folder)
        self.run_entry = read_json(folder / "run.json")
        self.config, self.info = config, {}
        self.cout, self.cout_write_cursor = "", 0
        print(f"mast: going on with {folder}", file=sys.stderr, flush=True)
        return folder.name if _id is None else _id

    with mock.patch.object(FileStorageObserver, "started_event", started):
        yield


def metrics_at(
    info: Mapping[str, Any], known: Mapping[str, Any], when: Any
) -> dict[str, dict[str, list[Any]]]:
    """Sacred's metrics of what was logged.

    Args:
        info: the run's ``info`` at that moment.
        known: metrics with ``timestamps``, as far as they are known.
        when: the wall time of values without one.

    Returns:
        ``{name: steps, timestamps and values}``.
    """
    metrics = {}
    for name in info:
        if f"{name}_T" not in info:
            continue
        values = [getattr(value, "item", lambda v=value: v)() for value in info[name]]
        times = known[name].get("timestamps") if isinstance(known.get(name), dict) else None
        times = times[: len(values)] if isinstance(times, list) else []
        metrics[name] = {
            "steps": [int(step) for step in info[f"{name}_T"]],
            "timestamps": [*times, *[when] * (len(values) - len(times))],
            "values": values,
        }
    return metrics


def _columns(pairs: list[tuple[Any, Any]]) -> Any:
    steps, values = zip(*pairs, strict=True) if pairs else ((), ())
    return plain([list(steps), list(values)])


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def _flat(content: Any) -> Any:
    """As Sacred writes it."""
    from sacred.serializer import flatten

    flattened: Any = flatten
    return flattened(content)
