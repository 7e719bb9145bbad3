"""Steps of torch's optimisers on the CPU in one compiled call a tensor; their state stays torch's.

At a few thousand weights torch's own call costs ten times its arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.patterns import Floats

# Variants that no kernel computes: torch does.
_VARIANTS = ("amsgrad", "maximize", "momentum", "nesterov", "centered", "differentiable")


_LARGEST = float(np.finfo(np.float32).max)


def gradient_norm(gradients: Sequence[Tensor]) -> float:
    """Euclidean norm of contiguous float32 tensors on the CPU, all together.

    Infinite where the sum of squares is beyond float32, as torch's is: learning has diverged then.
    """
    squares = np.empty(len(gradients))
    function = loops().square_sum
    for i, gradient in enumerate(gradients):
        call(function, gradient.numpy().reshape(-1), squares[i : i + 1])
    total = sum(squares.tolist())
    return math.inf if total > _LARGEST else math.sqrt(total)


class OptimizerStep:
    """What an optimiser's ``step()`` does, but for rounding.

    By torch itself where there is no kernel (another optimiser, or a variant such as amsgrad), and
    for a tensor's first step, which makes the state.

    Args:
        optimizer: of contiguous float32 tensors on the CPU.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._kernel = _KERNELS.get(type(optimizer))
        self._memory: dict[Tensor, _Memory] = {}

    def __call__(self) -> None:
        """Take one step."""
        kernel, state = self._kernel, self._optimizer.state
        trained = [
            (group, parameter)
            for group in self._optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if kernel is None or not all(
            _is_plain(group) and (parameter in state or not kernel.state)
            for group, parameter in trained
        ):
            self._optimizer.step()
            return
        function = getattr(loops(), kernel.loop)
        for group, parameter in trained:
            memory = self._memory_of(parameter, kernel.state)
            step = 0.0
            if memory.steps is not None:
                memory.steps[0] += 1.0
                step = memory.steps.item()
            gradient = parameter.grad.numpy().reshape(-1)
            call(function, memory.weight, gradient, *memory.state, kernel.factors(group, step))

    def _memory_of(self, parameter: Tensor, keys: tuple[str, ...]) -> _Memory:
        """Arrays of a tensor and its state, looked up anew when either has moved."""
        state, known = self._optimizer.state.get(parameter, {}), self._memory.get(parameter)
        if known is None or known.owner is not state or known.address != parameter.data_ptr():
            known = self._memory[parameter] = _Memory(
                state,
                parameter.data_ptr(),
                _flat(parameter),
                tuple(_flat(state[key]) for key in keys),
                _flat(state["step"]) if keys else None,
            )
        return known


class _Memory(NamedTuple):
    """Where a tensor and its state lie."""

    owner: dict[str, Any]
    address: int
    weight: Floats
    state: tuple[Floats, ...]
    steps: Floats | None  # (1,) that were taken


class _Kernel(NamedTuple):
    """How one kind of optimiser is computed.

    Attributes:
        loop: name of its compiled function.
        state: what it keeps of each weight.
        factors: from the group and the number of the step to what the function reads.
    """

    loop: str
    state: tuple[str, ...]
    factors: Callable[[dict[str, Any], float], tuple[float, ...]]


def _adam(group: dict[str, Any], step: float) -> tuple[float, ...]:
    lr, (beta1, beta2), decay = group["lr"], group["betas"], float(group["weight_decay"])
    decoupled = group.get("decoupled_weight_decay", False)
    return (
        1.0 - beta1, 1.0 - beta2, float(beta2), lr / (1.0 - beta1**step),
        1.0 / math.sqrt(1.0 - beta2**step), float(group["eps"]),
        0.0 if decoupled else decay, 1.0 - lr * decay if decoupled else 1.0,
    )  # fmt: skip


def _rmsprop(group: dict[str, Any], _: float) -> tuple[float, ...]:
    keep, decay = group["alpha"], float(group["weight_decay"])
    return float(keep), 1.0 - keep, float(group["lr"]), float(group["eps"]), decay


def _sgd(group: dict[str, Any], _: float) -> tuple[float, ...]:
    return float(group["lr"]), float(group["weight_decay"])


_KERNELS: dict[type[Optimizer], _Kernel] = {
    Adam: _Kernel("adam_step", ("exp_avg", "exp_avg_sq"), _adam),
    AdamW: _Kernel("adam_step", ("exp_avg", "exp_avg_sq"), _adam),
    RMSprop: _Kernel("rmsprop_step", ("square_avg",), _rmsprop),
    SGD: _Kernel("sgd_step", (), _sgd),
}


def _is_plain(group: dict[str, Any]) -> bool:
    return not any(map(group.get, _VARIANTS))


def _flat(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().numpy().reshape(-1)
    return array
