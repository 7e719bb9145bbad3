"""Units of a GRU cell and of a mixing network, and a target operator, lane by lane."""

# Emitters take LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from epymarl_mast.sparse.kernels.activations import (
    exp,
    integer,
    log,
    sigmoid,
    tanh,
)
from epymarl_mast.sparse.kernels.emit import (
    FLOAT,
    INDEX,
    INTS,
    LANES,
    VECTORS,
    WIDTH,
    Builder,
    Value,
    absolute,
    address,
    bias_of,
    constant,
    dot,
    fma,
    index,
    load,
    loop,
    operation,
    positive,
    sign_of,
    splat,
    store,
)

# ------------------------------------------------------------------------------ GRU cell


def _gru_unit(save: bool) -> Any:
    @operation
    def unit(b, zh, zh0, columns, values, starts, bias, hidden, j, old, new, gates, gates0):
        """Unit j of a GRU cell for one step, its four weight rows and its gates in registers.

        Rows j, H + j, 2H + j, 3H + j of the joined matrix (see agent.py) give the
        pre-activations of r, u, and of n from the input and from the hidden state. ``old`` and
        ``new`` are where in zh the unit's hidden state is read and written.
        """
        x = address(b, zh, zh0)
        sums = []
        for gate in range(4):
            row = b.add(j, b.mul(hidden, index(gate)))
            k, stop = (b.sext(b.load(address(b, starts, row, i)), INDEX) for i in (0, 1))
            sums.append(dot(b, bias_of(b, bias, row), x, columns, values, k, stop))
        resets, updates = sigmoid(b, *sums[0]), sigmoid(b, *sums[1])
        inner = [fma(b, *terms) for terms in zip(resets, sums[3], sums[2], strict=True)]
        for v, new_gate in enumerate(tanh(b, *inner)):
            before = load(b, address(b, zh, old, WIDTH * v))
            after = fma(b, updates[v], b.fsub(before, new_gate), new_gate)
            store(b, after, address(b, zh, new, WIDTH * v))
            if save:
                for i, value in enumerate((resets[v], updates[v], new_gate, sums[3][v])):
                    store(b, value, address(b, gates, gates0, i * LANES + WIDTH * v))

    return unit


gru_unit, gru_unit_saving = _gru_unit(save=False), _gru_unit(save=True)


@operation
def gru_unit_backward(b, j, hidden, d_hidden, gates, gates0, zh, old, d_gates, d_bias):
    """Gradients of unit j's four pre-activations; d_hidden becomes the part through u * h.

    Those of the pre-activations' biases are added to ``d_bias``, each as 16 numbers.
    """
    one = constant(1.0)
    unit = b.mul(j, index(LANES))
    rows = [b.add(j, b.mul(hidden, index(gate))) for gate in range(4)]
    totals = [load(b, address(b, d_bias, b.mul(row, index(WIDTH)))) for row in rows]
    for v in range(VECTORS):
        reset, update, new_gate, from_hidden = (
            load(b, address(b, gates, gates0, i * LANES + WIDTH * v)) for i in range(4)
        )
        before = load(b, address(b, zh, old, WIDTH * v))
        at = address(b, d_hidden, unit, WIDTH * v)
        d_after = load(b, at)
        kept = b.fmul(d_after, update)
        d_update = b.fmul(b.fmul(kept, b.fsub(one, update)), b.fsub(before, new_gate))
        slope = b.fsub(one, b.fmul(new_gate, new_gate))
        d_new = b.fmul(b.fsub(d_after, kept), slope)
        d_from_hidden = b.fmul(d_new, reset)
        d_reset = b.fmul(b.fmul(d_from_hidden, b.fsub(one, reset)), from_hidden)
        for i, value in enumerate((d_reset, d_update, d_new, d_from_hidden)):
            store(b, value, address(b, d_gates, b.mul(rows[i], index(LANES)), WIDTH * v))
            totals[i] = b.fadd(totals[i], value)
        store(b, kept, at)
    for row, total in zip(rows, totals, strict=True):
        store(b, total, address(b, d_bias, b.mul(row, index(WIDTH))))


# ------------------------------------------------------------------------------ mixing network


