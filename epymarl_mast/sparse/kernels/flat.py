"""A network's kept weights, gathered from the one array its parameters lie in, and gradients back.

Legend: P = numbers of a network's parameters; K = kept weights and O = rows of one layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.patterns import Csr, Floats, Indices, JoinedMatrix
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


class FlatNetwork:
    """The layers of a network whose parameters share one array.

    Args:
        parameters: float32 on the CPU, by name; or the vector that they are views of.
        layers: every parameter is in one of them.

    Attributes:
        leaves: what gradients are for: the vector, or the parameters where none was given, which
            then become views of one with the values that they have.
        matrices: of each layer, as last read.
        transposed: the transpose of each, as of the last :meth:`start_gradients`.
        biases: (O,) of each layer, as last read.
        d_matrices: where the kernels sum the gradients of each layer's weights, by columns.
        d_biases: where they sum those of its biases, each as 16 numbers.
        spread: whether a weight's is 16 numbers too, see products.py; for many kept weights those
            would neither fit the cache nor be worth their memory.

    Raises:
        ValueError: for parameters of another type or on another device.
    """

    def __init__(
        self, parameters: Mapping[str, Tensor] | ParameterVector, layers: Sequence[Layer]
    ) -> None:
        if isinstance(parameters, ParameterVector):
            self._vector = parameters
            self.leaves: list[Tensor] = [parameters.tensor]
        else:
            self._vector = ParameterVector(parameters)
            self.leaves = self._vector.parameters
        self.layers = tuple(layers)
        self._count = self._vector.tensor.numel()  # P; the number beyond is where nothing is
        self._address = 0
        self._find_memory()
        self._find_places()
        self._make_room()

    def _find_memory(self) -> None:
        """Look where the parameters are; those moved elsewhere since are brought back first."""
        moved = self._vector.renew()
        if self._address == self._vector.tensor.data_ptr() and not moved:
            return
        tensor = self._vector.tensor.detach()
        if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
            raise ValueError(f"float32 on the CPU is needed, not {tensor.dtype} on {tensor.device}")
        self._address = tensor.data_ptr()
        self._numbers: Floats = tensor.as_strided((self._count + 1,), (1,)).numpy()

    def _find_places(self) -> None:
        """Where in the array the kept weights and biases lie, layer after layer."""
        starts = self._vector.starts
        places = [_weight_places(layer, starts) for layer in self.layers]
        self._of_layers = _slices([len(place) for place in places])
        self._rows = _slices([layer.matrix.shape[0] for layer in self.layers])
        self._weights = np.concatenate(places)
        self._bias, self._second_bias = self._bias_places(starts)
        self._by_columns = np.concatenate(
            [
                part.start + layer.matrix.by_columns
                for part, layer in zip(self._of_layers, self.layers, strict=True)
            ]
        )
        self._weight_targets = self._weights[self._by_columns]
        bias = np.concatenate([self._bias, self._second_bias])
        there = np.flatnonzero(bias < self._count)
        self._bias_targets, self._bias_sources = bias[there], there % len(self._bias)

    def _bias_places(self, starts: Mapping[str, int]) -> tuple[Indices, Indices]:
        """Where the bias of each row lies, and the second one of rows that have two."""
        first, second = np.full((2, self._rows[-1].stop), self._count)
        for layer, of_layer in zip(self.layers, self._rows, strict=True):
            for name, own in layer.biases:
                at = of_layer.start + own
                free = first[at] == self._count
                numbers = starts[name] + np.arange(len(own))
                first[at[free]], second[at[~free]] = numbers[free], numbers[~free]
        return first, second

    def _make_room(self) -> None:
        matrices = [layer.matrix for layer in self.layers]
        self._kept, self._turned = np.empty((2, len(self._weights)), np.float32)
        self._row_bias = np.empty(len(self._bias), np.float32)
        parts = list(zip(matrices, self._of_layers, strict=True))
        self.matrices: tuple[Csr, ...] = tuple(m.csr(self._kept[part]) for m, part in parts)
        self.transposed = tuple(m.transposed(self._turned[part]) for m, part in parts)
        self.biases: tuple[Floats, ...] = tuple(self._row_bias[rows] for rows in self._rows)
        self.spread = len(self._weights) <= _SPREAD_UP_TO
        self._d_weights = np.empty(len(self._weights) * (_WIDTH if self.spread else 1), np.float32)
        self._d_bias = np.empty(len(self._bias) * _WIDTH, np.float32)
        by_layer = _slices([m.kept * (_WIDTH if self.spread else 1) for m in matrices])
        self.d_matrices = tuple(self._d_weights[part] for part in by_layer)
        rows = _slices([m.shape[0] * _WIDTH for m in matrices])
        self.d_biases = tuple(self._d_bias[part] for part in rows)

    def read(self) -> None:
        """Take the kept weights and biases as they are now; those stay until the next call."""
        self._find_memory()
        call(
            loops().read_network,
            self._numbers, self._weights, self._bias, self._second_bias,
            self._kept, self._row_bias,
        )  # fmt: skip

    def start_gradients(self) -> None:
        """Make ``transposed`` of the weights that were read last, and set all sums to 0."""
        call(
            loops().start_gradients,
            self._kept, self._by_columns, self._turned, self._d_weights, self._d_bias,
        )  # fmt: skip

    def gradients(self) -> list[Tensor]:
        """The gradient of each of the leaves from the sums, 0 where no weight is kept."""
        whole = np.empty(self._count, np.float32)
        call(
            loops().end_gradients,
            self._d_weights, self.spread, self._weight_targets,
            self._d_bias, self._bias_sources, self._bias_targets, whole,
        )  # fmt: skip
        gradient = torch.from_numpy(whole)
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
