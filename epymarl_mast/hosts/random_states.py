"""What an environment goes on from at its next reset: its random generators, and its values.

Environments have no interface for it, so their parts are searched (``environment_parts``). What
cannot be read is said: then nobody can tell whether a resumed run is bit-identical.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from epymarl_mast.errors import CheckpointError
from epymarl_mast.hosts.environment_parts import (
    GENERATORS,
    MOST_BYTES,
    MOST_PARTS,
    SearchEnded,
    give,
    held,
    hides_its_content,
    is_value,
    parts,
    size_of,
    walk,
)
from epymarl_mast.resume.values import generator_state, plain, revive, set_generator_state

NO_GENERATOR = "keeps no random state that can be read"


def of(environment: Any) -> dict[str, Any]:
    """What an environment goes on from at its next reset.

    An environment that has ``random_state`` and ``set_random_state`` is asked.

    Returns:
        ``own``, what it said; or
        ``generators``, ``{place: state}``; ``values``, ``{place: {name: value}}`` of numbers,
        text, arrays and their containers, as some environments place things by where they were
        before; and ``doubt``, why they may not be all, as the end of a sentence that begins with
        "the environment". Without a generator there is a doubt alone.
    """
    if _speaks_for_itself(environment):
        return {"own": environment.random_state()}
    generators: dict[str, Any] = {}
    values: dict[str, Any] = {}
    doubt, room = "", MOST_BYTES
    try:
        for place, part in walk(environment):
            if isinstance(part, GENERATORS):
                generators[place] = generator_state(part)
            elif not doubt and hides_its_content(part):
                doubt = f"keeps a {type(part).__module__}.{type(part).__qualname__} in {place}"
            own = {name: value for name, value in held(part).items() if is_value(value)}
            room -= sum(map(size_of, own.values()))
            if own and room >= 0:
                values[place] = plain(own)
    except SearchEnded:
        doubt = f"has more than {MOST_PARTS} parts"
    except Exception as error:  # an environment's own code may raise anything when it is looked at
        doubt = f"cannot be searched ({type(error).__name__})"
    if not generators:
        return {"doubt": NO_GENERATOR}
    if room < 0:
        doubt = f"keeps more than {MOST_BYTES >> 20} MiB"
    return {"generators": generators, "values": values, "doubt": doubt}


def restore(environment: Any, states: Mapping[str, Any]) -> str:
    """Bring an environment to what :func:`of` gave.

    Returns:
        Why it may not be what it was, as ``doubt`` of :func:`of`; empty where it is.

    Raises:
        CheckpointError: if it has other generators.
    """
    if _speaks_for_itself(environment) and "own" in states:
        environment.set_random_state(states["own"])
        return ""
    if "generators" not in states:
        return ""
    wanted, values = states["generators"], revive(states["values"])
    here, before = _found(environment), {}
    if not here.keys() >= values.keys():
        for _ in range(2):  # some make their parts there, the first time or always
            environment.reset()
            here, before = _found(environment), here
    for place in wanted.keys() - here.keys():
        _make_generator(environment, place)
    here = _found(environment)
    odd = sorted(wanted.keys() ^ {p for p, part in here.items() if isinstance(part, GENERATORS)})
    if odd:
        where = "here" if odd[0] in here else "in the checkpoint"
        raise CheckpointError(f"the environment's random generator {odd[0]} is only {where}")
    for place, state in wanted.items():
        set_generator_state(here[place], state)
    for place, own in values.items():
        if place in here:
            now = held(here[place])
            for name, value in own.items():
                if name in now and is_value(now[name]):
                    _put(here[place], name, now[name], value)
    missing = sorted(
        place for place in values.keys() - here.keys() if not _is_made_anew(place, before, here)
    )
    return f"had a part {missing[0]} that a new one lacks" if missing else ""


def _speaks_for_itself(environment: Any) -> bool:
    names = ("random_state", "set_random_state")
    return all(callable(getattr(environment, name, None)) for name in names)


def _found(environment: Any) -> dict[str, Any]:
    here = {}
    with suppress(SearchEnded):
        for place, part in walk(environment):
            here[place] = part
    return here


def _is_made_anew(place: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a reset replaces what holds a part: then the next one does too, and it is no loss."""
    above = place.rpartition(".")[0]
    while above:
        if above in before and above in after and before[above] is not after[above]:
            return True
        above = above.rpartition(".")[0]
    return False


def _put(part: Any, name: str, old: Any, new: Any) -> None:
    """Give an attribute its value; what others may hold too is changed in its place."""
    if _filled(old, new):
        return
    with suppress(AttributeError, TypeError):  # read-only: a constant
        give(part, name, new)


def _filled(old: Any, new: Any) -> bool:
    """Whether an array or a container could take the content of another in its own place."""
    if type(old) is not type(new) and not isinstance(old, dict):
        return False
    if isinstance(old, np.ndarray):
        if old.shape != new.shape or old.dtype != new.dtype or not old.flags.writeable:
            return False
        old[...] = new
    elif isinstance(old, (list, deque)):
        both = list(zip(old, new, strict=False))
        kept = [o if _filled(o, n) else n for o, n in both]
        kept += list(new)[len(both) :]
        old.clear()
        old.extend(kept)
    elif isinstance(old, dict) and isinstance(new, dict):
        kept_values = {k: old[k] if k in old and _filled(old[k], v) else v for k, v in new.items()}
        old.clear()
        old.update(kept_values)
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    else:
        return False
    return True


def _make_generator(environment: Any, place: str) -> None:
    """A generator where there is none yet: gymnasium makes them at their first use."""
    part = environment
    *way, last = place.split(".")[1:]
    for name in way:
        part = dict(parts(part)).get(name)
    if held(part).get(last, 0) is None:
        give(part, last, np.random.default_rng())
