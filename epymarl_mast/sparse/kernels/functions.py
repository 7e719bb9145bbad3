"""Functions of 16 numbers at a time, made of those of :mod:`.emit`."""

from __future__ import annotations

from llvmlite import binding, ir  # type: ignore[import-untyped]

from epymarl_mast.sparse.kernels.emit import (
    FLOATS,
    INTS,
    WIDTH,
    Builder,
    Value,
    call,
    constant,
    exp,
    fma,
)

_HAS_RECIPROCAL = bool(binding.get_host_cpu_features().get("avx512f"))
_BITS = ir.IntType(16)  # a mask of 16 lanes

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


def reciprocal(b: Builder, x: Value) -> Value:
    """1 / x for 1 <= x < 1e38, error 1e-7: three times the throughput of a vector division."""
    if _HAS_RECIPROCAL:
        everywhere = ir.Constant(_BITS, -1)
        guess = call(b, "llvm.x86.avx512.rcp14.ps.512", FLOATS, x, constant(0.0), everywhere)
        error = fma(b, b.fneg(x), guess, constant(1.0))  # at most 2**-14; the next line squares it
        return fma(b, guess, error, guess)
    guess = b.bitcast(b.sub(integer(0x7EF311C7), b.bitcast(x, INTS)), FLOATS)
    for _ in range(2):  # error e -> e**3, from 0.13
        error = fma(b, b.fneg(x), guess, constant(1.0))
        guess = fma(b, guess, fma(b, error, error, error), guess)
    return guess


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e**-x)."""
    return reciprocal(b, b.fadd(constant(1.0), exp(b, b.fneg(x))))


def tanh(b: Builder, x: Value) -> Value:
    """1 - 2 / (e**2x + 1)."""
    inverse = reciprocal(b, b.fadd(constant(1.0), exp(b, b.fadd(x, x))))
    return fma(b, constant(-2.0), inverse, constant(1.0))
