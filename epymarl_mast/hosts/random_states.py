"""The random generators of an environment, wherever its wrappers and parts keep them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from epymarl_mast.errors import CheckpointError
from epymarl_mast.resume.values import generator_state, set_generator_state

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_MOST_PARTS = 20_000  # an environment with more is searched no further
_LEAVES = (str, bytes, int, float, bool, type(None), np.ndarray, np.generic, type)


def of(environment: Any) -> dict[str, Any]:
    """``{place: state}`` of every generator; empty where an environment has none in Python."""
    return {place: generator_state(found) for place, found in _generators(environment)}


def restore(environment: Any, states: dict[str, Any]) -> None:
    """Bring an environment's generators to what :func:`of` gave.

    Raises:
        CheckpointError: if it has others.
    """
    for place in states.keys() - dict(_generators(environment)).keys():
        _make(environment, place)
    found = dict(_generators(environment))
    if found.keys() != states.keys():
        odd = sorted(found.keys() ^ states.keys())[0]
        where = "here" if odd in found else "in the checkpoint"
        raise CheckpointError(f"the environment's random generator {odd} is only {where}")
    for place, generator in found.items():
        set_generator_state(generator, states[place])


def _generators(environment: Any) -> Iterator[tuple[str, Any]]:
    """``(place, generator)``, each generator once, in an order that its parts give."""
    waiting: list[tuple[str, Any]] = [("env", environment)]
    seen: dict[int, Any] = {}
    while waiting and len(seen) < _MOST_PARTS:
        place, part = waiting.pop(0)
        if isinstance(part, _LEAVES) or (callable(part) and not hasattr(part, "__dict__")):
            continue
        if id(part) in seen:
            continue
        seen[id(part)] = part
        if isinstance(part, _GENERATORS):
            yield place, part
        else:
            waiting += [(f"{place}.{name}", value) for name, value in _parts(part)]


def _make(environment: Any, place: str) -> None:
    """A generator where there is none yet: gymnasium makes them at their first use."""
    part = environment
    *way, last = place.split(".")[1:]
    for name in way:
        part = dict(_parts(part)).get(name)
    if hasattr(part, "__dict__") and vars(part).get(last, 0) is None:
        setattr(part, last, np.random.default_rng())


def _parts(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, dict):
        return [(str(key), value) for key, value in part.items() if isinstance(key, (str, int))]
    if isinstance(part, (list, tuple)):
        return [(str(index), value) for index, value in enumerate(part)]
    if type(part).__module__.partition(".")[0] in ("builtins", "torch", "logging", "threading"):
        return []
    return list(getattr(part, "__dict__", {}).items())
