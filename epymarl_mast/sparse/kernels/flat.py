"""A network's parameters in one piece of memory, so that its kept weights are one gather away.

Legend: P = numbers of a network's parameters; K = kept weights and O = rows of one layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.patterns import Csr, Floats, Indices, JoinedMatrix
from epymarl_mast.sparse.kernels.workspace import Lease
from epymarl_mast.sparse.vector import ParameterVector

_WIDTH = 16  # of a vector
_SPREAD_UP_TO = 20_000  # kept weights: 1.3 MB


class Layer(NamedTuple):
    """One product of a network: Y = W X + b.

    Attributes:
        matrix: W, joined from the weights.
        weights: the name of each part of W.
        biases: names of the biases, with the rows of W that each one's numbers are added to.
    """

    matrix: JoinedMatrix
    weights: tuple[str, ...]
    biases: tuple[tuple[str, Indices], ...]


class Numbers(NamedTuple):
    """What the kernels read of a network at one moment.

    Attributes:
        matrices: of each layer.
        biases: (O,) of each layer.
        kept: the kept weights of all layers, one layer after the other.
    """

    matrices: tuple[Csr, ...]
    biases: tuple[Floats, ...]
    kept: Floats


class FlatNetwork:
    """The layers of a network whose parameters share one array.

    Args:
        parameters: float32 on the CPU, by name; or the vector that they are views of.
        layers: every parameter is in one of them.

    Attributes:
        leaves: what gradients are for: the vector, or the parameters where none was given, which
            then become views of one with the values that they have.

    Raises:
        ValueError: for parameters of another type or on another device.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor] | ParameterVector, layers: Sequence[Layer]
    ) -> None:
        self.layers = tuple(layers)
        if isinstance(parameters, ParameterVector):
            self._vector = parameters
            self.leaves: list[Tensor] = [parameters.tensor]
        else:
            self._vector = ParameterVector(parameters)
            self.leaves = self._vector.parameters
        starts = self._vector.starts
        self._count = self._vector.tensor.numel()  # P; the number beyond is where nothing is
        places = [_weight_places(layer, starts) for layer in self.layers]
        self._weights = np.concatenate(places)
        self._of_layers = _slices([len(place) for place in places])
        self._rows = _slices([layer.matrix.shape[0] for layer in self.layers])
        self._biases = self._bias_places(starts)
        self._by_columns = np.concatenate(
            [
                part.start + layer.matrix.by_columns
                for part, layer in zip(self._of_layers, self.layers, strict=True)
            ]
        )
        self._numbers = self._memory()

    def _bias_places(self, starts: Mapping[str, int]) -> list[Indices]:
        """Where the bias of each row lies; an array more where rows have two."""
        rows = self._rows[-1].stop
        arrays: list[Indices] = [np.full(rows, self._count)]
        for layer, of_layer in zip(self.layers, self._rows, strict=True):
            for name, own in layer.biases:
                at = of_layer.start + own
                free = next((a for a in arrays if (a[at] == self._count).all()), None)
                if free is None:
                    free = np.full(rows, self._count)
                    arrays.append(free)
                free[at] = starts[name] + np.arange(len(own))
        return arrays

    def _memory(self) -> Floats:
        tensor = self._vector.tensor.detach()
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"float32 on the CPU is needed, not {tensor.dtype} on {tensor.device}")
        numbers: Floats = tensor.as_strided((self._count + 1,), (1,)).numpy()
        return numbers

    @property
    def kept(self) -> int:
        """Kept weights of all layers."""
        return len(self._weights)

    def read(self) -> Numbers:
        """The kept weights and biases as they are now.

        Parameters that were moved elsewhere since, by ``share_memory`` for instance, are brought
        back first.
        """
        if self._vector.renew() or self._numbers.ctypes.data != self._vector.tensor.data_ptr():
            self._numbers = self._memory()
        kept = self._numbers[self._weights]
        bias = self._numbers[self._biases[0]]
        for places in self._biases[1:]:
            bias += self._numbers[places]
        parts = zip(self.layers, self._of_layers, strict=True)
        matrices = tuple([layer.matrix.csr(kept[part]) for layer, part in parts])
        return Numbers(matrices, tuple([bias[rows] for rows in self._rows]), kept)

    def transposed(self, numbers: Numbers) -> tuple[Csr, ...]:
        """The transpose of each layer's matrix."""
        kept = numbers.kept[self._by_columns]
        parts = zip(self.layers, self._of_layers, strict=True)
        return tuple([layer.matrix.transposed(kept[part]) for layer, part in parts])

    def gradients(self) -> Gradients:
        """Room for the kernels to add gradients to, all 0."""
        return Gradients(self)

    def dense(self, kept: Floats, bias: Floats) -> list[Tensor]:
        """Gradients of the leaves from those of kept weights and of all rows' biases."""
        whole = np.zeros(self._count + 1, np.float32)
        whole[self._weights] = kept
        for places in self._biases:
            whole[places] = bias
        gradient = torch.from_numpy(whole)[:-1]
        whole_is_leaf = self.leaves[0] is self._vector.tensor
        return [gradient] if whole_is_leaf else self._vector.split(gradient)


def _slices(sizes: Sequence[int]) -> list[slice]:
    """Of pieces of these sizes, one after the other."""
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def _weight_places(layer: Layer, starts: Mapping[str, int]) -> Indices:
    parts = zip(layer.weights, layer.matrix.parts, strict=True)
    places = np.concatenate([starts[name] + part.matrix.positions for name, part in parts])
    return places[layer.matrix.by_rows]


class Gradients:
    """Where the kernels sum the gradients of a network's layers.

    Few kept weights are summed as 16 numbers each, see products.py; for many, those numbers would
    neither fit the cache nor be worth their memory.

    Attributes:
        spread: whether they are.
        values, biases: of each layer, for the kernels.
    """

    def __init__(self, network: FlatNetwork) -> None:
        self._network = network
        self.spread = network.kept <= _SPREAD_UP_TO
        width = _WIDTH if self.spread else 1
        matrices = [layer.matrix for layer in network.layers]
        sizes = [matrix.kept for matrix in matrices] + [matrix.shape[0] for matrix in matrices]
        self._lease = Lease(sum(sizes) * width)
        self._all = self._lease.array
        self._all.fill(0.0)
        parts = tuple([self._all[part] for part in _slices([size * width for size in sizes])])
        self.values, self.biases = parts[: len(matrices)], parts[len(matrices) :]

    def tensors(self) -> list[Tensor]:
        """The gradient of each of the network's leaves, 0 where no weight is kept."""
        sums = self._all
        if self.spread:
            sums = sums.reshape(-1, _WIDTH) @ np.ones(_WIDTH, np.float32)
        kept = self._network.kept
        return self._network.dense(sums[:kept], sums[kept:])
