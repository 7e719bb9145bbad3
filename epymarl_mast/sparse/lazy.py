"""Names of a package whose modules are imported when a name is first asked for.

:mod:`epymarl_mast.sparse.kernels.decision` decides for exported agents too, which do without torch,
and importing a module imports the packages above it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def from_modules(package: str, **names: tuple[str, ...]) -> Callable[[str], Any]:
    """A package's ``__getattr__``.

    Args:
        package: its ``__name__``.
        names: ``{module of the package: names that it gives to the package}``.
    """
    homes = {name: module for module, given in names.items() for name in given}

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)  # found there from now on
        return value

    return attribute
