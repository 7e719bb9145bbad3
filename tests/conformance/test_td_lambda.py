"""λ-returns against a double loop over their definition, recorded for random episodes."""

from __future__ import annotations

import pytest
import torch

from epymarl_mast.targets import td_lambda

TOLERANCE = {torch.float64: {"rtol": 0, "atol": 1e-9}, torch.float32: {"rtol": 1e-5, "atol": 1e-5}}


@pytest.fixture(scope="module")
def arrays(load_arrays):
    return load_arrays("td_lambda.npz")


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_equals_the_definition(arrays, return_case, dtype):
    case, _, name = return_case.partition("/")
    read = {key: arrays[f"{case}/{key}"].to(dtype) for key in ("rewards", "terminated", "mask")}
    values = arrays[f"{case}/target_qs"].to(dtype)

    ours = td_lambda(
        **read,
        next_values=values[:, 1:],
        gamma=float(arrays[f"{case}/gamma"]),
        lam=float(name.removeprefix("bruteforce_lam")),
    )

    expected = arrays[return_case]
    inside = (read["mask"] == 1).expand_as(expected)
    torch.testing.assert_close(ours[inside], expected[inside].to(dtype), **TOLERANCE[dtype])
    assert bool((ours[~inside] == 0).all())


def test_every_lambda_of_every_case_is_recorded(arrays):
    """A guard for the parametrisation above: it follows the keys found in the file."""
    cases = {key.partition("/")[0] for key in arrays}
    listed = {(case, float(lam)) for case in cases for lam in arrays[f"{case}/lambdas"]}
    recorded = {
        (key.partition("/")[0], float(key.partition("bruteforce_lam")[2]))
        for key in arrays
        if "bruteforce_lam" in key
    }

    assert recorded == listed
