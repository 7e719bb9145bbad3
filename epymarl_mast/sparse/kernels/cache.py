"""Compilation by numba, and its cache on disk."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numba import njit


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
    except RuntimeError:  # numba: no directory can be written
        return njit(**options)(function)
    _drop_stale(dispatcher)
    return dispatcher


def _drop_stale(function: Any) -> None:
    """Remove cached code older than any source here: numba looks at the function's own file."""
    newest = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    for index in _indices(function):
        try:
            if index.stat().st_mtime < newest:
                index.unlink()
        except OSError:
            continue


def is_cached(function: Any) -> bool:
    """Whether a compiled function has code on disk."""
    return any(_indices(function))


def _indices(function: Any) -> Iterator[Path]:
    """Numba's index files of a function, one for each kind of CPU that compiled it."""
    folder: str | None = function.stats.cache_path
    stem = Path(function.py_func.__code__.co_filename).stem
    return Path(folder).glob(f"{stem}.{function.__name__}-*.nbi") if folder else iter(())
