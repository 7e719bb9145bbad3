"""Sparsities, operators, parts, Δ_m and other algorithms, from made-up runs."""

from __future__ import annotations

import pytest
from study_page import lines_of, rows_in, rows_of
from study_records import FIRST


def test_sparsities_have_a_panel_for_each_task_with_more_than_two(modules, make_study):
    runs = [("a", "dense", 0.0, 1, 0.9), ("b", "dense", 0.0, 1, 0.9)]
    runs += [("a", "mast", s, 1, 1 - s) for s in (0.8, 0.9, 0.95, 0.975)]
    runs += [("b", "mast", s, 1, 1 - s) for s in (0.9, 0.95)]
    runs += [("a", "rigl", 0.9, 1, 0.3)]
    section = modules["variants"].critical(make_study(runs))
    [minus] = [row for row in rows_of(section) if row["method"] == "rigl"]
    assert minus["MAST minus it, of dense [95 %]"] == "-0.222"  # of 0.1 - 0.3 over 0.9
    assert [row["sparsity"] for row in rows_of(section)] == ["dense", "80 %", "90 %", "95 %",
                                                             "97.5 %", "90 %"]  # fmt: skip
    [axis] = section.figures["study_sparsity"].axes
    assert axis.get_title(loc="left") == "a"
    curve = next(line for line in axis.get_lines() if len(line.get_xdata()) == 4)
    assert list(curve.get_xdata()) == pytest.approx([80, 90, 95, 97.5], abs=0.4)
    assert list(curve.get_ydata()) == pytest.approx([0.2, 0.1, 0.05, 0.025])


def test_operators_include_max_and_mast_by_the_same_seeds(modules, make_study):
    runs = [("a", "dense", 0.0, 1, 1.0)]
    runs += [("a", "mast", 0.95, seed, 0.1 * seed) for seed in (1, 2, 3)]
    runs += [("a", f"mast{FIRST}", 0.9, 1, 0.9), ("a", "mast", 0.9, 1, 0.9)]
    runs += [("a", f"mast{FIRST}", 0.95, seed, 0.8) for seed in (1, 2)]
    runs += [("a", "mast no_soft_mellowmax", 0.95, seed, 0.5) for seed in (1, 3)]
    runs += [("a", f"mast mast.operator=softmax{FIRST}", 0.95, 1, 0.7)]
    section = modules["variants"].operators(make_study(runs))
    found = {row["operator"]: row for row in rows_of(section)}
    mast, first, softmax = "soft_mellowmax, α = 10", "soft_mellowmax, α = 1", "softmax, α = 1"
    assert {k: v["runs"] for k, v in found.items()} == {
        mast: "2", first: "1", "max": "2", softmax: "1",
    }  # fmt: skip
    assert found[mast]["score [95 %]"] == "0.200"
    assert found[softmax]["of dense"] == "70.0%"
    # Beside MAST's run of the same seed alone.
    assert found[softmax]["MAST, same seeds"] == "0.100"
    assert found[softmax]["difference, of dense [95 %]"] == "+0.600"
    assert found[first]["difference, of dense [95 %]"] == "+0.700"
    assert found["max"]["difference, of dense [95 %]"] == "+0.300"
    assert found[mast]["MAST, same seeds"] == "–"
    drawn = lines_of(section.figures["study_operators"].axes[0])
    assert {k: round(value, 6) for k, (_, value) in drawn.items()} == {
        mast: 0.2, first: 0.8, "max": 0.5, softmax: 0.7,
    }  # fmt: skip


def test_parts_have_a_table_for_each_alpha(modules, make_study):
    runs = [("a", "dense", 0.0, 1, 1.0), ("a", "mast", 0.95, 1, 0.9)]
    runs += [("a", f"mast{FIRST}", 0.95, 1, 0.5), ("a", "mast no_soft_mellowmax", 0.95, 1, 0.6)]
    runs += [("a", f"mast no_td_lambda{FIRST}", 0.95, 1, 0.2)]
    runs += [("a", f"mast no_sparsity{FIRST}", 0.0, 1, 0.8)]
    runs += [("a", "mast no_topology_evolution", 0.95, 1, 0.3)]  # a random ticket
    text = modules["variants"].parts(make_study(runs)).text
    new, first = text.split("With α = 1:")
    assert new.startswith("With α = 10")
    cells = [("mast", "0.900", "–"), ("mast no_soft_mellowmax", "0.600", "-0.300"),
             ("mast no_topology_evolution", "0.300", "-0.600")]  # fmt: skip
    assert scores_in(new) == cells
    cells = [
        ("mast, α = 1", "0.500", "–"), ("mast no_soft_mellowmax", "0.600", "+0.100"),
        ("mast no_sparsity, α = 1", "0.800", "+0.300"),
        ("mast no_td_lambda, α = 1", "0.200", "-0.300"),
    ]  # fmt: skip
    assert scores_in(first) == cells


