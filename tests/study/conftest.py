"""Modules of benchmarks/study, and tables made up for them."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pandas as pd
import pytest
from study_records import FIRST, STUDY

PARTS = ("study", "wording", "drawing", "shares", "main_table", "costs", "curves", "variants",
         "networks", "diagnostics", "search", "progress")  # fmt: skip
SCORES = {"algorithm": "qmix", "hidden": 64, "commit": "abc", "wall_s": 60.0, "cpu": "x",
          "cores": 4, "at_once": 4.0, "steps": 200_000,
          "size_ratio": 0.05, "flops_train_ratio": 0.05, "flops_test_ratio": 0.05}  # fmt: skip
RUNS = ["task", "method", "sparsity", "seed", "final", *SCORES]
CURVES = ["task", "algorithm", "method", "sparsity", "hidden", "seed", "step", "value"]
DENSITIES = ["task", "seed", "agent", "density", "algorithm", "hidden", "method"]
SEARCH = ["task", "method", "seed", "final", "algorithm", "sparsity", "wall_s", "commit",
          "hidden", "steps"]  # fmt: skip
DIAGNOSTICS = ["task", "method", "sparsity", "seed", "commit", "metric", "step", "value"]


@pytest.fixture
def beside_its_modules(monkeypatch):
    """As when a file of the study is run: its folder comes first, and is left behind."""
    monkeypatch.syspath_prepend(STUDY)
    yield
    sys.modules.pop("plan", None)


def loaded(name):
    """A fixture: a file of the study, as when it is run."""

    @pytest.fixture
    def module(beside_its_modules):
        spec = importlib.util.spec_from_file_location(f"study_{name}", STUDY / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return module


plan = loaded("plan")
summarise = loaded("summarise")
tickets = loaded("tickets")
remaining = loaded("remaining")
rerun = loaded("rerun")
playing = loaded("random_returns")


@pytest.fixture(scope="module")
def modules():
    """``{name: module}`` of report.py and of sections/, as when report.py is run."""
    before = set(sys.modules)
    sys.path.insert(0, str(STUDY))
    try:
        yield {
            "report": importlib.import_module("report"),
            **{name: importlib.import_module(f"sections.{name}") for name in PARTS},
        }
    finally:
        sys.path.remove(str(STUDY))
        for name in set(sys.modules) - before:
            if name == "report" or name.partition(".")[0] == "sections":
                del sys.modules[name]


@pytest.fixture
def random_returns(modules, monkeypatch):
    """Of the made-up tasks."""
    returns = {**modules["study"].RANDOM, "a": 0.0, "b": 0.0, "c": 0.0}
    monkeypatch.setattr(modules["study"], "RANDOM", returns)
    return returns


@pytest.fixture
def make_study(modules, random_returns):
    def make(runs=(), densities=(), diagnostics=(), search=()):
        """Runs are (task, method, sparsity, seed, final, changes...); each has a curve.

        Those of the search are (task, method, seed, final), or with algorithm and sparsity.
        """
        rows = [
            {
                **SCORES,
                **dict(zip(RUNS[:5], run[:5], strict=True)),
                **(run[5] if len(run) > 5 else {}),
            }
            for run in runs
        ]
        curves = [{**row, "step": s, "value": row["final"]} for row in rows for s in (0, 10_000)]
        return modules["study"].Study(
            modules["study"].with_shares(pd.DataFrame(rows, columns=RUNS)),
            pd.DataFrame(curves, columns=CURVES),
            pd.DataFrame(
                [(*row, "qmix", 64, f"mast per_agent{FIRST}") for row in densities],
                columns=DENSITIES,
            ),
            pd.DataFrame(list(diagnostics), columns=DIAGNOSTICS),
            pd.DataFrame(
                [(*(*row, "qmix", 0.95)[:6], 120.0, "abc", 64, 1) for row in search],
                columns=SEARCH,
            ),
        )

    return make
