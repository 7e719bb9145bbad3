"""What a sparse network is, how its topology evolves, and what it costs. Torch only."""

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
