"""Sacred's files on a disk that fills up, or goes away, while a run trains.

Sacred itself empties ``metrics.json`` before it writes it anew, which loses all of it on a full
disk; and an observer that failed once is not asked again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from epymarl_mast.errors import warn


@contextmanager
def records_survive_full_disk() -> Iterator[None]:
    """Inside, Sacred's files are replaced whole, and what finds no room is written when there is.

    Metrics wait in memory. An artifact, such as a mask, of the time between is lost.
    """
    from sacred.observers import FileStorageObserver
    from sacred.serializer import flatten

    as_json: Any = flatten
    observer: Any = FileStorageObserver
    log_metrics, heartbeat = observer.log_metrics, observer.heartbeat_event
    artifact, completed = observer.artifact_event, observer.completed_event
    one_at_a_time = threading.Lock()  # Sacred waits 2 s for its heartbeat, and then goes on

    def save_json(self: Any, content: Any, filename: str) -> None:
        path = Path(self.dir) / filename
        temporary = path.with_name(f"{filename}.{threading.get_ident()}.tmp")  # heartbeat's, ours
        text = json.dumps(as_json(content), sort_keys=True, indent=2)
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def logged(self: Any, metrics_by_name: Mapping[str, Any], info: Any) -> None:
        with one_at_a_time:
            waiting = self.__dict__.setdefault("mast_unsaved", {})
            for name, new in metrics_by_name.items():
                into = waiting.setdefault(name, {"values": [], "steps": [], "timestamps": []})
                for key, values in into.items():
                    values += new[key]
            with _watched(self):
                log_metrics(self, waiting, info)
                waiting.clear()

    def beaten(self: Any, *args: Any, **named: Any) -> None:
        with _watched(self):
            heartbeat(self, *args, **named)

    def added(self: Any, *args: Any, **named: Any) -> None:
        with _watched(self):
            artifact(self, *args, **named)

    def ended(self: Any, *args: Any, **named: Any) -> None:
        logged(self, {}, None)
        with _watched(self):
            completed(self, *args, **named)

    with ExitStack() as patches:
        for name, method in (
            ("save_json", save_json), ("log_metrics", logged), ("heartbeat_event", beaten),
            ("artifact_event", added), ("completed_event", ended),
        ):  # fmt: skip
            patches.enter_context(mock.patch.object(observer, name, method))
        yield


@contextmanager
def _watched(observer: Any) -> Iterator[None]:
    """Note when files cannot be written and when they can again; such errors end here."""
    away = observer.__dict__.get("mast_away", False)
    try:
        yield
    except OSError as error:
        if not away:
            warn(f"{observer.dir} cannot be written ({error.strerror}): training goes on; metrics "
                 "are written once there is room")  # fmt: skip
        observer.mast_away = True
    else:
        if away:
            warn(f"{observer.dir} can be written again")
        observer.mast_away = False
