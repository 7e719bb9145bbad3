"""The four target operators against values of 900 digits."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.targets import maximum, mellowmax, soft_mellowmax, softmax_expectation

OPERATORS = {
    "soft_mellowmax": lambda q, avail, row: soft_mellowmax(q, avail, row["alpha"], row["w"]),
    "mellowmax": lambda q, avail, row: mellowmax(q, avail, row["w"]),
    "softmax_expectation": lambda q, avail, row: softmax_expectation(q, avail, row["alpha"]),
    "max": lambda q, avail, _: maximum(q, avail),
}


def values(row, dtype):
    q, available = torch.tensor(row["q"], dtype=dtype), torch.tensor(row["avail"])
    return {name: float(operate(q, available, row)) for name, operate in OPERATORS.items()}


def test_float64(operator_row):
    exact = {name: operator_row[name] for name in OPERATORS}

    assert values(operator_row, torch.float64) == pytest.approx(exact, rel=1e-12, abs=0)


def test_float32(operator_row):
    ours = values(operator_row, torch.float32)

    errors = {name: abs(ours[name] - operator_row[name]) for name in OPERATORS}
    allowed = {name: 1e-5 + 3e-6 * abs(operator_row[name]) for name in OPERATORS}
    assert not {name: error for name, error in errors.items() if not error <= allowed[name]}
