"""Target operators and returns. Torch only."""

from epymarl_mast.targets.operators import (
    maximum,
    mellowmax,
    soft_mellowmax,
    softmax_expectation,
    softmax_of,
)
from epymarl_mast.targets.returns import backward_recursion, n_step, one_step, td_lambda

__all__ = [
    "backward_recursion",
    "maximum",
    "mellowmax",
    "n_step",
    "one_step",
    "soft_mellowmax",
    "softmax_expectation",
    "softmax_of",
    "td_lambda",
]
