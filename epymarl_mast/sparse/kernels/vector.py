"""Vector instructions for numba: LLVM IR over blocks of 64 lanes.

A lane is one row of a batch. A block holds LANES = 64 lanes features-major, (features, 64), in a
flat float32 array, so that one feature of all lanes is 4 vectors of 16 and a kept weight is 4
multiply-adds. numba's own loops reach neither this nor a vector exp (it has no SVML from PyPI),
which is why these are written in IR. LLVM splits the vectors of 16 where the CPU's are narrower.

Legend: ``x, y, …`` flat float32 arrays; ``x0, y0, …`` the index there of lane 0 of the feature
meant; ``columns`` int32, the input feature of each kept weight times LANES; ``k, stop`` range of
kept weights. All operations return nothing and write to their array arguments.
"""

# Compiled functions and emitters take arrays, offsets and LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LANES = 64
WIDTH = 16  # of one vector
VECTORS = LANES // WIDTH
GROUPS = (16, 8, 4, 2, 1)  # kept weights that one SDDMM loop accumulates together

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)
_INDEX = ir.IntType(64)
_FLOATS = ir.VectorType(_FLOAT, WIDTH)
_INTS = ir.VectorType(_INT, WIDTH)
_BYTES = ir.IntType(8).as_pointer()

# 2**f on [-1/2, 1/2], relative error 8e-8
_EXP2 = (
    1.0,
    0.6931469440460205,
    0.24022120237350464,
    0.05550713464617729,
    0.009675540961325169,
    0.0013276430545374751,
)
_LOG2_E = 1.4426950216293335
_ROUND = 12582912.0  # 1.5 * 2**23: adding it rounds to an integer, held in the low bits
_EXP_BOUND = 86.0  # beyond, e**x leaves the normal float32 numbers

Value = Any  # llvmlite's values and builders have no useful types
Builder = Any


def operation(emit: Callable[..., None]) -> Any:
    """A numba intrinsic from a function that emits its IR.

    ``emit(builder, *arguments)`` gets a pointer to the first element for an array, and the value
    for a number; integers arrive as 64-bit ones.
    """
    parameters = list(inspect.signature(emit).parameters.values())[1:]

    def typing(context: Any, *arguments: Any) -> Any:
        cast = [a if isinstance(a, types.Array | types.Float) else types.int64 for a in arguments]

        def codegen(context: Any, builder: Builder, signature: Any, values: Any) -> Value:
            lowered = [
                context.make_array(kind)(context, builder, value).data
                if isinstance(kind, types.Array)
                else value
                for kind, value in zip(signature.args, values, strict=True)
            ]
            emit(builder, *lowered)
            return context.get_dummy_value()

        return types.void(*cast), codegen

    typing.__name__ = emit.__name__
    typing.__doc__ = emit.__doc__
    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    typing.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]
    return intrinsic(typing)


# ------------------------------------------------------------------------------ building blocks


def _index(value: int) -> Value:
    return ir.Constant(_INDEX, value)


def _constant(value: float) -> Value:
    return ir.Constant(_FLOATS, [value] * WIDTH)


def _at(b: Builder, pointer: Value, *offsets: Value) -> Value:
    for offset in offsets:
        pointer = b.gep(pointer, [offset if isinstance(offset, ir.Value) else _index(offset)])
    return pointer


def _load(b: Builder, pointer: Value) -> Value:
    value = b.load(b.bitcast(pointer, _FLOATS.as_pointer()))
    value.align = 4
    return value


def _store(b: Builder, value: Value, pointer: Value) -> None:
    b.store(value, b.bitcast(pointer, _FLOATS.as_pointer())).align = 4


def _splat(b: Builder, scalar: Value) -> Value:
    empty = ir.Constant(_FLOATS, ir.Undefined)
    first = b.insert_element(empty, scalar, ir.Constant(_INT, 0))
    return b.shuffle_vector(first, empty, ir.Constant(_INTS, [0] * WIDTH))


def _shuffle(b: Builder, first: Value, second: Value, picked: list[int]) -> Value:
    return b.shuffle_vector(first, second, ir.Constant(_INTS, picked))


def _call(b: Builder, name: str, result: Any, *arguments: Value) -> Value:
    kind = ir.FunctionType(result, [a.type for a in arguments])
    function = b.module.globals.get(name) or ir.Function(b.module, kind, name)
    return b.call(function, arguments)


