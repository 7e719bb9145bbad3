"""Which engine computes a run's networks."""

from __future__ import annotations

from typing import Any

from epymarl_mast.controllers.actor import can_act
from epymarl_mast.errors import OptionError
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.learners.engines import HostEngine, MaskedEngine
from epymarl_mast.learners.sparse_engine import SparseEngine
from epymarl_mast.sparse import kernels


def choose_engine(wanted: str, *, known: bool, dense: bool, device: str) -> tuple[HostEngine, str]:
    """The engine for ``mast.engine``, and why it is that one.

    Args:
        wanted: ``auto``, ``host``, ``masked`` or ``sparse``.
        known: whether the agent network and its controller are ones we know (:func:`knows`).
        dense: whether there are no masks at all; ``auto`` is the host itself then.
        device: where the networks are.

    Raises:
        OptionError: if ``sparse`` or ``masked`` is asked for and cannot be had.
    """
    stranger = "the agent network or its controller is not one of the hosts' own"
    if wanted == "host" or (wanted == "auto" and dense):
        return HostEngine(), "asked for" if wanted == "host" else "dense networks"
    if wanted == "masked" and known:
        return MaskedEngine(), "asked for"
    missing = None
    if not known:
        missing = stranger
    elif device != "cpu":
        missing = f"the networks are on {device}"
    elif not kernels.available():
        missing = "a working numba or an x86-64 CPU with AVX2 is missing"
    if wanted in ("auto", "sparse") and missing is None:
        return SparseEngine(), "asked for" if wanted == "sparse" else "known networks on the CPU"
    if wanted == "sparse" or (wanted == "masked" and not known):
        raise OptionError(f"mast.engine={wanted!r} cannot be had: {missing}; allowed is 'auto'")
    if not known:
        return HostEngine(), stranger
    return MaskedEngine(), f"not sparse: {missing}"


def knows(mac: Any, host: HostModules) -> bool:
    """Whether a controller feeds its agents as the hosts' own do, and has a known agent network.

    Others, a user's own for instance, are computed step by step through their own ``forward``.
    """
    build = getattr(type(mac), "_build_inputs", None)
    own = [host.controllers[name]._build_inputs for name in ("basic_mac", "non_shared_mac")]
    return build in own and can_act(mac.agent)
