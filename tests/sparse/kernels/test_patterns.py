"""Patterns: which weights are kept, and that gradients come back where they belong."""

import pytest
import torch

pytest.importorskip("numpy")

from epymarl_mast.sparse.kernels import workspace
from epymarl_mast.sparse.kernels.patterns import SparseMatrix, gru_cell, stacked
from epymarl_mast.sparse.kernels.workspace import Lease


def to_dense(csr, columns):
    matrix = torch.zeros(len(csr.starts) - 1, columns)
    for row, (start, stop) in enumerate(zip(csr.starts, csr.starts[1:], strict=False)):
        for k in range(start, stop):
            matrix[row, csr.columns[k] // 64] = float(csr.values[k])
    return matrix


def kept_by_rows(joined, weights):
    parts = [w.view(-1)[p.matrix.positions] for w, p in zip(weights, joined.parts, strict=True)]
    return torch.cat(parts).numpy()[joined.by_rows]


def test_stacked_matrices():
    masks = [torch.rand(rows, 9) < 0.4 for rows in (3, 5, 2)]
    weights = [torch.randn(mask.shape) for mask in masks]
    joined = stacked(*map(SparseMatrix.from_mask, masks))
    whole = torch.cat([weight * mask for weight, mask in zip(weights, masks, strict=True)])

    kept = kept_by_rows(joined, weights)

    assert joined.kept == sum(int(mask.sum()) for mask in masks)
    assert torch.equal(to_dense(joined.csr(kept), 9), whole)
    assert torch.equal(to_dense(joined.transposed(kept[joined.by_columns]), 10), whole.T)


def test_gru_cell_keeps_the_two_halves_of_n_apart():
    masks = [torch.rand(12, 4) < 0.6 for _ in range(2)]
    weights = from_input, from_hidden = [torch.randn(12, 4) * mask for mask in masks]
    joined = gru_cell(*map(SparseMatrix.from_mask, masks))

    matrix = to_dense(joined.csr(kept_by_rows(joined, weights)), 8)

    assert torch.equal(matrix[:8], torch.cat([from_input[:8], from_hidden[:8]], dim=1))
    assert torch.equal(matrix[8:12], torch.cat([from_input[8:], torch.zeros(4, 4)], dim=1))
    assert torch.equal(matrix[12:], torch.cat([torch.zeros(4, 4), from_hidden[8:]], dim=1))


def test_joined_matrices_are_remembered():
    a, b = SparseMatrix.dense((4, 3)), SparseMatrix.from_mask(torch.ones(2, 3, dtype=torch.bool))

    assert stacked(b, a) is stacked(b, a)
    assert stacked(b) is not stacked(b, a)


def test_a_lease_is_alone_and_aligned_and_comes_back(monkeypatch):
    monkeypatch.setattr(workspace, "_free", [])  # no others' memory
    first, second = Lease(1000), Lease(1000)
    place = first.array.ctypes.data

    assert place % 64 == second.array.ctypes.data % 64 == 0
    assert abs(place - second.array.ctypes.data) >= 4000
    del first
    assert Lease(1000).array.ctypes.data == place


@pytest.mark.parametrize("order", [1, -1])
def test_leases_of_changing_sizes(order):
    for size in (100_000, 90_000, 120_000)[::order]:
        assert Lease(size).array.size == size
