"""Elementwise functions of vectors: e**x, log, and the activations of a GRU's gates.

A fifth to a third of an agent's forward pass is its gates, whose number no sparsity lowers, so
sigmoid and tanh have a second form of two thirds of the instructions, for CPUs with AVX-512.
"""

# Emitters take LLVM values, which have no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import math
from functools import lru_cache

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.registry import cpu_target

from epymarl_mast.sparse.kernels.emit import (
    FLOATS,
    INT,
    INTS,
    WIDTH,
    Builder,
    Value,
    call,
    constant,
    fma,
)

# 2**f on [-1/2, 1/2], relative error 8e-8
_EXP2 = (
    1.0,
    0.6931469440460205,
    0.24022120237350464,
    0.05550713464617729,
    0.009675540961325169,
    0.0013276430545374751,
)
# 2**f on [0, 1], relative error 8e-8
_EXP2_ABOVE = (
    0.9999999250642835,
    0.6931530731854121,
    0.24015361711928995,
    0.05582631790957949,
    0.008989340199239764,
    0.0018775766504392339,
)
_LOG2_E = 1.4426950216293335
_ROUND = 12582912.0  # 1.5 * 2**23: adding it rounds to an integer, held in the low bits
_EXP_BOUND = 86.0  # beyond, e**x leaves the normal float32 numbers
_EXP2_BOUND = 125.0  # so that 1 + 2**x and its reciprocal are normal ones

# log(1 + f) = f - f²/2 + f³ P(f) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, error 1e-7
_LOG = (
    0.33333331174,
    -0.24999993993,
    0.20000714765,
    -0.16668057665,
    0.14249322787,
    -0.12420140846,
    0.11676998740,
    -0.11514610310,
    0.070376836292,
)
_LOG_2 = 0.6931471805599453
_ROOT_HALF = 0x3F3504F3  # bits of sqrt(1/2)


@lru_cache(maxsize=1)
def has_avx512() -> bool:
    """Whether numba compiles for a CPU with AVX-512, which its own options can deny."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return {"+avx512f", "+avx512dq"} <= set(features.split(","))


def _polynomial(b: Builder, coefficients: tuple[float, ...], xs: list[Value]) -> list[Value]:
    powers = [constant(coefficients[-1])] * len(xs)
    for coefficient in coefficients[-2::-1]:
        step = constant(coefficient)
        powers = [fma(b, power, x, step) for power, x in zip(powers, xs, strict=True)]
    return powers


def exp(b: Builder, *xs: Value) -> list[Value]:
    """e**x of each within 86 of 0, beyond which it stays there; relative error 1.3e-6."""
    low, high = constant(-_EXP_BOUND), constant(_EXP_BOUND)
    # In this form both are one instruction, and NaN stays NaN.
    bounded = [b.select(b.fcmp_ordered("<", x, low), low, x) for x in xs]
    bounded = [b.select(b.fcmp_ordered(">", x, high), high, x) for x in bounded]
    rounded = [fma(b, x, constant(_LOG2_E), constant(_ROUND)) for x in bounded]
    whole = [b.fsub(value, constant(_ROUND)) for value in rounded]
    pairs = zip(bounded, whole, strict=True)
    fractions = [fma(b, x, constant(_LOG2_E), b.fneg(own)) for x, own in pairs]
    powers = _polynomial(b, _EXP2, fractions)
    # Multiply by 2**whole in the exponent's bits; the shift drops all but the integer's low bits.
    shifts = [b.shl(b.bitcast(value, INTS), integer(23)) for value in rounded]
    pairs = zip(powers, shifts, strict=True)
    return [b.bitcast(b.add(b.bitcast(power, INTS), shift), FLOATS) for power, shift in pairs]


def integer(value: int) -> Value:
    """A vector of one whole number."""
    return ir.Constant(INTS, [value] * WIDTH)


def log(b: Builder, x: Value) -> Value:
    """Natural logarithm of normal positive numbers."""
    bits = b.bitcast(x, INTS)
    exponent = b.ashr(b.sub(bits, integer(_ROOT_HALF)), integer(23))
    mantissa = b.bitcast(b.sub(bits, b.shl(exponent, integer(23))), FLOATS)
    f = b.fsub(mantissa, constant(1.0))
    power = constant(_LOG[-1])
    for coefficient in _LOG[-2::-1]:
        power = fma(b, power, f, constant(coefficient))
    square = b.fmul(f, f)
    power = fma(b, b.fmul(power, f), square, fma(b, square, constant(-0.5), f))
    return fma(b, b.sitofp(exponent, FLOATS), constant(_LOG_2), power)


def _reciprocal(b: Builder, x: Value) -> Value:
    """1 / x for 1 <= x < 1e38, error 1e-7: three times the throughput of a vector division."""
    guess = b.bitcast(b.sub(integer(0x7EF311C7), b.bitcast(x, INTS)), FLOATS)
    negative = b.fneg(x)
    for _ in range(2):  # error e -> e**3, from 0.13
        error = fma(b, negative, guess, constant(1.0))
        guess = fma(b, guess, fma(b, error, error, error), guess)
    return guess


def _logistic(b: Builder, xs: list[Value], slope: float) -> list[Value]:
    """1 / (1 + e**(slope x)), error 1e-7.

    One value takes some twenty instructions, each of which waits for the one before. All values
    get theirs in turn, so that a CPU, which looks a hundred ahead, always finds one to do.
    """
    one = constant(1.0)
    if not has_avx512():
        powers = exp(b, *(b.fmul(x, constant(slope)) for x in xs))
        return [_reciprocal(b, b.fadd(one, power)) for power in powers]
    none, every = ir.Constant(FLOATS, ir.Undefined), ir.Constant(ir.IntType(16), -1)
    current, floor = ir.Constant(INT, 4), ir.Constant(INT, 9)  # codes of the rounding
    high = constant(_EXP2_BOUND)
    powers = [b.fmul(x, constant(slope * math.log2(math.e))) for x in xs]
    powers = [b.select(b.fcmp_ordered(">", power, high), high, power) for power in powers]
    name = "llvm.x86.avx512.mask.reduce.ps.512"  # x - floor(x)
    fractions = [call(b, name, FLOATS, power, floor, none, every, current) for power in powers]
    name = "llvm.x86.avx512.mask.scalef.ps.512"  # x * 2**floor(y)
    values = [
        call(b, name, FLOATS, value, power, none, every, current)
        for value, power in zip(_polynomial(b, _EXP2_ABOVE, fractions), powers, strict=True)
    ]
    below = [b.fadd(one, value) for value in values]
    name = "llvm.x86.avx512.rcp14.ps.512"  # error 6e-5
    guesses = [call(b, name, FLOATS, value, none, every) for value in below]
    pairs = list(zip(below, guesses, strict=True))
    errors = [fma(b, b.fneg(value), guess, one) for value, guess in pairs]
    return [fma(b, guess, error, guess) for guess, error in zip(guesses, errors, strict=True)]


def sigmoid(b: Builder, *xs: Value) -> list[Value]:
    """1 / (1 + e**-x) of each."""
    return _logistic(b, list(xs), -1.0)


def tanh(b: Builder, *xs: Value) -> list[Value]:
    """1 - 2 / (e**2x + 1) of each."""
    return [fma(b, constant(-2.0), x, constant(1.0)) for x in _logistic(b, list(xs), 2.0)]
