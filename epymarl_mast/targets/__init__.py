"""Target operators and returns. Torch only."""

from epymarl_mast.targets.cem import best_of, cross_entropy_method
from epymarl_mast.targets.operators import (
    maximum,
    mellowmax,
    soft_mellowmax,
    softmax_expectation,
    softmax_of,
)
from epymarl_mast.targets.returns import Step, n_step, one_step, td_lambda

__all__ = [
    "Step",
    "best_of",
    "cross_entropy_method",
    "maximum",
    "mellowmax",
    "n_step",
    "one_step",
    "soft_mellowmax",
    "softmax_expectation",
    "softmax_of",
    "td_lambda",
]
