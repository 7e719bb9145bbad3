"""What a sparse network is, how its topology evolves, and what it costs. Torch only.

Even that is imported with the first name that needs it.
"""

from typing import TYPE_CHECKING

from epymarl_mast.sparse.lazy import from_modules

if TYPE_CHECKING:
    from epymarl_mast.sparse.allocation import ALLOCATIONS, erdos_renyi, uniform
    from epymarl_mast.sparse.layers import Layer, sparse_layers
    from epymarl_mast.sparse.masks import drop_and_grow, kept_count, random_mask
    from epymarl_mast.sparse.optimizer_state import (
        OPTIMIZERS,
        per_weight_state,
        reset_optimizer_state,
    )
    from epymarl_mast.sparse.schedules import UpdateSchedule, cosine_drop_fraction
    from epymarl_mast.sparse.topology import SET, TOPOLOGIES, Dense, RigL, Static, Topology
    from epymarl_mast.sparse.vector import ParameterVector

__getattr__ = from_modules(
    __name__,
    allocation=("ALLOCATIONS", "erdos_renyi", "uniform"),
    layers=("Layer", "sparse_layers"),
    masks=("drop_and_grow", "kept_count", "random_mask"),
    optimizer_state=("OPTIMIZERS", "per_weight_state", "reset_optimizer_state"),
    schedules=("UpdateSchedule", "cosine_drop_fraction"),
    topology=("SET", "TOPOLOGIES", "Dense", "RigL", "Static", "Topology"),
    vector=("ParameterVector",),
)

__all__ = [
    "ALLOCATIONS",
    "OPTIMIZERS",
    "SET",
    "TOPOLOGIES",
    "Dense",
    "Layer",
    "ParameterVector",
    "RigL",
    "Static",
    "Topology",
    "UpdateSchedule",
    "cosine_drop_fraction",
    "drop_and_grow",
    "erdos_renyi",
    "kept_count",
    "per_weight_state",
    "random_mask",
    "reset_optimizer_state",
    "sparse_layers",
    "uniform",
]
