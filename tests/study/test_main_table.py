"""Scores, shares of dense and differences, from made-up runs."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from study_page import cells_of, rows_in, rows_of
from study_records import FIRST


def test_scores_are_shares_of_their_own_dense_runs_from_random(make_study, random_returns):
    random_returns["b"] = -30.0
    runs = make_study(
        [
            ("a", "dense", 0.0, 1, 0.8), ("a", "dense", 0.0, 2, 0.4), ("a", "mast", 0.9, 1, 0.9),
            ("a", "mast", 0.9, 1, 0.9, {"hidden": 256}),
            ("b", "dense", 0.0, 1, -10.0), ("b", "mast", 0.9, 1, -15.0),
        ]
    ).runs  # fmt: skip
    assert runs.of_dense[2] == pytest.approx(0.9 / 0.6)
    assert pd.isna(runs.of_dense[3])  # no dense runs of that width
    assert (runs.gain[5], runs.of_dense[5]) == pytest.approx((15.0, 0.75))


def test_a_task_without_a_random_return_is_named(make_study):
    with pytest.raises(KeyError, match="RANDOM has no new: see random_returns"):
        make_study([("new", "dense", 0.0, 1, 0.8)])


def test_the_main_table_has_scores_and_how_many_seeds(modules, make_study):
    study = make_study(
        [("a", "mast", 0.9, seed, seed / 10) for seed in (1, 2, 3)]
        + [("b", "mast", 0.9, 1, 0.5), ("a", "dense", 0.0, 1, 0.25)]
    )
    found = cells_of(modules["main_table"].main_table(study))
    assert found["mast", "90 %"] == {
        "method": "mast", "sparsity": "90 %", "a": "0.200 ± 0.100", "b": "0.500", "seeds": "1 to 3",
    }  # fmt: skip
    assert (found["dense", "dense"]["b"], found["dense", "dense"]["seeds"]) == ("–", "1")


def test_shares_count_tasks_alike_by_the_seeds_that_are_on_all(modules, make_study):
    study = make_study(
        [(task, "dense", 0.0, seed, level) for task, level in (("a", 0.5), ("b", 2.0))
         for seed in (1, 2)]
        + [("a", "mast", 0.9, seed, score) for seed, score in ((1, 0.5), (2, 0.25), (3, 0.0))]
        + [("b", "mast", 0.9, seed, 1.0) for seed in (1, 2)]
    )  # fmt: skip
    row = cells_of(modules["main_table"].of_dense(study))["mast", "90 %"]
    assert (row["a"], row["b"]) == ("0.500", "0.500")
    assert (row["mean"], row["seeds on every task"]) == ("0.625", "2")  # of 1, 0.5, 0.5, 0.5
    assert row["IQM"] == "0.500"
    assert row["runs below 0.8"] == "4 of 5"


def test_intervals_of_shares_know_that_dense_varies(modules, make_study):
    def interval(dense):
        runs = [("a", "dense", 0.0, seed, score) for seed, score in enumerate(dense)]
        runs += [("a", "mast", 0.9, seed, 1.0) for seed in range(5)]
        found = cells_of(modules["main_table"].of_dense(make_study(runs)))["mast", "90 %"]["a"]
        return found

    assert interval([1.0] * 5) == "1.000 [1.000, 1.000]"
    share, low, high = (float(x) for x in re.findall(r"[\d.]+", interval([0.8, 0.9, 1, 1.1, 1.2])))
    assert share == 1.0
    assert 0.85 < low < 0.95 < 1.05 < high < 1.2
    assert interval([1.0] * 4) == "1.000"  # too few for an interval


def test_mast_is_compared_with_others_by_common_seeds(modules, make_study):
    runs = [(task, "dense", 0.0, 1, 1.0) for task in "ab"]
    runs += [(task, "mast", 0.9, seed, 0.8) for task in "ab" for seed in range(6)]
    runs += [("a", "rigl", 0.9, seed, 0.7) for seed in range(1, 8)]
    runs += [("b", "rigl", 0.9, seed, 0.9 - 0.1 * (seed == 5)) for seed in range(1, 6)]
    runs += [("a", "set", 0.9, seed, 0.7) for seed in range(6)]  # not run on b
    [row] = rows_of(modules["main_table"].differences(make_study(runs)))
    assert (row["MAST minus"], row["at"], row["seeds"]) == ("rigl", "90 %", "5")
    assert row["of dense, difference [95 %]"] == "+0.010 [+0.000, +0.030]"
    assert row["tasks on which MAST's mean is higher"] == "1 of 2"


def test_mast_is_compared_with_what_it_is_without_sparsity(modules, make_study):
    runs = [("a", "dense", 0.0, 1, 1.0), ("a", "mast no_sparsity", 0.0, 1, 0.9)]
    runs += [("a", "mast", sparsity, 1, 0.7) for sparsity in (0.9, 0.95)]
    study = make_study(runs)
    rows = rows_of(modules["main_table"].differences(study))
    assert [list(row.values())[:3] for row in rows] == [
        ["mast no_sparsity", "90 %", "-0.200"], ["mast no_sparsity", "95 %", "-0.200"],
    ]  # fmt: skip
    names = [row["method"] for row in rows_of(modules["main_table"].main_table(study))]
    assert names == ["dense", "mast no_sparsity", "mast", "mast"]


def test_mast_with_its_first_alpha_has_tables_of_its_own(modules, make_study):
    runs = [("a", "dense", 0.0, 1, 1.0), ("a", "mast", 0.95, 1, 0.9), ("a", "rigl", 0.95, 1, 0.7)]
    runs += [("a", f"mast{FIRST}", 0.95, 1, 0.5)]
    study = make_study(runs)
    scores = rows_of(modules["main_table"].main_table(study))
    assert [(r["method"], r["a"]) for r in scores] == [
        ("dense", "1.000"), ("mast", "0.900"), ("rigl", "0.700"),
    ]  # fmt: skip
    text = modules["main_table"].first_alpha(study).text
    scores, shares, difference, caption = text.split("\n\n")
    assert [(r["method"], r["a"]) for r in rows_in(scores)] == [("mast, α = 1", "0.500")]
    assert "*3 runs" in caption  # with those it is compared with
    assert [(r["method"], r["mean"]) for r in rows_in(shares)] == [("mast, α = 1", "0.500")]
    assert [list(r.values())[:3] for r in rows_in(difference)] == [
        ["mast, α = 1", "95 %", "+0.400"]
    ]
    costs = rows_of(modules["costs"].costs(study))
    assert [r["method"] for r in costs] == ["dense", "mast", "mast, α = 1", "rigl"]
