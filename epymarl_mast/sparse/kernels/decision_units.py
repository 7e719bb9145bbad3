"""One row of a product and one unit of a GRU cell for a decision: 16 lanes, one vector.

A learner's batch fills blocks of 64 lanes; a decision has one row for each agent, so its blocks are
one vector wide. The places of features that the kernels read (``columns``) count in those.
"""

# Emitters take LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from epymarl_mast.sparse.kernels.activations import (
    sigmoid,
    tanh,
)
from epymarl_mast.sparse.kernels.emit import (
    INDEX,
    Builder,
    Value,
    address,
    constant,
    fma,
    index,
    load,
    loop,
    operation,
    relu,
    splat,
    store,
)


def _row(
    b: Builder, x: Value, columns: Value, values: Value, starts: Value, bias: Value, row: Value
) -> Value:
    """The bias of one row plus its kept weights times their features.

    Even and odd weights are summed apart: a sum has to wait for the one before it.
    """
    k, stop = (b.sext(b.load(address(b, starts, row, i)), INDEX) for i in (0, 1))

    def add(i: Value, total: Value) -> Value:
        weight = splat(b, b.load(address(b, values, i)))
        feature = address(b, x, b.sext(b.load(address(b, columns, i)), INDEX))
        return fma(b, weight, load(b, feature), total)

    def add_two(pair: Value, sums: list[Value]) -> list[Value]:
        at = b.add(k, b.mul(pair, index(2)))
        return [add(at, sums[0]), add(b.add(at, index(1)), sums[1])]

    pairs = b.sdiv(b.sub(stop, k), index(2))
    start = [splat(b, b.load(address(b, bias, row))), constant(0.0)]
    even, odd = loop(b, index(0), pairs, start, add_two)
    left = b.add(k, b.mul(pairs, index(2)))  # one more, if their number is odd
    (even,) = loop(b, left, stop, [even], lambda i, sums: [add(i, sums[0])])
    return b.fadd(even, odd)


@operation
def linear_unit(b, x, x0, columns, values, starts, bias, row, y, y0):
    """Y = W x + bias, for one row of W."""
    total = _row(b, address(b, x, x0), columns, values, starts, bias, row)
    store(b, total, address(b, y, y0))


@operation
def relu_unit(b, x, x0, columns, values, starts, bias, row, y, y0):
    """Y = relu(W x + bias), for one row of W."""
    total = _row(b, address(b, x, x0), columns, values, starts, bias, row)
    store(b, relu(b, total), address(b, y, y0))


@operation
def gru_unit(b, x, x0, columns, values, starts, bias, row, units, old, y, y0):
    """The next state of one unit of a GRU cell.

    Rows ``row``, ``row + units``, ``row + 2 units`` and ``row + 3 units`` give the pre-activations
    of r, of u, of n from the input and of n from the hidden state; ``old`` is where in x the unit's
    hidden state before the step is.
    """
    place = address(b, x, x0)
    gates = [
        _row(b, place, columns, values, starts, bias, b.add(row, b.mul(units, index(gate))))
        for gate in range(4)
    ]
    reset, update = sigmoid(b, gates[0], gates[1])
    (new,) = tanh(b, fma(b, reset, gates[3], gates[2]))
    before = load(b, address(b, x, old))
    store(b, fma(b, update, b.fsub(before, new), new), address(b, y, y0))
