"""Windows and speed, from made-up curves."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from study_page import rows_of


def test_speed_is_the_steps_to_most_of_what_dense_learns(modules, make_study, monkeypatch):
    monkeypatch.setattr(modules["curves"], "SMOOTHED", 2)
    learned = {"dense": [0.0, 0.5, 1.5, 1.0], "mast": [0.0, 1.0, 1.0, 1.0],
               "rigl": [0.0, 0.0, 1.0, 0.5]}  # fmt: skip
    runs = [("a", method, 0.9 * (method != "dense"), 1, 1.0) for method in learned]
    study = make_study([*runs, ("a", "rigl", 0.9, 2, 0.0)])  # which stays at 0
    curves = [
        {**row, "step": 10_000 * i, "value": value}
        for row in study.curves[study.curves.step == 0].to_dict("records")
        for i, value in enumerate(learned[row["method"]] if row["seed"] == 1 else [0.0] * 4)
    ]
    rows = rows_of(modules["curves"].speed(replace(study, curves=pd.DataFrame(curves))))
    assert [(row["method"], row["a"]) for row in rows] == [
        ("dense", "20k"), ("mast", "20k"), ("rigl", "– (0 of 2)"),
    ]  # fmt: skip


def test_windows_are_the_last_evaluations(modules, make_study, monkeypatch):
    monkeypatch.setattr(modules["curves"], "WINDOWS", (2, 1))
    study = make_study([("a", "dense", 0.0, 1, 0.5), ("a", "mast", 0.9, 1, 0.5)])
    study.curves.loc[(study.curves.method == "mast") & (study.curves.step == 0), "value"] = 0.0
    two, one = rows_of(modules["curves"].windows(study))
    assert (two["evaluations"], one["evaluations"]) == ("2", "1")
    assert (two["mast 90 %, of dense"], one["mast 90 %, of dense"]) == ("50.0%", "100.0%")
    assert (two["share of the steps"], one["share of the steps"]) == ("100%", "0%")
    assert one["rlx2 95 %, of dense"] == "–"


def test_windows_compare_mast_with_its_rival(modules, make_study, monkeypatch):
    monkeypatch.setattr(modules["curves"], "WINDOWS", (2, 1))
    runs = [("a", "dense", 0.0, 1, 0.5), ("a", "mast", 0.9, 1, 0.6), ("a", "rlx2", 0.9, 1, 0.5)]
    study = make_study(runs)
    study.curves.loc[(study.curves.method == "rlx2") & (study.curves.step == 0), "value"] = 0.75
    section = modules["curves"].windows(study)
    assert "| 2 | rlx2 | 90 % | -0.050 | 0 of 1 | 1 |" in section.text
    assert "| 1 | rlx2 | 90 % | +0.200 | 1 of 1 | 1 |" in section.text