@operation
def mix_unit(b, q, w, w0, w_stride, bias, bias0, agents, final, f0, hidden, h0, y):
    """One embedding unit: hidden = elu(sum of q_a |w_a| + bias), y += hidden |final|."""
    sums = [load(b, address(b, bias, bias0, WIDTH * v)) for v in range(VECTORS)]
    w = address(b, w, w0)

    def body(a: Value, sums: list[Value]) -> list[Value]:
        q_a, w_a = address(b, q, b.mul(a, index(LANES))), address(b, w, b.mul(a, w_stride))
        return [
            fma(b, load(b, address(b, q_a, i)), absolute(b, load(b, address(b, w_a, i))), total)
            for i, total in zip(range(0, LANES, WIDTH), sums, strict=True)
        ]

    sums = loop(b, index(0), agents, sums, body)
    for v, (total, power) in enumerate(zip(sums, exp(b, *sums), strict=True)):
        negative = b.fsub(power, constant(1.0))
        unit = b.select(b.fcmp_ordered("<=", total, constant(0.0)), negative, total)
        store(b, unit, address(b, hidden, h0, WIDTH * v))
        weight = absolute(b, load(b, address(b, final, f0, WIDTH * v)))
        at = address(b, y, WIDTH * v)
        store(b, fma(b, unit, weight, load(b, at)), at)


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
        outer = load(b, address(b, d_y, i))
        weight, unit = load(b, address(b, final, f0, i)), load(b, address(b, hidden, h0, i))
        sign = sign_of(b, weight)
        store(b, b.fmul(b.fmul(outer, unit), sign), address(b, d_final, df0, i))
        d_unit = b.fmul(b.fmul(outer, weight), sign)
        slope = b.select(positive(b, unit), constant(1.0), b.fadd(unit, constant(1.0)))
        gradients.append(b.fmul(d_unit, slope))
        store(b, gradients[v], address(b, d_bias, db0, i))
    w, d_w = address(b, w, w0), address(b, d_w, dw0)

    def body(a: Value, _: list[Value]) -> list[Value]:
        agent, at = b.mul(a, index(LANES)), b.mul(a, w_stride)
        for v, gradient in enumerate(gradients):
            i = WIDTH * v
            weight = load(b, address(b, w, at, i))
            sign = sign_of(b, weight)
            value = load(b, address(b, q, agent, i))
            store(b, b.fmul(b.fmul(gradient, value), sign), address(b, d_w, at, i))
            total = address(b, d_q, agent, i)
            magnitude = b.fmul(weight, sign)
            store(b, fma(b, gradient, magnitude, load(b, total)), total)
        return []

    loop(b, index(0), agents, [], body)


# ------------------------------------------------------------------------------ target operators

NO_ACTION = -9999999.0  # as the hosts have it


def _is_set(b: Builder, flag: Value) -> Value:
    """Which lanes have any bit set, so that whole numbers and floats will do."""
    return b.icmp_unsigned("!=", b.bitcast(flag, INTS), integer(0))


def _is_nan(b: Builder, value: Value) -> Value:
    return b.fcmp_unordered("uno", value, value)


def _above(b: Builder, value: Value, highest: Value) -> Value:
    """Which lanes are higher than the highest so far: NaN is, as in torch, and nothing above it."""
    return b.and_(b.fcmp_unordered(">", value, highest), b.fcmp_ordered("ord", highest, highest))


@operation
def greedy_lanes(b, values, chooser, available, actions, out):
    """Out = the value of the available action that ``chooser`` has highest, for each lane.

    Of several highest ones the first; NO_ACTION where none is available.
    """
    for v in range(VECTORS):

        def best(u: Value, carried: list[Value], v: int = v) -> list[Value]:
            highest, value = carried
            offset = b.mul(u, index(LANES))
            rated, its_value, flag = (
                load(b, address(b, array, offset, WIDTH * v))
                for array in (chooser, values, available)
            )
            better = b.and_(_is_set(b, flag), _above(b, rated, highest))
            return [b.select(better, rated, highest), b.select(better, its_value, value)]

        start = [constant(-math.inf), constant(NO_ACTION)]
        _, value = loop(b, index(0), actions, start, best)
        store(b, value, address(b, out, WIDTH * v))


@operation
def soft_mellowmax_lanes(b, q, available, actions, alpha, omega, out):
    """Out = top + log(sum of exp((alpha + omega) d) / sum of exp(alpha d)) / omega, d = q - top.

    Both sums and top, the highest q, are over the actions that are available. One value for each
    lane; 0 where there is none.
    """
    zero = constant(0.0)
    numbers = alpha, b.fadd(alpha, omega), b.fdiv(ir.Constant(ir.DoubleType(), 1.0), omega)
    alpha, sharp, per_omega = (splat(b, b.fptrunc(number, FLOAT)) for number in numbers)

    def present(u: Value, v: int) -> tuple[Value, Value]:
        offset = b.mul(u, index(LANES))
        flag = load(b, address(b, available, offset, WIDTH * v))
        return load(b, address(b, q, offset, WIDTH * v)), _is_set(b, flag)

    for v in range(VECTORS):

        def highest(u: Value, best: list[Value], v: int = v) -> list[Value]:
            value, is_there = present(u, v)
            better = b.and_(is_there, _above(b, value, best[0]))
            return [b.select(better, value, best[0])]

        def add(u: Value, carried: list[Value], v: int = v) -> list[Value]:
            best, *sums = carried
            value, is_there = present(u, v)
            beyond = b.fsub(value, best)
            terms = exp(b, *(b.fmul(factor, beyond) for factor in (sharp, alpha)))
            terms = [b.select(_is_nan(b, beyond), beyond, term) for term in terms]
            terms = [b.select(is_there, term, zero) for term in terms]
            return [best, *(b.fadd(total, term) for total, term in zip(sums, terms, strict=True))]

        (best,) = loop(b, index(0), actions, [constant(-math.inf)], highest)
        best, upper, lower = loop(b, index(0), actions, [best, zero, zero], add)
        value = fma(b, log(b, b.fdiv(upper, lower)), per_omega, best)
        value = b.select(_is_nan(b, lower), lower, value)  # of which log makes a number
        none = b.fcmp_ordered("==", lower, zero)
        store(b, b.select(none, zero, value), address(b, out, WIDTH * v))
