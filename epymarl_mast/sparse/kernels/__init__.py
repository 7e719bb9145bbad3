"""Compute on kept weights only, on the CPU: an agent's unroll and QMIX's mixing network.

Two networks whose forward and backward touch no absent weight, the target operators between them,
and the decisions of agents that act. They need numba and an x86-64 CPU with AVX2: ask
:func:`available` first. Nothing here imports numba before, and decisions do without torch.
"""

from typing import TYPE_CHECKING

from epymarl_mast.sparse.lazy import from_modules

if TYPE_CHECKING:
    from epymarl_mast.sparse.kernels.agent import AgentInputs, SparseAgent
    from epymarl_mast.sparse.kernels.decision import SparseDecision
    from epymarl_mast.sparse.kernels.host import available
    from epymarl_mast.sparse.kernels.mixer import SparseMixer
    from epymarl_mast.sparse.kernels.operators import (
        backward_recursion,
        greedy_values,
        soft_mellowmax,
        values_of_actions,
    )
    from epymarl_mast.sparse.kernels.patterns import SparseMatrix

__getattr__ = from_modules(
    __name__,
    agent=("AgentInputs", "SparseAgent"),
    decision=("SparseDecision",),
    host=("available",),
    mixer=("SparseMixer",),
    operators=("backward_recursion", "greedy_values", "soft_mellowmax", "values_of_actions"),
    patterns=("SparseMatrix",),
)

__all__ = [
    "AgentInputs",
    "SparseAgent",
    "SparseDecision",
    "SparseMatrix",
    "SparseMixer",
    "available",
    "backward_recursion",
    "greedy_values",
    "soft_mellowmax",
    "values_of_actions",
]
