"""Values of a run as what ``torch.load(weights_only=True)`` reads, and back, types and all."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import numpy as np
import torch

_NUMPY = "numpy"  # {_NUMPY: dtype, "scalar": bool, "data": tensor}
_TUPLE = "tuple"
_OTHER = "other"  # {_OTHER: a name in _CONTAINERS, "items": list}
_CONTAINERS: dict[str, Any] = {"set": set, "frozenset": frozenset, "deque": deque, "dict": dict}
_SERIES = "series"  # {_SERIES: type, "data": tensor}: a list of numbers of one type
_IN_SERIES: dict[type, Any] = {
    int: np.int64, float: np.float64,
    np.int64: np.int64, np.float32: np.float32, np.float64: np.float64,
}  # fmt: skip
_NAMES = {kind.__name__: kind for kind in _IN_SERIES}


def plain(value: Any) -> Any:
    """The same as tensors, text, numbers, lists and dicts.

    Raises:
        TypeError: naming the type of what cannot be kept.
    """
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        if isinstance(value, np.generic):  # numpy's float64 is a float
            return _from_numpy(value)
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return _from_numpy(value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        if _is_common(value):
            return {key: plain(item) for key, item in value.items()}
        pairs = [[plain(key), plain(item)] for key, item in value.items()]
        return {_OTHER: "dict", "items": pairs}
    if isinstance(value, (set, frozenset, deque)):
        name = next(name for name, own in _CONTAINERS.items() if isinstance(value, own))
        return {_OTHER: name, "items": [plain(item) for item in value], "most": _most(value)}
    if isinstance(value, tuple):
        return {_TUPLE: plain(list(value))}
    if isinstance(value, list):
        kinds = set(map(type, value))
        if len(kinds) == 1 and (kind := kinds.pop()) in _IN_SERIES:
            try:
                series = np.array(value, _IN_SERIES[kind])
            except OverflowError:  # whole numbers of any size
                return [plain(item) for item in value]
            return {_SERIES: kind.__name__, "data": torch.from_numpy(series)}
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be kept in a checkpoint")


def revive(kept: Any) -> Any:
    """What :func:`plain` was given."""
    if isinstance(kept, dict):
        if kept.keys() == {_NUMPY, "scalar", "data"}:
            array = kept["data"].numpy().view(kept[_NUMPY])[..., 0]
            return array[()] if kept["scalar"] else array
        if kept.keys() == {_SERIES, "data"}:
            kind = _NAMES[kept[_SERIES]]
            array = kept["data"].numpy()
            return list(array) if issubclass(kind, np.generic) else array.tolist()
        if kept.keys() == {_TUPLE}:
            return tuple(revive(kept[_TUPLE]))
        if kept.keys() == {_OTHER, "items"}:
            return {revive(key): revive(item) for key, item in kept["items"]}
        if kept.keys() == {_OTHER, "items", "most"}:
            items = [revive(item) for item in kept["items"]]
            if kept[_OTHER] == "deque":
                return deque(items, kept["most"])
            return _CONTAINERS[kept[_OTHER]](items)
        return {key: revive(item) for key, item in kept.items()}
    return [revive(item) for item in kept] if isinstance(kept, list) else kept


def _is_common(value: dict[Any, Any]) -> bool:
    """Whether a dict is kept as it is: by keys as torch reads them, and none of ours."""
    ours = value.keys() & {_NUMPY, _TUPLE, _SERIES, _OTHER}
    return not ours and all(type(key) in (str, int) for key in value)


def _most(value: Any) -> int | None:
    return value.maxlen if isinstance(value, deque) else None


def _from_numpy(value: Any) -> dict[str, Any]:
    array = np.array(value, order="C")  # a copy
    if array.dtype.hasobject:
        raise TypeError(f"numpy's {array.dtype} cannot be kept in a checkpoint")
    # As bytes: torch lacks some of numpy's types.
    data = torch.from_numpy(array.reshape(*array.shape, 1).view(np.uint8))
    return {_NUMPY: array.dtype.str, "scalar": array.ndim == 0, "data": data}


def generator_state(generator: Any) -> Any:
    """The state of a random generator of Python, NumPy or torch.

    Raises:
        TypeError: for another object.
    """
    if isinstance(generator, np.random.Generator):
        return plain(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return plain(generator.get_state(legacy=False))
    if isinstance(generator, random.Random):
        return plain(generator.getstate())
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    raise TypeError(f"{type(generator).__name__} is no random generator that is known")


def set_generator_state(generator: Any, state: Any) -> None:
    """Bring a generator to what :func:`generator_state` gave."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = revive(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(revive(state))
    elif isinstance(generator, random.Random):
        generator.setstate(revive(state))
    else:
        generator.set_state(state)


def process_random_state() -> dict[str, Any]:
    """The generators that a process has: Python's, NumPy's, torch's on CPU and GPUs."""
    return {
        "python": plain(random.getstate()),
        "numpy": plain(np.random.get_state(legacy=False)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_process_random_state(state: dict[str, Any]) -> None:
    """Bring a process's generators to what :func:`process_random_state` gave."""
    random.setstate(revive(state["python"]))
    np.random.set_state(revive(state["numpy"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
