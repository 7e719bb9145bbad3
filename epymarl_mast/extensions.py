"""Algorithms and topology rules from a user's own package (docs/extending.md)."""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from typing import Any

from epymarl_mast.errors import HostError
from epymarl_mast.learners import LEARNERS, MastQLearner
from epymarl_mast.options import MastOptions
from epymarl_mast.schemas import SCHEMAS
from epymarl_mast.sparse import TOPOLOGIES, Topology

GROUP = "epymarl_mast.extensions"


def register_topology(name: str, rule: type[Topology]) -> None:
    """Make a topology rule known as ``mast.topology=<name>``.

    Args:
        name: not taken yet.
        rule: sets ``evolves`` and fills in ``growth_score``, or overrides more.

    Raises:
        HostError: if the name is taken.
    """
    _add(TOPOLOGIES, name, rule)


def register_learner(
    name: str, learner: type[MastQLearner], options: type[MastOptions] = MastOptions
) -> None:
    """Make an algorithm known to the hosts as ``learner: <name>``.

    Args:
        name: not taken yet.
        learner: overrides hooks of :class:`MastQLearner`.
        options: schema of the ``mast:`` block of its YAML.

    Raises:
        HostError: if the name is taken.
    """
    _add(LEARNERS, name, learner)
    _add(SCHEMAS, name, options)


@functools.cache
def load_extensions() -> None:
    """Import what installed packages name in the entry point group ``epymarl_mast.extensions``.

    Raises:
        HostError: naming an entry point that cannot be imported.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except HostError:
            raise
        except Exception as error:  # another's module may fail in any way
            raise HostError(
                f"extension {entry.name!r} ({entry.value}) cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error


def _add(registry: dict[str, Any], name: str, part: Any) -> None:
    if registry.get(name, part) is not part:
        raise HostError(f"{name!r} is registered already; nothing was overwritten")
    registry[name] = part