def _fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    return _call(b, "llvm.fma.v16f32", _FLOATS, x, y, z)


def _loop(
    b: Builder, start: Value, stop: Value, carried: list[Value], body: Callable[..., list[Value]]
) -> list[Value]:
    """``for i in range(start, stop): carried = body(i, carried)``; returns the last carried."""
    before = b.block
    head, inside, after = (b.append_basic_block(n) for n in ("loop", "body", "after"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(_INDEX)
    i.add_incoming(start, before)
    phis = [b.phi(value.type) for value in carried]
    for phi, value in zip(phis, carried, strict=True):
        phi.add_incoming(value, before)
    b.cbranch(b.icmp_signed("<", i, stop), inside, after)
    b.position_at_end(inside)
    updated = body(i, phis)
    i.add_incoming(b.add(i, _index(1)), b.block)
    for phi, value in zip(phis, updated, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(after)
    return phis


def _exp(b: Builder, x: Value) -> Value:
    low, high = _constant(-_EXP_BOUND), _constant(_EXP_BOUND)
    # In this form both are one instruction, and NaN stays NaN.
    x = b.select(b.fcmp_ordered("<", x, low), low, x)
    x = b.select(b.fcmp_ordered(">", x, high), high, x)
    rounded = _fma(b, x, _constant(_LOG2_E), _constant(_ROUND))
    whole = b.fsub(rounded, _constant(_ROUND))
    fraction = _fma(b, x, _constant(_LOG2_E), b.fneg(whole))
    power = _constant(_EXP2[-1])
    for coefficient in _EXP2[-2::-1]:
        power = _fma(b, power, fraction, _constant(coefficient))
    # Multiply by 2**whole in the exponent's bits; the shift drops all but the integer's low bits.
    shift = b.shl(b.bitcast(rounded, _INTS), ir.Constant(_INTS, [23] * WIDTH))
    return b.bitcast(b.add(b.bitcast(power, _INTS), shift), _FLOATS)


def _reciprocal(b: Builder, x: Value) -> Value:
    """1 / x for 1 <= x < 1e38, error 1e-7: three times the throughput of a vector division."""
    magic = ir.Constant(_INTS, [0x7EF311C7] * WIDTH)
    guess = b.bitcast(b.sub(magic, b.bitcast(x, _INTS)), _FLOATS)
    negative = b.fneg(x)
    for _ in range(2):  # error e -> e**3, from 0.13
        error = _fma(b, negative, guess, _constant(1.0))
        guess = _fma(b, guess, _fma(b, error, error, error), guess)
    return guess


def _sigmoid(b: Builder, x: Value) -> Value:
    return _reciprocal(b, b.fadd(_constant(1.0), _exp(b, b.fneg(x))))


def _tanh(b: Builder, x: Value) -> Value:
    inverse = _reciprocal(b, b.fadd(_constant(1.0), _exp(b, b.fadd(x, x))))
    return _fma(b, _constant(-2.0), inverse, _constant(1.0))


def _positive(b: Builder, x: Value) -> Value:
    return b.fcmp_ordered(">", x, _constant(0.0))


def _relu(b: Builder, x: Value) -> Value:
    zero = _constant(0.0)
    return b.select(b.fcmp_ordered("<", x, zero), zero, x)  # NaN stays NaN


def _sign(b: Builder, x: Value) -> Value:
    """The derivative of abs, as torch has it: 0 at 0."""
    negative = b.fcmp_ordered("<", x, _constant(0.0))
    other = b.select(negative, _constant(-1.0), _constant(0.0))
    return b.select(_positive(b, x), _constant(1.0), other)


def _dot(
    b: Builder, start: list[Value], x: Value, columns: Value, values: Value, k: Value, stop: Value
) -> list[Value]:
    """Add to start the kept weights k … stop times their input features: one row of an SpMM."""

    def body(i: Value, sums: list[Value]) -> list[Value]:
        weight = _splat(b, b.load(_at(b, values, i)))
        feature = _at(b, x, b.sext(b.load(_at(b, columns, i)), _INDEX))
        return [
            _fma(b, weight, _load(b, _at(b, feature, WIDTH * v)), sums[v]) for v in range(VECTORS)
        ]

    return _loop(b, k, stop, start, body)


def _bias(b: Builder, bias: Value, row: Value) -> list[Value]:
    return [_splat(b, b.load(_at(b, bias, row)))] * VECTORS


# ------------------------------------------------------------------------------ SpMM, one row


@operation
def row_linear(b, x, x0, columns, values, k, stop, bias, row, y, y0):
    """Y = W x + bias, for one row of W."""
    sums = _dot(b, _bias(b, bias, row), _at(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        _store(b, sums[v], _at(b, y, y0, WIDTH * v))


@operation
def row_relu(b, x, x0, columns, values, k, stop, bias, row, y, y0):
    """Y = relu(W x + bias), for one row of W."""
    sums = _dot(b, _bias(b, bias, row), _at(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        _store(b, _relu(b, sums[v]), _at(b, y, y0, WIDTH * v))


@operation
def row_add(b, x, x0, columns, values, k, stop, y, y0):
    """Y += W x, for one row of W."""
    start = [_load(b, _at(b, y, y0, WIDTH * v)) for v in range(VECTORS)]
    sums = _dot(b, start, _at(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        _store(b, sums[v], _at(b, y, y0, WIDTH * v))


@operation
def row_where_positive(b, x, x0, columns, values, k, stop, gate, gate0, y, y0):
    """Y = W x where gate > 0, else 0, for one row of W: the gradient through a relu."""
    sums = _dot(b, [_constant(0.0)] * VECTORS, _at(b, x, x0), columns, values, k, stop)
    for v in range(VECTORS):
        passes = _positive(b, _load(b, _at(b, gate, gate0, WIDTH * v)))
        _store(b, b.select(passes, sums[v], _constant(0.0)), _at(b, y, y0, WIDTH * v))


# ------------------------------------------------------------------------------ SDDMM


def _sum_vectors(b: Builder, vectors: list[Value]) -> Value:
    """A vector whose lane j is the sum of vectors[j]; their number a power of 2 up to 16."""

    def fold(first: Value, second: Value, groups: int, width: int) -> Value:
        # Both hold `groups` partial sums of `width` lanes each; halve the width, join the groups.
        half = width // 2
        low = [g * width + i for g in range(groups) for i in range(half)]
        picked = low + [WIDTH + i for i in low]
        return b.fadd(
            _shuffle(b, first, second, picked),
            _shuffle(b, first, second, [i + half for i in picked]),
        )

    groups, width = 1, WIDTH
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [fold(first, second, groups, width) for first, second in pairs]
        groups, width = groups * 2, width // 2
    (total,) = vectors
    while width > 1:
        half = width // 2
        low = [g * width + i for g in range(groups) for i in range(half)]
        low += [0] * (WIDTH - len(low))
        total = b.fadd(
            _shuffle(b, total, total, low), _shuffle(b, total, total, [i + half for i in low])
        )
        width = half
    return total


def _sddmm_group(size: int, spread: bool) -> Any:
    @operation
    def group(b, x, x0, x_stride, columns, g, g0, g_stride, steps, k, gradient):
        """gradient[k + j] += sum over steps and lanes of g * x[columns[k + j]], j < size.

        With ``spread`` a gradient is 16 numbers in a row, whose sum it is; to sum them once at
        the end, not at every call, lets the caller work on single steps that stay in the cache.
        """
        rows = [_at(b, x, x0, b.sext(b.load(_at(b, columns, k, j)), _INDEX)) for j in range(size)]
        places = [_at(b, gradient, b.mul(k, _index(WIDTH)), WIDTH * j) for j in range(size)]
        start = [_load(b, p) for p in places] if spread else [_constant(0.0)] * size
        g = _at(b, g, g0)

        def body(i: Value, sums: list[Value]) -> list[Value]:
            x_offset, g_offset = b.mul(i, x_stride), b.mul(i, g_stride)
            for v in range(VECTORS):
                factor = _load(b, _at(b, g, g_offset, WIDTH * v))
                sums = [
                    _fma(b, factor, _load(b, _at(b, row, x_offset, WIDTH * v)), total)
                    for row, total in zip(rows, sums, strict=True)
                ]
            return sums

        sums = _loop(b, _index(0), steps, start, body)
        if spread:
            for total, place in zip(sums, places, strict=True):
                _store(b, total, place)
            return
        total = _sum_vectors(b, sums)
        kind = ir.VectorType(_FLOAT, size).as_pointer()
        target = b.bitcast(_at(b, gradient, k), kind)
        indices = ir.Constant(ir.VectorType(_INT, size), list(range(size)))
        before = b.load(target)
        before.align = 4
        b.store(b.fadd(before, b.shuffle_vector(total, total, indices)), target).align = 4

    return group


sddmm_16, sddmm_8, sddmm_4, sddmm_2, sddmm_1 = (_sddmm_group(n, spread=False) for n in GROUPS)
spread_16, spread_8, spread_4, spread_2, spread_1 = (_sddmm_group(n, spread=True) for n in GROUPS)


def _row_sum(spread: bool) -> Any:
    @operation
    def row_sum(b, g, g0, g_stride, steps, row, total):
        """total[row] += the sum of g over steps and lanes: a bias' gradient."""
        g = _at(b, g, g0)

        def body(i: Value, sums: list[Value]) -> list[Value]:
            at = _at(b, g, b.mul(i, g_stride))
            return [b.fadd(sums[v], _load(b, _at(b, at, WIDTH * v))) for v in range(VECTORS)]

        sums = _loop(b, _index(0), steps, [_constant(0.0)] * VECTORS, body)
        whole = b.fadd(b.fadd(sums[0], sums[1]), b.fadd(sums[2], sums[3]))
        if spread:
            place = _at(b, total, b.mul(row, _index(WIDTH)))
            _store(b, b.fadd(_load(b, place), whole), place)
            return
        target = _at(b, total, row)
        added = b.extract_element(_sum_vectors(b, [whole]), ir.Constant(_INT, 0))
        b.store(b.fadd(b.load(target), added), target)

    return row_sum


row_sum, row_sum_spread = _row_sum(spread=False), _row_sum(spread=True)


# ------------------------------------------------------------------------------ GRU cell


def _gru_unit(save: bool) -> Any:
    @operation
    def unit(b, zh, zh0, columns, values, starts, bias, hidden, j, old, new, gates, gates0):
        """Unit j of a GRU cell for one step, its four weight rows and its gates in registers.

        Rows j, H + j, 2H + j, 3H + j of the joined matrix (see agent.py) give the
        pre-activations of r, u, and of n from the input and from the hidden state. ``old`` and
        ``new`` are where in zh the unit's hidden state is read and written.
        """
        x = _at(b, zh, zh0)
        sums = []
        for gate in range(4):
            row = b.add(j, b.mul(hidden, _index(gate)))
            k, stop = (b.sext(b.load(_at(b, starts, row, i)), _INDEX) for i in (0, 1))
            sums.append(_dot(b, _bias(b, bias, row), x, columns, values, k, stop))
        for v in range(VECTORS):
            reset = _sigmoid(b, sums[0][v])
            update = _sigmoid(b, sums[1][v])
            new_gate = _tanh(b, _fma(b, reset, sums[3][v], sums[2][v]))
            before = _load(b, _at(b, zh, old, WIDTH * v))
            after = _fma(b, update, b.fsub(before, new_gate), new_gate)
            _store(b, after, _at(b, zh, new, WIDTH * v))
            if save:
                for i, value in enumerate((reset, update, new_gate, sums[3][v])):
                    _store(b, value, _at(b, gates, gates0, i * LANES + WIDTH * v))

    return unit


gru_unit, gru_unit_saving = _gru_unit(save=False), _gru_unit(save=True)


@operation
def gru_unit_backward(b, d_hidden, dh0, gates, gates0, zh, old, d_gates, dg0, stride):
    """Gradients of one unit's four pre-activations; d_hidden becomes the part through u * h.

    ``stride`` is from one gate's rows to the next one's in d_gates.
    """
    one = _constant(1.0)
    for v in range(VECTORS):
        reset, update, new_gate, from_hidden = (
            _load(b, _at(b, gates, gates0, i * LANES + WIDTH * v)) for i in range(4)
        )
        before = _load(b, _at(b, zh, old, WIDTH * v))
        at = _at(b, d_hidden, dh0, WIDTH * v)
        d_after = _load(b, at)
        kept = b.fmul(d_after, update)
        d_update = b.fmul(b.fmul(kept, b.fsub(one, update)), b.fsub(before, new_gate))
        slope = b.fsub(one, b.fmul(new_gate, new_gate))
        d_new = b.fmul(b.fsub(d_after, kept), slope)
        d_from_hidden = b.fmul(d_new, reset)
        d_reset = b.fmul(b.fmul(d_from_hidden, b.fsub(one, reset)), from_hidden)
        for i, value in enumerate((d_reset, d_update, d_new, d_from_hidden)):
            offset = b.mul(stride, _index(i))
            _store(b, value, _at(b, d_gates, dg0, offset, WIDTH * v))
        _store(b, kept, at)


# ------------------------------------------------------------------------------ mixing network


@operation
def mix_unit(b, q, w, w0, w_stride, bias, bias0, agents, final, f0, hidden, h0, y):
    """One embedding unit: hidden = elu(sum of q_a |w_a| + bias), y += hidden |final|."""
    sums = [_load(b, _at(b, bias, bias0, WIDTH * v)) for v in range(VECTORS)]
    w = _at(b, w, w0)

    def body(a: Value, sums: list[Value]) -> list[Value]:
        q_a, w_a = _at(b, q, b.mul(a, _index(LANES))), _at(b, w, b.mul(a, w_stride))
        return [
            _fma(b, _load(b, _at(b, q_a, i)), _abs(b, _load(b, _at(b, w_a, i))), total)
            for i, total in zip(range(0, LANES, WIDTH), sums, strict=True)
        ]

    sums = _loop(b, _index(0), agents, sums, body)
    for v, total in enumerate(sums):
        negative = b.fsub(_exp(b, total), _constant(1.0))
        unit = b.select(b.fcmp_ordered("<=", total, _constant(0.0)), negative, total)
        _store(b, unit, _at(b, hidden, h0, WIDTH * v))
        weight = _abs(b, _load(b, _at(b, final, f0, WIDTH * v)))
        at = _at(b, y, WIDTH * v)
        _store(b, _fma(b, unit, weight, _load(b, at)), at)


def _abs(b: Builder, x: Value) -> Value:
    return _call(b, "llvm.fabs.v16f32", _FLOATS, x)


@operation
def mix_unit_backward(
    b,
    q,
    w,
    w0,
    w_stride,
    agents,
    final,
    f0,
    hidden,
    h0,
    d_y,
    d_q,
    d_w,
    dw0,
    d_bias,
    db0,
    d_final,
    df0,
):
    """Gradients of one embedding unit; d_q is added to, all others are written."""
    gradients = []
    for v in range(VECTORS):
        i = WIDTH * v
        outer = _load(b, _at(b, d_y, i))
        weight, unit = _load(b, _at(b, final, f0, i)), _load(b, _at(b, hidden, h0, i))
        sign = _sign(b, weight)
        _store(b, b.fmul(b.fmul(outer, unit), sign), _at(b, d_final, df0, i))
        d_unit = b.fmul(b.fmul(outer, weight), sign)
        slope = b.select(_positive(b, unit), _constant(1.0), b.fadd(unit, _constant(1.0)))
        gradients.append(b.fmul(d_unit, slope))
        _store(b, gradients[v], _at(b, d_bias, db0, i))
    w, d_w = _at(b, w, w0), _at(b, d_w, dw0)

    def body(a: Value, _: list[Value]) -> list[Value]:
        agent, at = b.mul(a, _index(LANES)), b.mul(a, w_stride)
        for v, gradient in enumerate(gradients):
            i = WIDTH * v
            weight = _load(b, _at(b, w, at, i))
            sign = _sign(b, weight)
            value = _load(b, _at(b, q, agent, i))
            _store(b, b.fmul(b.fmul(gradient, value), sign), _at(b, d_w, at, i))
            total = _at(b, d_q, agent, i)
            magnitude = b.fmul(weight, sign)
            _store(b, _fma(b, gradient, magnitude, _load(b, total)), total)
        return []

    _loop(b, _index(0), agents, [], body)


# ------------------------------------------------------------------------------ target operators


@operation
def soft_mellowmax_lanes(b, q, available, actions, alpha, sharp, top, ratio):
    """Top = max of q, ratio = sum of exp(sharp d) / sum of exp(alpha d) with d = q - top.

    Both are over the actions that are available, one value for each lane; where there is none,
    top is -inf and ratio not a number.
    """
    zero = _constant(0.0)
    alpha, sharp = (_splat(b, b.fptrunc(value, _FLOAT)) for value in (alpha, sharp))

    def present(u: Value, v: int) -> tuple[Value, Value]:
        offset = b.mul(u, _index(LANES))
        flag = _load(b, _at(b, available, offset, WIDTH * v))
        return _load(b, _at(b, q, offset, WIDTH * v)), _positive(b, flag)

    for v in range(VECTORS):

        def highest(u: Value, best: list[Value], v: int = v) -> list[Value]:
            value, is_there = present(u, v)
            better = b.and_(is_there, b.fcmp_unordered(">", value, best[0]))
            return [b.select(better, value, best[0])]

        def add(u: Value, carried: list[Value], v: int = v) -> list[Value]:
            best, *sums = carried
            value, is_there = present(u, v)
            terms = (_exp(b, b.fmul(factor, b.fsub(value, best))) for factor in (sharp, alpha))
            terms = (b.select(is_there, term, zero) for term in terms)
            return [best, *(b.fadd(total, term) for total, term in zip(sums, terms, strict=True))]

        (best,) = _loop(b, _index(0), actions, [_constant(-math.inf)], highest)
        best, upper, lower = _loop(b, _index(0), actions, [best, zero, zero], add)
        _store(b, best, _at(b, top, WIDTH * v))
        _store(b, b.fdiv(upper, lower), _at(b, ratio, WIDTH * v))


# ------------------------------------------------------------------------------ transposition


def _transpose(b: Builder, rows: list[Value]) -> list[Value]:
    """Transpose of 16 vectors, in registers: 4 rounds that swap blocks of 8, 4, 2, 1."""
    for size in (8, 4, 2, 1):
        first = [i if not i & size else WIDTH + (i - size) for i in range(WIDTH)]
        second = [i + size if not i & size else WIDTH + i for i in range(WIDTH)]
        swapped = list(rows)
        for i in range(WIDTH):
            if not i & size:
                swapped[i] = _shuffle(b, rows[i], rows[i + size], first)
                swapped[i + size] = _shuffle(b, rows[i], rows[i + size], second)
        rows = swapped
    return rows


def _first_bits(b: Builder, count: Value) -> Value:
    """Mask of the first ``count`` lanes."""
    lanes = ir.Constant(_INTS, list(range(WIDTH)))
    empty = ir.Constant(_INTS, ir.Undefined)
    many = b.insert_element(empty, b.trunc(count, _INT), ir.Constant(_INT, 0))
    many = b.shuffle_vector(many, empty, ir.Constant(_INTS, [0] * WIDTH))
    return b.icmp_signed("<", lanes, many)


def _prefetch(b: Builder, pointer: Value) -> None:
    """Fetch a cache line into L2; any address is allowed."""
    read, near, data = (ir.Constant(_INT, i) for i in (0, 2, 1))
    _call(b, "llvm.prefetch.p0", ir.VoidType(), b.bitcast(pointer, _BYTES), read, near, data)


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
        row = _at(b, source, b.load(_at(b, rows, lane, i)), shift)
        _prefetch(b, _at(b, row, ahead))
        pointer = b.bitcast(row, _FLOATS.as_pointer())
        align = ir.Constant(_INT, 4)
        loaded.append(_call(b, _MASKED_LOAD, _FLOATS, pointer, align, bits, _constant(0.0)))
    for i, feature in enumerate(_transpose(b, loaded)):
        _store(b, feature, _at(b, y, y0, lane, i * LANES))


@operation
def unpack_tile(b, x, x0, lane, count, target, rows, shift):
    """target[rows[lane + i] + shift + feature] = x[feature, lane + i]; the inverse of pack_tile.

    x has to have 16 features that can be read, whatever they are.
    """
    bits = _first_bits(b, count)
    features = [_load(b, _at(b, x, x0, lane, i * LANES)) for i in range(WIDTH)]
    for i, row in enumerate(_transpose(b, features)):
        at = _at(b, target, b.load(_at(b, rows, lane, i)), shift)
        pointer = b.bitcast(at, _FLOATS.as_pointer())
        _call(b, _MASKED_STORE, ir.VoidType(), row, pointer, ir.Constant(_INT, 4), bits)


# ------------------------------------------------------------------------------ for the tests


def _elementwise(function: Callable[[Builder, Value], Value]) -> Any:
    @operation
    def apply(b, x, y, i):
        """y[i:i + 16] = function(x[i:i + 16])."""
        _store(b, function(b, _load(b, _at(b, x, i))), _at(b, y, i))

    return apply


exp_16, sigmoid_16, tanh_16 = (_elementwise(f) for f in (_exp, _sigmoid, _tanh))
