"""What this machine can run, and the compiled functions, once they are asked for."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from filelock import FileLock

_X86 = ("x86_64", "AMD64")
_LOCK_TIMEOUT = 300.0  # seconds; several times what compilation takes

_entries: dict[Any, Any] = {}

logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether numba works and compiles, and the CPU is an x86-64 one with AVX2 and FMA."""
    if platform.machine() not in _X86:
        return False
    try:
        import numba
        from llvmlite import binding  # type: ignore[import-untyped]

        features = binding.get_host_cpu_features()
        compiles = not getattr(numba.config, "DISABLE_JIT", False)
    except (ImportError, RuntimeError, SystemError, AttributeError):
        # numba refuses a NumPy it does not know by an ImportError; LLVM may not know the host
        return False
    return bool(features.get("avx2") and features.get("fma") and compiles)


@lru_cache(maxsize=1)
def loops() -> SimpleNamespace:
    """The compiled functions."""
    from epymarl_mast.sparse.kernels import (
        agent_loops,
        decision_loops,
        episode_loops,
        feed_forward_loops,
        flat_loops,
        mixer_loops,
        operator_loops,
        optimizer_loops,
        regression_loops,
    )

    entries = (
        agent_loops.agent_forward,
        agent_loops.agent_backward,
        mixer_loops.mixer_forward,
        mixer_loops.mixer_backward,
        mixer_loops.mixer_fit,
        feed_forward_loops.feed_forward,
        feed_forward_loops.feed_forward_backward,
        flat_loops.read_network,
        flat_loops.start_gradients,
        flat_loops.end_gradients,
        operator_loops.greedy_values,
        operator_loops.soft_mellowmax,
        regression_loops.real_steps,
        regression_loops.standardise,
        regression_loops.td_lambda,
        regression_loops.deepen,
        regression_loops.masked_error,
        regression_loops.times_mask,
        regression_loops.mean_square,
        regression_loops.scaled,
        regression_loops.values_of_actions,
        regression_loops.spread_to_actions,
        optimizer_loops.square_sum,
        optimizer_loops.adam_step,
        optimizer_loops.rmsprop_step,
        optimizer_loops.sgd_step,
        episode_loops.copy_episodes,
        episode_loops.rows_of_episodes,
        decision_loops.append_network,
        decision_loops.decide,
    )
    return SimpleNamespace(**{entry.__name__: entry for entry in entries})


def call(function: Any, *arguments: Any) -> None:
    """Call a compiled function, past numba's look-up of its signature once there is one.

    The look-up takes some 20 µs for every tuple, and types never differ between calls here: those
    of later calls are not looked at. The first call compiles the function or reads it
    from numba's cache, one process at a time: that cache is not safe against several that write.
    """
    entry = _entries.get(function)
    if entry is not None:
        entry(*arguments)
        return
    from epymarl_mast.sparse.kernels.cache import is_cached, without_cache

    if not is_cached(function):
        _announce()
    folder = function.stats.cache_path
    with _alone(folder):
        try:
            function.compile(tuple(map(function.typeof_pyval, arguments)))
        except Exception as error:  # damaged code can be anything to its reader
            if folder is None:
                raise
            without_cache(folder, error)
    function(*arguments)
    (_entries[function],) = (code.entry_point for code in function.overloads.values())


@lru_cache(maxsize=1)
def _announce() -> None:
    # Not as info: PyMARLzoo+ shows that of its own logger alone.
    logger.warning("Compiling the sparse kernels at their first use, up to half a minute in all")


@contextmanager
def _alone(folder: str | None) -> Iterator[None]:
    """Hold a lock in a folder; go on without one where none can be had."""
    lock = None
    try:
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            lock = FileLock(Path(folder) / "epymarl_mast.lock", timeout=_LOCK_TIMEOUT)
            lock.acquire()
    except (OSError, NotImplementedError):  # read-only, or a file system without locks; a Timeout
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
