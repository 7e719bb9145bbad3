"""A network's parameters in one piece of memory: one tensor for optimiser, clipping and kernels.

Legend: P = numbers of a network's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn


class ParameterVector:
    """Parameters that are views of one vector.

    Args:
        parameters: of one type on one device, by name; each becomes a view with the values it has.

    Attributes:
        starts: where each parameter begins, by name.
        parameters: the same parameters.
        tensor: (P,) all of them, a leaf that an optimiser can train in their place. Its memory has
            a number more, always 0.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = list(parameters.values())
        self._shapes = [parameter.shape for parameter in self.parameters]
        self._sizes = [parameter.numel() for parameter in self.parameters]
        ends = accumulate(self._sizes)
        starts = [end - size for end, size in zip(ends, self._sizes, strict=True)]
        self.starts = dict(zip(parameters, starts, strict=True))
        self.tensor = nn.Parameter(self._in_one_piece())

    def renew(self) -> bool:
        """Bring parameters back that were moved elsewhere since, by ``cuda()`` for instance.

        Returns:
            Whether any was.
        """
        if [parameter.data_ptr() for parameter in self.parameters] == self._addresses:
            return False
        self.tensor.data = self._in_one_piece()
        return True

    def split(self, vector: Tensor) -> list[Tensor]:
        """Views of a (P,) tensor in the parameters' shapes."""
        parts = torch.split(vector, self._sizes)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """(P,) copy of tensors in the parameters' shapes.

        Raises:
            ValueError: if one has another shape.
        """
        for name, part, shape in zip(self.starts, parts, self._shapes, strict=True):
            if part.shape != shape:
                raise ValueError(f"{name} is {tuple(shape)}, not {tuple(part.shape)}")
        return torch.cat([part.reshape(-1) for part in parts])

    def gather_gradient(self) -> None:
        """Give the vector the gradients that torch gave its parameters, beside its own."""
        own = self.tensor.grad
        if own is not None and all(parameter.grad is None for parameter in self.parameters):
            return
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        self.tensor.grad = self.join(parts) if own is None else own + self.join(parts)

    def share_gradient(self) -> None:
        """Give the parameters views of the vector's gradient."""
        assert self.tensor.grad is not None
        for parameter, view in zip(self.parameters, self.split(self.tensor.grad), strict=True):
            parameter.grad = view

    def _in_one_piece(self) -> Tensor:
        first = self.parameters[0]
        whole = torch.zeros(sum(self._sizes) + 1, dtype=first.dtype, device=first.device)
        vector = whole[:-1]
        for parameter, view in zip(self.parameters, self.split(vector), strict=True):
            view.copy_(parameter.detach())
            parameter.data = view
        self._addresses = [parameter.data_ptr() for parameter in self.parameters]
        return vector