def scores_in(text):
    """(method, score, difference) of each row of a block of parts."""
    rows = rows_in(text)
    return [(r["method"], r["score [95 %]"], r["difference, of dense [95 %]"]) for r in rows]


def test_a_learning_rate_is_beside_dense_of_the_same(modules, make_study):
    vdn, seeds = {"algorithm": "vdn"}, (1, 2, 3, 4, 5)
    levels = {"dense": 0.5, "dense lr=0.002": 0.8, "mast": 0.4, "mast lr=0.002": 0.6,
              "mast lr=0.001": 0.3}  # fmt: skip
    runs = [
        ("a", method, 0.9 * method.startswith("mast"), seed, level, vdn)
        for method, level in levels.items()
        for seed in seeds
    ]
    rows = rows_of(modules["variants"].others(make_study(runs)))
    assert {r["method"]: r["of dense, same rate"] for r in rows} == {
        "dense": "–", "dense lr=0.002": "1.000 [1.000, 1.000]", "mast": "–",
        "mast lr=0.002": "0.750 [0.750, 0.750]", "mast lr=0.001": "–",
    }  # fmt: skip


def test_intervals_are_compared_by_the_seeds_of_the_scaled_ones(modules, make_study):
    scaled = " mast.topology_interval=25"
    runs = [("a", "dense", 0.0, 1, 1.0), ("a", "mast", 0.9, 1, 0.1)]
    runs += [("a", "mast", 0.95, seed, 0.5 + seed / 10) for seed in (1, 2, 3)]
    runs += [("a", f"mast{scaled}", 0.95, seed, 0.7) for seed in (1, 2)]
    runs += [("a", "rigl", 0.95, 1, 0.4)]
    runs += [("a", f"rigl{scaled}", 0.95, seed, seed / 10) for seed in (2, 3)]  # nothing beside
    runs += [("a", "set", 0.95, 1, 0.4), ("a", f"set{scaled}", 0.95, 1, 0.3)]
    runs += [("a", f"set{scaled}", 0.95, 2, 0.0)]
    section = modules["variants"].interval(make_study(runs))
    assert [list(row.values()) for row in rows_of(section)] == [
        ["a", "mast", "0.650", "0.700", "+0.050", "2"],
        ["a", "set", "0.400", "0.300", "-0.100", "1"],
    ]  # fmt: skip
    assert "*6 runs" in section.text


def test_other_algorithms_and_widths_are_beside_their_own_dense_runs(modules, make_study):
    vdn, wide = {"algorithm": "vdn"}, {"hidden": 256}
    runs = [("a", "dense", 0.0, 1, 1.0), ("a", "dense", 0.0, 1, 0.5, vdn)]
    runs += [("a", "dense", 0.0, seed, 0.5, vdn) for seed in (2, 3, 4, 5)]
    runs += [("a", "mast", 0.9, seed, 0.4, vdn) for seed in (1, 2, 3, 4, 5)]
    runs += [("a", "mast", 0.9, seed, 0.8, wide) for seed in (1, 2, 3, 4, 5)]  # no dense run
    runs += [("a", "rigl", 0.9, 1, 0.8, wide)]  # of an earlier plan
    section = modules["variants"].others(make_study(runs))
    assert [(r["algorithm"], r["hidden"], r["method"], r["of dense"], r["runs"])
            for r in rows_of(section)] == [
        ("qmix", "256", "mast", "–", "5"),
        ("vdn", "64", "dense", "1.000 [1.000, 1.000]", "5"),
        ("vdn", "64", "mast", "0.800 [0.800, 0.800]", "5"),
    ]  # fmt: skip
