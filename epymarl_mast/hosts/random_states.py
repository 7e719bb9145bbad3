"""The random generators and values of an environment, wherever its wrappers and parts keep them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from epymarl_mast.errors import CheckpointError
from epymarl_mast.resume.values import generator_state, plain, revive, set_generator_state

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_MOST_PARTS = 20_000  # an environment with more is searched no further
_LEAVES = (str, bytes, int, float, bool, type(None), np.ndarray, np.generic, type)


def of(environment: Any) -> dict[str, Any]:
    """What an environment goes on from at its next reset; empty where it has no generator.

    An environment that has ``random_state`` and ``set_random_state`` is asked.

    Returns:
        ``own``, what it said; or
        ``generators``, ``{place: state}``; and ``values``, ``{place: {attribute: value}}`` of
        numbers, text and tuples, as some environments place things by where they were before.
    """
    if _speaks_for_itself(environment):
        return {"own": environment.random_state()}
    parts = list(_walk(environment))
    generators = {p: generator_state(found) for p, found in parts if isinstance(found, _GENERATORS)}
    if not generators:
        return {}
    values = {place: own for place, part in parts if (own := _values(part))}
    return {"generators": generators, "values": plain(values)}


def restore(environment: Any, states: dict[str, Any]) -> None:
    """Bring an environment to what :func:`of` gave.

    Raises:
        CheckpointError: if it has other generators.
    """
    if not states:
        return
    if _speaks_for_itself(environment):
        environment.set_random_state(states["own"])
        return
    wanted = states["generators"]
    for place in wanted.keys() - _generators(environment).keys():
        _make(environment, place)
    found = _generators(environment)
    if found.keys() != wanted.keys():
        odd = sorted(found.keys() ^ wanted.keys())[0]
        where = "here" if odd in found else "in the checkpoint"
        raise CheckpointError(f"the environment's random generator {odd} is only {where}")
    for place, generator in found.items():
        set_generator_state(generator, wanted[place])
    values = revive(states["values"])
    for place, part in list(_walk(environment)):
        for name, value in values.get(place, {}).items():
            if _is_value(vars(part).get(name)):
                vars(part)[name] = value


def _speaks_for_itself(environment: Any) -> bool:
    names = ("random_state", "set_random_state")
    return all(callable(getattr(environment, name, None)) for name in names)


def _generators(environment: Any) -> dict[str, Any]:
    return {p: found for p, found in _walk(environment) if isinstance(found, _GENERATORS)}


def _walk(environment: Any) -> Iterator[tuple[str, Any]]:
    """``(place, part)`` of an environment's parts, each once, in an order that they give."""
    waiting: list[tuple[str, Any]] = [("env", environment)]
    seen: dict[int, Any] = {}
    while waiting and len(seen) < _MOST_PARTS:
        place, part = waiting.pop(0)
        if isinstance(part, _LEAVES) or (callable(part) and not hasattr(part, "__dict__")):
            continue
        if id(part) in seen:
            continue
        seen[id(part)] = part
        yield place, part
        if not isinstance(part, _GENERATORS):
            waiting += [(f"{place}.{name}", value) for name, value in _parts(part)]


def _values(part: Any) -> dict[str, Any]:
    """The attributes of a part that are values."""
    if isinstance(part, (dict, list, tuple, *_GENERATORS)) or not hasattr(part, "__dict__"):
        return {}
    return {name: value for name, value in _parts(part) if _is_value(value)}


def _is_value(value: Any) -> bool:
    """Whether it is one that cannot change in itself, so that nobody shares it."""
    if isinstance(value, tuple):
        return type(value) is tuple and all(_is_value(item) for item in value)
    return isinstance(value, (bool, int, float, str, type(None), np.generic)) and (
        type(value).__module__ in ("builtins", "numpy")
    )


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
