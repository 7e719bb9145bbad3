"""Which weights of a matrix are kept, in the orders that the kernels read them.

Legend: (O, I) = shape of a weight matrix; K = number of its kept weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

LANES = 64  # rows of a batch in one block; emit.py says why

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


class SparseMatrix:
    """The kept positions of one weight matrix.

    Attributes:
        shape: (O, I).
        positions: (K,) int64, flat positions of the kept weights, ascending.
    """

    def __init__(self, shape: tuple[int, int], positions: Indices) -> None:
        self.shape = shape
        self.positions = positions
        # A pattern plays one part in one network, so one slot is enough.
        self._joined: tuple[object, JoinedMatrix] | None = None  # and what it was made by

    @classmethod
    def from_mask(cls, mask: Tensor) -> SparseMatrix:
        """The pattern of a bool mask (O, I)."""
        rows, columns = mask.shape
        kept = np.flatnonzero(mask.detach().cpu().bool().contiguous().numpy())
        return cls((rows, columns), kept)

    @classmethod
    def dense(cls, shape: tuple[int, int]) -> SparseMatrix:
        """The pattern that keeps every weight."""
        return _dense(*shape)


@lru_cache(maxsize=64)
def _dense(rows: int, columns: int) -> SparseMatrix:
    return SparseMatrix((rows, columns), np.arange(rows * columns))


class Csr(NamedTuple):
    """One matrix for the kernels, by rows.

    Attributes:
        starts: (O + 1,) int32, where each row's kept weights begin.
        columns: (K,) int32, input feature of each kept weight times LANES: its place in a block.
        values: (K,) float32.
    """

    starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: Floats


class Part(NamedTuple):
    """A matrix inside a larger one.

    Attributes:
        matrix: its pattern.
        rows: (O,) the row there of each of its rows.
        column: the column there of its column 0.
    """

    matrix: SparseMatrix
    rows: Indices
    column: int


class JoinedMatrix:
    """Several weight matrices as one larger matrix (O, I), by rows and by columns.

    One large product instead of several small ones: longer rows, and each block is read once.

    Attributes:
        shape: (O, I).
        parts: the matrices in it.
        kept: K of all of them.
        by_rows: (K,) the parts' kept weights, one part after the other, in the order of its rows.
        by_columns: (K,) the kept weights by rows, in the order of its columns.
    """

    def __init__(self, parts: Sequence[Part], shape: tuple[int, int]) -> None:
        self.parts = tuple(parts)
        self.shape = shape
        at = [divmod(part.matrix.positions, part.matrix.shape[1]) for part in parts]
        rows = np.concatenate([p.rows[r] for p, (r, _) in zip(parts, at, strict=True)])
        columns = np.concatenate([p.column + c for p, (_, c) in zip(parts, at, strict=True)])
        self.kept = len(rows)
        self.by_rows = np.lexsort((columns, rows))
        rows, columns = rows[self.by_rows], columns[self.by_rows]
        self.by_columns = np.lexsort((rows, columns))
        self._pattern = _compress(rows, columns, shape[0])
        self._transposed = _compress(columns[self.by_columns], rows[self.by_columns], shape[1])

    def csr(self, values: Floats) -> Csr:
        """The matrix (O, I) with these kept weights, by rows."""
        return Csr(*self._pattern, values)

    def transposed(self, values: Floats) -> Csr:
        """Its transpose (I, O) with these kept weights, by columns."""
        return Csr(*self._transposed, values)


def _compress(
    rows: Indices, columns: Indices, count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    starts = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=count), out=starts[1:])
    return starts, (columns * LANES).astype(np.int32)


def matrix_of(
    name: str, weights: Mapping[str, Tensor], patterns: Mapping[str, SparseMatrix]
) -> SparseMatrix:
    """The pattern of a named matrix; one that has none is dense."""
    rows, columns = weights[name].shape
    pattern = patterns.get(name) or SparseMatrix.dense((rows, columns))
    if pattern.shape != (rows, columns):
        raise ValueError(f"{name} is {(rows, columns)}, its pattern {pattern.shape}")
    return pattern


def stacked(*matrices: SparseMatrix) -> JoinedMatrix:
    """Matrices of one input, below each other; a single one is itself.

    Those after the first may read less of that input, from its beginning.
    """
    joined = _known(stacked, matrices)
    if joined is None:
        parts, rows = [], 0
        for matrix in matrices:
            parts.append(Part(matrix, rows + np.arange(matrix.shape[0]), 0))
            rows += matrix.shape[0]
        joined = _remember(stacked, matrices, JoinedMatrix(parts, (rows, matrices[0].shape[1])))
    return joined


def side_by_side(*matrices: SparseMatrix) -> JoinedMatrix:
    """Matrices (O, I_1), (O, I_2), … whose outputs are added: one of their inputs in a row."""
    joined = _known(side_by_side, matrices)
    if joined is None:
        parts, columns = [], 0
        rows = matrices[0].shape[0]
        for matrix in matrices:
            parts.append(Part(matrix, np.arange(rows), columns))
            columns += matrix.shape[1]
        joined = _remember(side_by_side, matrices, JoinedMatrix(parts, (rows, columns)))
    return joined


def gru_cell(from_input: SparseMatrix, from_hidden: SparseMatrix) -> JoinedMatrix:
    """Both matrices of a GRU cell, (3H, H) each, as one (4H, 2H).

    Its input is [z, h], a step's input and the hidden state before it. Its rows are the
    pre-activations of r, of u, of n from z, and of n from h; a GRU multiplies the last by r, so
    these two cannot be one sum.
    """
    matrices = (from_input, from_hidden)
    joined = _known(gru_cell, matrices)
    if joined is None:
        units = from_input.shape[1]
        rows = np.arange(3 * units)
        apart = np.where(rows < 2 * units, rows, rows + units)
        parts = [Part(from_input, rows, 0), Part(from_hidden, apart, units)]
        joined = _remember(gru_cell, matrices, JoinedMatrix(parts, (4 * units, 2 * units)))
    return joined


def _known(join: object, matrices: tuple[SparseMatrix, ...]) -> JoinedMatrix | None:
    slot = matrices[0]._joined
    return slot[1] if slot is not None and slot[0] == (join, *matrices[1:]) else None


def _remember(
    join: object, matrices: tuple[SparseMatrix, ...], joined: JoinedMatrix
) -> JoinedMatrix:
    matrices[0]._joined = ((join, *matrices[1:]), joined)
    return joined
