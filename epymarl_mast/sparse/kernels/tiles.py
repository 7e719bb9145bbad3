"""Rows of a batch to lanes of a block and back: transposition of 16 by 16 tiles."""

# Emitters take LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from epymarl_mast.sparse.kernels.emit import (
    BYTES,
    FLOATS,
    INT,
    INTS,
    LANES,
    WIDTH,
    Builder,
    Value,
    address,
    call,
    constant,
    load,
    operation,
    shuffle,
    store,
)

# ------------------------------------------------------------------------------ transposition


def _transpose(b: Builder, rows: list[Value]) -> list[Value]:
    """Transpose of 16 vectors, in registers: 4 rounds that swap blocks of 8, 4, 2, 1."""
    for size in (8, 4, 2, 1):
        first = [i if not i & size else WIDTH + (i - size) for i in range(WIDTH)]
        second = [i + size if not i & size else WIDTH + i for i in range(WIDTH)]
        swapped = list(rows)
        for i in range(WIDTH):
            if not i & size:
                swapped[i] = shuffle(b, rows[i], rows[i + size], first)
                swapped[i + size] = shuffle(b, rows[i], rows[i + size], second)
        rows = swapped
    return rows


def _first_bits(b: Builder, count: Value) -> Value:
    """Mask of the first ``count`` lanes."""
    lanes = ir.Constant(INTS, list(range(WIDTH)))
    empty = ir.Constant(INTS, ir.Undefined)
    many = b.insert_element(empty, b.trunc(count, INT), ir.Constant(INT, 0))
    many = b.shuffle_vector(many, empty, ir.Constant(INTS, [0] * WIDTH))
    return b.icmp_signed("<", lanes, many)


def _prefetch(b: Builder, pointer: Value) -> None:
    """Fetch a cache line into L2; any address is allowed."""
    read, near, data = (ir.Constant(INT, i) for i in (0, 2, 1))
    call(b, "llvm.prefetch.p0", ir.VoidType(), b.bitcast(pointer, BYTES), read, near, data)


_MASKED_LOAD, _MASKED_STORE = "llvm.masked.load.v16f32.p0", "llvm.masked.store.v16f32.p0"


@operation
def pack_tile(b, source, rows, lane, shift, count, ahead, y, y0):
    """y[feature, lane + i] = source[rows[lane + i] + shift + feature], 16 lanes, count <= 16.

    Features count … 15 are written as 0: y has to have room for them. What is packed next,
    ``ahead`` further on in source, is fetched into the cache meanwhile; it need not exist.
    """
    bits = _first_bits(b, count)
    loaded = []
    for i in range(WIDTH):
        row = address(b, source, b.load(address(b, rows, lane, i)), shift)
        _prefetch(b, address(b, row, ahead))
        pointer = b.bitcast(row, FLOATS.as_pointer())
        align = ir.Constant(INT, 4)
        loaded.append(call(b, _MASKED_LOAD, FLOATS, pointer, align, bits, constant(0.0)))
    for i, feature in enumerate(_transpose(b, loaded)):
        store(b, feature, address(b, y, y0, lane, i * LANES))


@operation
def unpack_tile(b, x, x0, lane, count, target, rows, shift):
    """target[rows[lane + i] + shift + feature] = x[feature, lane + i]; the inverse of pack_tile.

    x has to have 16 features that can be read, whatever they are.
    """
    bits = _first_bits(b, count)
    features = [load(b, address(b, x, x0, lane, i * LANES)) for i in range(WIDTH)]
    for i, row in enumerate(_transpose(b, features)):
        at = address(b, target, b.load(address(b, rows, lane, i)), shift)
        pointer = b.bitcast(at, FLOATS.as_pointer())
        call(b, _MASKED_STORE, ir.VoidType(), row, pointer, ir.Constant(INT, 4), bits)
