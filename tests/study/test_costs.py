"""Wall times, from made-up runs."""

from __future__ import annotations

import pytest
from study_page import rows_in


def test_wall_times_are_means_over_tasks_of_each_machine_that_has_stock(modules, make_study):
    two = {"cores": 2, "at_once": 2.0, "wall_s": 600.0}
    other = {"cores": 8, "at_once": 8.0, "wall_s": 1.0}  # no stock on b
    study = make_study(
        [
            ("a", "stock", 0.0, 1, 0.8, {"wall_s": 120.0}),
            ("a", "stock", 0.0, 2, 0.8, {"wall_s": 360.0}), ("b", "stock", 0.0, 1, 0.8),
            ("a", "stock", 0.0, 3, 0.8, two), ("b", "stock", 0.0, 3, 0.8, two),
            ("a", "stock", 0.0, 4, 0.8, other),
            ("b", "dense", 0.0, 1, 0.8),
            ("a", "dense", 0.0, 3, 0.8, two), ("b", "dense", 0.0, 3, 0.8, two),
            ("a", "mast", 0.9, 1, 0.8, {"wall_s": 120.0}),
            ("b", "mast", 0.9, 1, 0.8, {"wall_s": 12.0}),
            ("a", "mast", 0.9, 3, 0.8, {**two, "wall_s": 300.0}), ("b", "mast", 0.9, 4, 0.8, other),
            ("a", "mast", 0.95, 3, 0.8, {**two, "wall_s": 300.0}),
            ("b", "mast", 0.95, 3, 0.8, {**two, "wall_s": 150.0}),
        ]
    )  # fmt: skip
    text = modules["costs"].costs(study).text
    ratios, window, _, two, _, four, _ = text.split("\n\n")
    assert window == (
        "Wall times, where 0.62 to 1.13 of the study's runs ran at once for every core:"
    )
    assert rows_in(ratios)[2] == {
        "method": "mast", "sparsity": "90 %", "size": "0.050 (20×)",
        "FLOPs, training": "0.050 (20×)", "FLOPs, acting": "0.050 (20×)",
    }  # fmt: skip
    # On four cores our dense has not run on a, nor on two MAST at 90 % on b.
    assert "x, 4 cores:\n\n" + four in text
    assert "x, 2 cores:\n\n" + two in text
    assert [list(row.values()) for row in rows_in(four)] == [
        ["stock", "dense", "2.5", "1.00", "3"],  # of 4 and 1
        ["mast", "90 %", "1.1", "0.35", "2"],  # of 120/240 and 12/60
    ]  # fmt: skip
    assert [list(row.values()) for row in rows_in(two)] == [
        ["stock", "dense", "10.0", "1.00", "1.00", "2"],
        ["dense", "dense", "10.0", "1.00", "1.00", "2"],
        ["mast", "95 %", "3.8", "0.38", "0.38", "2"],
    ]  # fmt: skip


@pytest.mark.parametrize("at_once", [1.9, 2.4, 4.6, 5.2, None])
def test_runs_beside_fewer_or_more_others_are_not_timed(modules, make_study, at_once):
    other = {"at_once": at_once, "wall_s": 600.0}
    study = make_study(
        [
            ("a", "stock", 0.0, 1, 0.8), ("a", "stock", 0.0, 2, 0.8, other),
            ("a", "mast", 0.9, 1, 0.8, {"wall_s": 30.0}), ("a", "mast", 0.9, 2, 0.8, other),
        ]
    )  # fmt: skip
    _, mast = rows_in(modules["costs"].costs(study).text.split("\n\n")[3])
    assert (mast["of stock dense"], mast["runs"]) == ("0.50", "1")


@pytest.mark.parametrize("at_once", [2.5, 4.5])
def test_runs_at_the_edges_of_what_is_comparable_are_timed(modules, make_study, at_once):
    other = {"at_once": at_once, "wall_s": 180.0}
    study = make_study([("a", "stock", 0.0, 1, 0.8), ("a", "stock", 0.0, 2, 0.8, other)])
    [stock] = rows_in(modules["costs"].costs(study).text.split("\n\n")[3])
    assert (stock["minutes"], stock["runs"]) == ("2.0", "2")
