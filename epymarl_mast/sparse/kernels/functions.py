"""Functions of 16 numbers at a time, beside those of :mod:`.emit`."""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from epymarl_mast.sparse.kernels.emit import FLOATS, INTS, WIDTH, Builder, Value, constant, fma

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
