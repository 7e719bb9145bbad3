"""The four target operators against values of 900 digits."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.targets import maximum, mellowmax, soft_mellowmax, softmax_expectation

OPERATORS = {
    "soft_mellowmax": lambda q, row: soft_mellowmax(q, row["avail"], row["alpha"], row["w"]),
    "mellowmax": lambda q, row: mellowmax(q, row["avail"], row["w"]),
    "softmax_expectation": lambda q, row: softmax_expectation(q, row["avail"], row["alpha"]),
    "max": lambda q, row: maximum(q, row["avail"]),
}


def value(operator, row, dtype):
    q = torch.tensor(row["q"], dtype=dtype)
    return float(OPERATORS[operator](q, {**row, "avail": torch.tensor(row["avail"])}))


@pytest.mark.parametrize("operator", OPERATORS)
def test_float64(operator_row, operator):
    ours = value(operator, operator_row, torch.float64)

    assert ours == pytest.approx(operator_row[operator], rel=1e-12, abs=0)


@pytest.mark.parametrize("operator", OPERATORS)
def test_float32(operator_row, operator):
    ours, exact = value(operator, operator_row, torch.float32), operator_row[operator]

    assert abs(ours - exact) <= 1e-5 + 3e-6 * abs(exact)
