"""Compute on kept weights only, on the CPU: an agent's unroll and QMIX's mixing network.

Two autograd functions whose forward and backward touch no absent weight. They need numba and an
x86-64 CPU with AVX2: ask :func:`available` first. Nothing here imports numba before.
"""

from epymarl_mast.sparse.kernels.agent import agent_unroll
from epymarl_mast.sparse.kernels.host import available
from epymarl_mast.sparse.kernels.mixer import qmix
from epymarl_mast.sparse.kernels.patterns import SparseMatrix

__all__ = ["SparseMatrix", "agent_unroll", "available", "qmix"]
