"""Compilation by numba, and its cache on disk."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import NullCache

_SOURCES = "epymarl_mast.sources"  # beside the cached code: what it was compiled from

_functions: list[Any] = []

logger = logging.getLogger(__name__)


def compiled(function: Callable[..., None]) -> Any:
    """Compile by numba, with a cache on disk where there is a place for one."""
    return _compiled(function)


def inlined(function: Callable[..., None]) -> Any:
    """The same for a part of others: a call would count the references to each of its arrays."""
    return _compiled(function, forceinline=True)


def compiled_sums(function: Callable[..., None]) -> Any:
    """The same for a function whose sums may be taken in any order, so in vectors."""
    return _compiled(function, fastmath={"reassoc", "nsz"})


def _compiled(function: Callable[..., None], **options: Any) -> Any:
    options = {"boundscheck": False, "error_model": "numpy", **options}
    try:
        dispatcher = njit(cache=True, **options)(function)
        _forget_other_sources(dispatcher.stats.cache_path)
    except (RuntimeError, OSError):  # numba: no directory can be written
        return njit(**options)(function)
    _functions.append(dispatcher)
    return dispatcher


@lru_cache
def _forget_other_sources(folder: str) -> None:
    """Remove the code of other sources than these: numba looks at a function's own file alone.

    Raises:
        OSError: if that cannot be done.
    """
    sources = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        sources.update(source.read_bytes())
    noted = Path(folder) / _SOURCES
    if not noted.exists() or noted.read_text() != sources.hexdigest():
        for index in Path(folder).glob("*.nbi"):
            index.unlink(missing_ok=True)
        written = noted.with_name(f"{_SOURCES}.{os.getpid()}.tmp")
        written.write_text(sources.hexdigest())
        written.replace(noted)


def without_cache(folder: str, error: Exception) -> None:
    """Compile all that is not yet compiled anew, and leave the cache, which has failed.

    Args:
        folder: of the cache; its code is removed where it can be.
        error: how it failed.
    """
    logger.warning(
        "The cache of compiled kernels in %s failed (%s: %s): this run compiles them for itself",
        folder, type(error).__name__, error,
    )  # fmt: skip
    for function in _functions:
        function._cache = NullCache()
    for index in Path(folder).glob("*.nbi"):
        try:
            index.unlink(missing_ok=True)
        except OSError:
            continue


def is_cached(function: Any) -> bool:
    """Whether a compiled function has code on disk that this CPU would take.

    Of numba's index, whose keys are (signature, CPU, hash); where that cannot be read, no.
    """
    try:
        index = function._cache._cache_file._load_index()
        machine = function.targetctx.codegen().magic_tuple()
        return any(key[1] == machine for key in index)
    except Exception:  # damaged, or another numba; what is said then is at worst not true
        return False
