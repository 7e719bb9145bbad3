"""What an environment consists of, found through its wrappers, lists and attributes.

Sorted into random generators, values that a checkpoint can hold, and what neither shows its
content nor is known to keep nothing from one episode to the next.
"""

from __future__ import annotations

import enum
import functools
import pathlib
import random
import re
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
MOST_PARTS = 20_000  # an environment with more is searched no further
MOST_ITEMS = 200_000  # numbers and text among them
MOST_BYTES = 2**24  # of values

_NUMBERS_AND_TEXT = (bool, int, float, str, bytes, type(None), np.generic)
_PLAIN = ("builtins", "numpy")
_KEYS = (bool, int, float, str, type(None))
# They have no content, or none that an episode changes.
_NOTHING_TO_KEEP = (
    *_NUMBERS_AND_TEXT, complex, type, np.dtype, np.ufunc, enum.Enum, pathlib.PurePath, re.Pattern,
    range, slice, property, types.ModuleType, types.BuiltinFunctionType, types.GenericAlias,
    types.MappingProxyType, types.WrapperDescriptorType, types.MethodWrapperType,
    type(Ellipsis), type(NotImplemented),
)  # fmt: skip
# Loggers and pictures. Of mujoco: gymnasium resets all of a simulation before every episode.
_HARMLESS = ("logging", "pygame", "pyglet", "OpenGL", "glfw", "matplotlib", "mujoco")
# Their numbers are handles of this process: nothing to take into another.
_OF_THE_PROCESS = (
    "subprocess", "socket", "multiprocessing", "threading", "asyncio", "ctypes", "_thread", "_io",
    "weakref", "torch", "jax", "jaxlib", "websocket", "s2clientprotocol", "google", "rtree",
)  # fmt: skip
_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
_LIBRARIES = ("builtins", "numpy", "random", "collections", "types", "functools", "gymnasium")


class SearchEnded(Exception):  # noqa: N818 - no error, where most of it was seen
    """The search was ended: the environment has too many parts."""


def walk(environment: Any) -> Iterator[tuple[str, Any]]:
    """``(place, part)`` of an environment's parts, each once, in an order that they give.

    What another part holds as a value is none.

    Raises:
        SearchEnded: after :data:`MOST_PARTS` or :data:`MOST_ITEMS`.
    """
    waiting: deque[tuple[str, Any]] = deque([("env", environment)])
    seen: dict[int, Any] = {}  # which keeps them: no two have one id
    looked = 0
    while waiting:
        place, part = waiting.popleft()
        looked += 1
        if isinstance(part, _NOTHING_TO_KEEP) or _root(part) in _HARMLESS or id(part) in seen:
            continue
        if len(seen) >= MOST_PARTS or looked + len(waiting) + _length(part) > MOST_ITEMS:
            raise SearchEnded
        seen[id(part)] = part
        yield place, part
        own = held(part)
        waiting += (
            (f"{place}.{name}", value)
            for name, value in parts(part)
            if name not in own or not is_value(value)
        )


def parts(part: Any) -> list[tuple[str, Any]]:
    """What a part holds, by name."""
    if isinstance(part, GENERATORS):
        return []
    if isinstance(part, dict):
        own = [(_named(key, i), value) for i, (key, value) in enumerate(part.items())]
        return own + [(f"key {i}", key) for i, key in enumerate(part) if not is_key(key)]
    if isinstance(part, (list, tuple, deque)):
        return [(str(index), value) for index, value in enumerate(part)]
    if isinstance(part, np.ndarray):
        return (
            [(str(i), value) for i, value in enumerate(part.flat)] if part.dtype.hasobject else []
        )
    if isinstance(part, types.MethodType):
        return [("__self__", part.__self__)]
    if isinstance(part, functools.partial):
        return [("func", part.func), ("args", part.args), ("keywords", part.keywords)]
    if isinstance(part, types.FunctionType):
        cells = zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
        return [(name, _content(cell)) for name, cell in cells]
    if _root(part) in ("builtins", *_OF_THE_PROCESS):
        return []
    return [*held(part).items(), *_shared_generators(type(part))]


