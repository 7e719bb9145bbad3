"""What an exact resume has to reach inside a host, and no extension point gives.

One function each, with its reason. They watch; no result of a host is another for it.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from epymarl_mast.errors import CheckpointError

_SECONDS_TO_LOOK_FOR_THE_PARENT = 2.0
RANDOM_STATE = "mast_random_state"  # a request to a worker, with None to ask or a state to set
_host_workers: dict[str, Callable[..., None]] = {}


def note_newest(buffers: type[Any]) -> Callable[[], Any]:
    """The replay buffer is a local variable of the hosts' loop: note each one that is made.

    Args:
        buffers: the host's ``ReplayBuffer``.

    Returns:
        A function that gives the newest buffer, or None.
    """
    known: Callable[[], Any] | None = getattr(buffers, "mast_newest", None)
    if known is not None:
        return known
    made: list[weakref.ref[Any]] = []
    initialize = buffers.__init__

    @functools.wraps(initialize)
    def noted(self: Any, *args: Any, **named: Any) -> None:
        initialize(self, *args, **named)
        made[:] = [weakref.ref(self)]

    def newest() -> Any:
        return made[0]() if made else None

    buffers.__init__ = noted
    buffers.mast_newest = staticmethod(newest)
    return newest


@contextmanager
def workers_answer(runner: type[Any]) -> Iterator[None]:
    """The parallel runner's environments live in worker processes that know a few requests only.

    Those started inside also give and take their random state, and end with a killed parent, for
    which the hosts' workers wait for ever.

    Args:
        runner: the class of the host's ``ParallelRunner``, or one derived from it.
    """
    module = next(
        kind.__module__
        for kind in runner.__mro__
        if hasattr(sys.modules[kind.__module__], "env_worker")
    )
    # By name: a function that is replaced cannot be sent to a process.
    _host_workers.setdefault(module, sys.modules[module].env_worker)
    worker = functools.partial(_work, module)
    with mock.patch.object(sys.modules[module], "env_worker", worker):
        yield


def end_workers_at_exit(processes: list[Any]) -> None:
    """Workers that ignore signals would keep Python waiting at its end."""

    def end() -> None:
        for process in processes:
            if process.is_alive():
                process.kill()

    atexit.register(end)


def ask_random_states(connections: Any) -> list[dict[str, Any]]:
    """The random states of workers' environments and processes."""
    for connection in connections:
        connection.send((RANDOM_STATE, None))
    return [connection.recv() for connection in connections]


def set_random_states(connections: Any, states: list[dict[str, Any]]) -> list[str]:
    """Give workers what :func:`ask_random_states` got from them.

    Returns:
        Of each, why its environment may not be what it was; empty where it is.

    Raises:
        CheckpointError: if one cannot take it.
    """
    for connection, state in zip(connections, states, strict=True):
        connection.send((RANDOM_STATE, state))
    answers = [connection.recv() for connection in connections]
    for refusal in answers:
        if isinstance(refusal, CheckpointError):
            raise refusal
    return [doubt or "" for doubt in answers]


def _work(module: str, remote: Any, environment: Any, *rest: Any) -> None:
    """A worker's main function: the host's own, with ears for our request."""
    work = _host_workers.get(module) or importlib.import_module(module).env_worker
    noted = _Noted(environment)
    work(_Ears(remote, noted), noted, *rest)


class _Noted:
    """What makes the environment, which remembers it."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self.made: Any = None

    def x(self) -> Any:
        self.made = self._wrapper.x()
        return self.made


class _Ears:
    """A worker's end of the connection, which answers our requests itself."""

    def __init__(self, remote: Any, environment: _Noted) -> None:
        self._remote = remote
        self._environment = environment
        self._parent = os.getppid()  # of a fork server where there is one, which ends with us

    def recv(self) -> Any:
        while True:
            while not self._remote.poll(_SECONDS_TO_LOOK_FOR_THE_PARENT):
                if os.getppid() != self._parent:
                    raise SystemExit(0)
            request, state = self._remote.recv()
            if request != RANDOM_STATE:
                return request, state
            self._remote.send(self._answer(state))

    def _answer(self, state: dict[str, Any] | None) -> dict[str, Any] | str | CheckpointError:
        # Only here: the command line starts without torch.
        from epymarl_mast.hosts import random_states
        from epymarl_mast.resume.values import process_random_state, set_process_random_state

        environment = self._environment.made
        if state is None:
            return {
                "environment": random_states.of(environment),
                "process": process_random_state(),
            }
        try:
            doubt = random_states.restore(environment, state["environment"])
            set_process_random_state(state["process"])
        except CheckpointError as error:
            return error  # for the run to tell: a worker's end says nothing
        except Exception as error:
            return CheckpointError(f"{type(error).__name__}: {error}")
        return doubt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._remote, name)
