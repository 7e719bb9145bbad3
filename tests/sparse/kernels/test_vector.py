"""Vector functions and the two sparse products by themselves."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)

from numba import njit  # noqa: E402

from epymarl_mast.sparse.kernels import activations, emit, loops  # noqa: E402
from epymarl_mast.sparse.kernels.patterns import LANES, SparseMatrix, stacked  # noqa: E402


def over_all(function):
    @emit.operation
    def operation(b, x, y, i):
        places = range(0, LANES, emit.WIDTH)
        results = function(b, *[emit.load(b, emit.address(b, x, i, at)) for at in places])
        for at, result in zip(places, results, strict=True):
            emit.store(b, result, emit.address(b, y, i, at))

    @njit
    def run(x, y):
        for i in range(0, x.size, LANES):
            operation(x, y, i)

    return run


@pytest.fixture(params=[True, False], ids=["avx512", "avx2"])
def instructions(request, monkeypatch):
    if request.param and not activations.has_avx512():
        pytest.skip("no AVX-512 here")
    monkeypatch.setattr(activations, "has_avx512", lambda: request.param)


BOUNDED = pytest.mark.parametrize(
    ("operation", "reference"),
    [
        (activations.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
        (activations.tanh, np.tanh),
    ],
    ids=["sigmoid", "tanh"],
)


@BOUNDED
def test_bounded_functions(instructions, operation, reference):
    x = np.linspace(-100, 100, 1 << 20, dtype=np.float32)
    y = np.empty_like(x)

    over_all(operation)(x, y)

    assert np.abs(y - reference(x.astype(np.float64))).max() <= 1e-6


@BOUNDED
def test_nan_and_infinity(instructions, operation, reference):
    x = np.zeros(LANES, np.float32)
    x[:5] = np.nan, np.inf, -np.inf, 3e38, -3e38
    y = np.empty_like(x)

    over_all(operation)(x, y)

    with np.errstate(over="ignore"):
        np.testing.assert_allclose(y, reference(x.astype(np.float64)), atol=1e-6)


def test_denying_avx512_is_obeyed():
    program = """
from epymarl_mast.sparse.kernels import activations
print(activations.has_avx512())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
    )  # fmt: skip
    assert done.stdout == "False\n"


def test_exp():
    x = np.linspace(-85, 85, 1 << 20, dtype=np.float32)
    y = np.empty_like(x)

    over_all(activations.exp)(x, y)

    exact = np.exp(x.astype(np.float64))
    relative = np.abs(y - exact) / exact
    assert relative[np.abs(x) <= 10].max() <= 1e-6
    assert relative.max() <= 1e-5  # the argument's own rounding, at large arguments


@pytest.mark.parametrize("density", [0.0, 0.05, 0.4, 1.0])
@pytest.mark.parametrize("spread", [True, False])
def test_products(density, spread):
    rows, columns = 137, 45
    mask = torch.rand(rows, columns) < density
    weight = torch.randn(rows, columns) * mask
    matrix = stacked(SparseMatrix.from_mask(mask))
    kept = weight[mask].numpy()  # one matrix' rows are in this order
    turned = matrix.transposed(kept[matrix.by_columns])
    x = np.random.standard_normal((columns, LANES)).astype(np.float32)
    g = np.random.standard_normal((rows, LANES)).astype(np.float32)
    bias = np.random.standard_normal(rows).astype(np.float32)
    y, dx = np.zeros((rows, LANES), np.float32), np.ones((columns, LANES), np.float32)
    dx_relu = np.full_like(dx, np.nan)
    size = 16 if spread else 1
    d_values, d_bias = np.zeros(matrix.kept * size, np.float32), np.zeros(rows * 16, np.float32)
    dense = weight.numpy()
    flat_x, flat_g = x.ravel(), g.ravel()

    loops.multiply(matrix.csr(kept), bias, 0, rows, False, flat_x, 0, y.ravel(), 0)
    loops.back_add(
        turned, 0, columns, spread, flat_g, 0, flat_x, 0, dx.ravel(), 0, d_values
    )  # fmt: skip
    loops.back_relu(
        turned, columns, spread, flat_g, 0, flat_x, 0, dx_relu.ravel(), 0, d_values
    )  # fmt: skip
    loops.back_weights(turned, columns, spread, flat_g, 0, flat_x, 0, d_values)
    loops.back_bias(rows, flat_g, 0, d_bias)

    np.testing.assert_allclose(y, dense @ x + bias[:, None], atol=1e-4)
    np.testing.assert_allclose(dx, 1 + dense.T @ g, atol=1e-4)
    np.testing.assert_allclose(dx_relu, np.where(x > 0, dense.T @ g, 0), atol=1e-4)
    by_columns = 3 * (x @ g.T)[mask.numpy().T]  # each of the three adds it once
    np.testing.assert_allclose(d_values.reshape(-1, size).sum(1), by_columns, atol=1e-3)
    np.testing.assert_allclose(d_bias.reshape(-1, 16).sum(1), g.sum(1), atol=1e-3)


@pytest.mark.parametrize("features", [1, 15, 16, 17, 40])
def test_packing_is_a_transposition(features):
    source = np.random.standard_normal((LANES, features)).astype(np.float32)
    back = np.zeros_like(source)
    rows = np.arange(LANES) * features
    block = np.zeros((-(-features // 16) * 16, LANES), np.float32)

    loops.pack(source.ravel(), rows, 0, 0, features, 0, block.ravel(), 0)
    loops.unpack(block.ravel(), 0, features, back.ravel(), rows, 0, 0)

    np.testing.assert_array_equal(block[:features], source.T)
    np.testing.assert_array_equal(back, source)


def test_log():
    x = np.geomspace(1e-30, 1e30, 1 << 20, dtype=np.float32)
    y = np.empty_like(x)

    over_all(lambda b, *xs: [activations.log(b, x) for x in xs])(x, y)

    exact = np.log(x.astype(np.float64))
    assert (np.abs(y - exact) / np.maximum(1.0, np.abs(exact))).max() <= 3e-7
