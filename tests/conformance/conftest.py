"""Recorded results of other implementations, as parameters of the tests that ask for them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(os.environ.get("MAST_REFERENCE") or Path(__file__).parent / "data")


def read_json(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def numbered(index, name, row):
    """Id of a row of soft_mellowmax.json."""
    return f"{index}-{name}-alpha{row['alpha']:g}-omega{row['w']:g}"


def allocation_cases():
    cases = read_json("er_allocation.json")["cases"]
    return cases, [f"{case['name']}-{case['sparsity']}" for case in cases]


def rigl_cases():
    cases = read_json("rigl_step.json")["cases"]
    return cases, [case["name"] for case in cases]


def cosine_cases():
    rows = read_json("rigl_step.json")["cosine"]
    return rows, [f"{row['step']}-of-{row['T_end']}-from-{row['zeta']}" for row in rows]


def operator_rows():
    rows = read_json("soft_mellowmax.json")["rows"]
    return rows, [numbered(index, row["name"], row) for index, row in enumerate(rows)]


def return_cases():
    """Every (case, λ) for which a brute-force result is recorded."""
    with np.load(FOLDER / "td_lambda.npz", allow_pickle=False) as archive:
        recorded = [key for key in archive.files if "/bruteforce_lam" in key]
    return recorded, [key.replace("/bruteforce_lam", "-lambda") for key in recorded]


CASES = {
    "allocation_case": allocation_cases,
    "rigl_case": rigl_cases,
    "cosine_case": cosine_cases,
    "operator_row": operator_rows,
    "return_case": return_cases,
}


def pytest_generate_tests(metafunc):
    for fixture in CASES.keys() & set(metafunc.fixturenames):
        cases, ids = CASES[fixture]()
        metafunc.parametrize(fixture, cases, ids=ids)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with the recorded results: $MAST_REFERENCE, else our copy."""
    return FOLDER


@pytest.fixture(scope="session")
def load_arrays(reference):
    """Read an ``.npz`` file as ``{key: tensor}``."""

    def load(name):
        with np.load(reference / name, allow_pickle=False) as archive:
            return {key: torch.from_numpy(archive[key]) for key in archive.files}

    return load
