"""Compute on kept weights only, on the CPU: an agent's unroll, and two mixing networks.

Networks whose forward and backward touch no absent weight, what lies between them in an
update, the optimiser's step, and the decisions of agents that act. They need numba and an x86-64
CPU with AVX2: ask :func:`available` first. Nothing here imports numba before, and decisions do
without torch.
"""

from typing import TYPE_CHECKING

from epymarl_mast.sparse.lazy import from_modules

if TYPE_CHECKING:
    from epymarl_mast.sparse.kernels.agent import SparseAgent, backward
    from epymarl_mast.sparse.kernels.decision import SparseDecision
    from epymarl_mast.sparse.kernels.episodes import copy_episodes
    from epymarl_mast.sparse.kernels.feed_forward import SparseFeedForward
    from epymarl_mast.sparse.kernels.host import available
    from epymarl_mast.sparse.kernels.inputs import AgentInputs, Scattered
    from epymarl_mast.sparse.kernels.mixer import SparseMixer
    from epymarl_mast.sparse.kernels.operators import greedy_values, soft_mellowmax
    from epymarl_mast.sparse.kernels.optimizer import OptimizerStep, gradient_norm
    from epymarl_mast.sparse.kernels.patterns import SparseMatrix
    from epymarl_mast.sparse.kernels.regression import (
        masked_error,
        mean_square,
        real_steps,
        returns,
        standardise,
    )
    from epymarl_mast.sparse.kernels.taken import values_of_actions
    from epymarl_mast.sparse.kernels.td_fit import Fit, fit

__getattr__ = from_modules(
    __name__,
    agent=("SparseAgent", "backward"),
    decision=("SparseDecision",),
    episodes=("copy_episodes",),
    feed_forward=("SparseFeedForward",),
    host=("available",),
    inputs=("AgentInputs", "Scattered"),
    mixer=("SparseMixer",),
    operators=("greedy_values", "soft_mellowmax"),
    optimizer=("OptimizerStep", "gradient_norm"),
    patterns=("SparseMatrix",),
    regression=(
        "masked_error",
        "mean_square",
        "real_steps",
        "returns",
        "standardise",
    ),
    taken=("values_of_actions",),
    td_fit=("Fit", "fit"),
)

__all__ = [
    "AgentInputs",
    "Fit",
    "OptimizerStep",
    "Scattered",
    "SparseAgent",
    "SparseDecision",
    "SparseFeedForward",
    "SparseMatrix",
    "SparseMixer",
    "available",
    "backward",
    "copy_episodes",
    "fit",
    "gradient_norm",
    "greedy_values",
    "masked_error",
    "mean_square",
    "real_steps",
    "returns",
    "soft_mellowmax",
    "standardise",
    "values_of_actions",
]