def held(part: Any) -> dict[str, Any]:
    """What can be given to a part under a name: attributes, slots included, or items."""
    if isinstance(part, dict):
        return {_named(key, i): value for i, (key, value) in enumerate(part.items())}
    if isinstance(part, (list, deque, np.ndarray)):
        return dict(parts(part))
    if isinstance(part, (tuple, *_FUNCTIONS, *GENERATORS)):
        return {}
    if _root(part) in ("builtins", *_OF_THE_PROCESS):
        return {}
    slots = {
        name: getattr(part, name)
        for kind in type(part).__mro__
        for name in _slots(kind)
        if hasattr(part, name)
    }
    return {**slots, **getattr(part, "__dict__", {})}


def give(part: Any, name: str, value: Any) -> None:
    """Replace what a part holds under a name of :func:`held`.

    Raises:
        AttributeError, TypeError: for one that cannot be changed.
    """
    if isinstance(part, dict):
        key = next(key for i, key in enumerate(part) if _named(key, i) == name)
        part[key] = value
    elif isinstance(part, np.ndarray):
        part.flat[int(name)] = value
    elif isinstance(part, (list, deque)):
        part[int(name)] = value
    elif name in getattr(part, "__dict__", {}):
        vars(part)[name] = value  # past what a property or __setattr__ would do
    else:
        setattr(part, name, value)


def is_value(value: Any) -> bool:
    """Whether it is nothing but numbers, text, arrays and their containers."""
    waiting, looked = [value], 0
    while waiting:
        item = waiting.pop()
        kind = type(item)
        looked += 1
        if looked + len(waiting) + _length(item) > MOST_ITEMS:  # or it holds itself
            return False
        if kind in (list, tuple, deque, set, frozenset):
            waiting += item
        elif _is_dict(kind) and all(map(is_key, item)):
            waiting += item.values()
        elif kind is np.ndarray and not item.dtype.hasobject:
            continue
        elif not isinstance(item, _NUMBERS_AND_TEXT) or kind.__module__ not in _PLAIN:
            return False
    return True


def is_key(key: Any) -> bool:
    """Whether a checkpoint can hold it as the key of a dict."""
    if type(key) is tuple:
        return all(is_key(item) for item in key)
    return isinstance(key, _KEYS) and type(key).__module__ == "builtins"


def size_of(value: Any) -> int:
    """Bytes of a value, roughly."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, dict):
        return sum(16 + size_of(item) for item in value.values())
    if isinstance(value, (list, tuple, deque, set, frozenset)):
        return sum(8 + size_of(item) for item in value)
    return len(value) if isinstance(value, (str, bytes)) else 8


def hides_its_content(part: Any) -> bool:
    """Whether a part may keep something that nobody can see, or in no order that is its own."""
    if isinstance(part, (dict, list, tuple, deque, np.ndarray, *_FUNCTIONS, *GENERATORS)):
        return False
    if isinstance(part, (set, frozenset)):  # of objects: in the order of their addresses
        return not is_value(part)
    if _root(part) in _OF_THE_PROCESS:
        return True
    return not hasattr(part, "__dict__") and not any(map(_slots, type(part).__mro__))


def _is_dict(kind: type) -> bool:
    return issubclass(kind, dict) and kind.__module__ in ("builtins", "collections")


def _length(part: Any) -> int:
    """Of a container; 0 of anything else."""
    return len(part) if isinstance(part, (list, tuple, dict, deque, set, frozenset)) else 0


def _named(key: Any, place: int) -> str:
    """Of an item of a dict; by its place where the key is an object."""
    if is_key(key):
        return key if isinstance(key, str) else repr(key)
    return f"item {place}"


def _shared_generators(kind: type) -> list[tuple[str, Any]]:
    """Random generators that a class, or the module it is from, has for all its objects."""
    if kind.__module__.partition(".")[0] in _LIBRARIES:
        return []
    module = sys.modules.get(kind.__module__)
    holders = ((kind.__qualname__, vars(kind)), ("module", getattr(module, "__dict__", {})))
    return [
        (f"{holder}:{name}", value)
        for holder, names in holders
        for name, value in names.items()
        if isinstance(value, GENERATORS)
    ]


def _slots(kind: type) -> tuple[str, ...]:
    named = vars(kind).get("__slots__", ())
    named = (named,) if isinstance(named, str) else tuple(named)
    return tuple(name for name in named if name not in ("__dict__", "__weakref__"))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it has none yet
        return None


def _root(part: Any) -> str:
    return type(part).__module__.partition(".")[0]
