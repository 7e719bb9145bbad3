"""What this machine can run, and the compiled functions, once they are asked for."""

from __future__ import annotations

import importlib.util
import logging
import platform
from functools import lru_cache
from types import ModuleType
from typing import Any

_X86 = ("x86_64", "AMD64")

_entries: dict[Any, Any] = {}

logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba is installed and the CPU is an x86-64 one with AVX2 and FMA."""
    if importlib.util.find_spec("numba") is None or platform.machine() not in _X86:
        return False
    try:
        from llvmlite import binding  # type: ignore[import-untyped]

        features = binding.get_host_cpu_features()
    except (ImportError, RuntimeError):  # RuntimeError: LLVM does not know the host
        return False
    return bool(features.get("avx2") and features.get("fma"))


@lru_cache(maxsize=1)
def kernels() -> ModuleType:
    """The compiled functions; says so once where their first call will compile them."""
    from epymarl_mast.sparse.kernels import compiled

    agent = (compiled.agent_forward, compiled.agent_backward)
    mixer = (compiled.mixer_forward, compiled.mixer_backward)
    entries = (*agent, *mixer, compiled.greedy_values, compiled.soft_mellowmax_parts)
    missing = [entry.__name__ for entry in entries if not compiled.is_cached(entry)]
    if missing:
        logger.info("Compiling sparse kernels at their first use: %s", ", ".join(missing))
    return compiled


def call(function: Any, *arguments: Any) -> None:
    """Call a compiled function, past numba's look-up of its signature once there is one.

    The look-up takes some 20 µs for every tuple, and types never differ between calls here; an
    array of a wrong type is still a TypeError.
    """
    entry = _entries.get(function)
    if entry is None:
        function(*arguments)
        (_entries[function],) = (code.entry_point for code in function.overloads.values())
    else:
        entry(*arguments)
