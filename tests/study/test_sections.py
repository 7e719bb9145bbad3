"""Sections of docs/results.md, from made-up tables; and that the page is of the study's own."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import colors
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
STUDY = REPOSITORY / "benchmarks" / "study"
PARTS = ("study", "wording", "drawing", "shares", "main_table", "costs", "curves", "variants",
         "networks", "diagnostics", "search", "progress")  # fmt: skip


FIRST = " mast.alpha=1.0"  # the default when parts and operators were run


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


SCORES = {"algorithm": "qmix", "hidden": 64, "commit": "abc", "wall_s": 60.0, "cpu": "x",
          "cores": 4, "at_once": 4.0, "steps": 200_000,
          "size_ratio": 0.05, "flops_train_ratio": 0.05, "flops_test_ratio": 0.05}  # fmt: skip
RUNS = ["task", "method", "sparsity", "seed", "final", *SCORES]
CURVES = ["task", "algorithm", "method", "sparsity", "hidden", "seed", "step", "value"]
DENSITIES = ["task", "seed", "agent", "density", "algorithm", "hidden", "method"]
SEARCH = ["task", "method", "seed", "final", "algorithm", "sparsity", "wall_s", "commit",
          "hidden", "steps"]  # fmt: skip
DIAGNOSTICS = ["task", "method", "sparsity", "seed", "commit", "metric", "step", "value"]


@pytest.fixture(autouse=True)
def random_returns(modules, monkeypatch):
    """Of the made-up tasks."""
    returns = {**modules["study"].RANDOM, "a": 0.0, "b": 0.0, "c": 0.0}
    monkeypatch.setattr(modules["study"], "RANDOM", returns)
    return returns


@pytest.fixture
def make_study(modules):
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


def rows_of(section):
    """``[{column: text}]`` of a section's table."""
    return rows_in(section.text)


def rows_in(text):
    """The same of a table in some text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = ([c.strip() for c in line.strip("|").split(" | ")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def lines_of(axis):
    """``{label: (colour, last value)}`` of the mean curves of a panel."""
    return {
        line.get_label(): (colors.to_hex(line.get_color()).upper(), line.get_ydata()[-1])
        for line in means_of(axis)
    }


def means_of(axis):
    """The lines of a panel but for those of single runs, which are thin."""
    return [line for line in axis.get_lines() if line.get_linewidth() > 0.5]


def test_without_runs_every_section_says_so(modules, make_study):
    study = make_study()
    for name, make in modules["report"].BLOCKS.items():
        if name != "progress":
            assert make(study) == modules["study"].Section("Not run yet."), name


def test_what_is_not_run_yet_is_said_by_sweep(modules, make_study):
    dense = ("SimpleSpread-3-v0", "dense", 0.0)
    runs = [(*dense, seed, -570.0, {"steps": 100_000}) for seed in (1, 2)]
    runs += [(*dense, 3, -570.0)]  # too many steps
    text = modules["progress"].progress(make_study(runs)).text
    assert re.match(r"2 of \d+ planned runs are in the tables.", text)
    rows = {row["sweep"]: row for row in rows_in(text)}
    planned, left = (int(rows["main.yaml"][key]) for key in ("planned", "not run yet"))
    assert (planned, left) == (4 * 13 * 8, planned - 2)
    assert "search/operator.yaml" in rows


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


def cells_of(section):
    """``{(method, sparsity): row}``."""
    return {(row["method"], row["sparsity"]): row for row in rows_of(section)}


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
    ratios, _, two, _, four, _ = text.split("\n\n")
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


@pytest.mark.parametrize("at_once", [1.9, 5.2, None])
def test_runs_beside_fewer_or_more_others_are_not_timed(modules, make_study, at_once):
    other = {"at_once": at_once, "wall_s": 600.0}
    study = make_study(
        [
            ("a", "stock", 0.0, 1, 0.8), ("a", "stock", 0.0, 2, 0.8, other),
            ("a", "mast", 0.9, 1, 0.8, {"wall_s": 30.0}), ("a", "mast", 0.9, 2, 0.8, other),
        ]
    )  # fmt: skip
    _, mast = rows_in(modules["costs"].costs(study).text.split("\n\n")[2])
    assert (mast["of stock dense"], mast["runs"]) == ("0.50", "1")


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


def test_a_caption_has_commits_and_commands(modules):
    runs = pd.DataFrame({"commit": ["b", "a", "b", "unknown"]})
    assert modules["study"].caption(runs, "main.yaml", "results/tickets.yaml") == (
        "*4 runs, code of commit `a`, `b`, `unknown`: `mast sweep benchmarks/study/main.yaml && "
        "python benchmarks/study/tickets.py && mast sweep "
        "benchmarks/study/results/tickets.yaml`, then `make study-report`.*"
    )


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


def test_mast_with_its_first_alpha_has_tables_of_its_own(modules, make_study):
    runs = [("a", "dense", 0.0, 1, 1.0), ("a", "mast", 0.95, 1, 0.9), ("a", "rigl", 0.95, 1, 0.7)]
    runs += [("a", f"mast{FIRST}", 0.95, 1, 0.5)]
    study = make_study(runs)
    scores = rows_of(modules["main_table"].main_table(study))
    assert [(r["method"], r["a"]) for r in scores] == [
        ("dense", "1.000"), ("mast", "0.900"), ("rigl", "0.700"),
    ]  # fmt: skip
    scores, shares, difference = modules["main_table"].first_alpha(study).text.split("\n\n")[:3]
    assert [(r["method"], r["a"]) for r in rows_in(scores)] == [("mast, α = 1", "0.500")]
    assert [(r["method"], r["mean"]) for r in rows_in(shares)] == [("mast, α = 1", "0.500")]
    assert [list(r.values())[:3] for r in rows_in(difference)] == [
        ["mast, α = 1", "95 %", "+0.400"]
    ]
    costs = rows_of(modules["costs"].costs(study))
    assert [r["method"] for r in costs] == ["dense", "mast", "mast, α = 1", "rigl"]


def test_tickets_are_compared_by_the_seeds_that_have_one(modules, make_study):
    runs = [("a", "mast", 0.95, seed, 0.9) for seed in (1, 2)]
    runs += [("a", "mast", 0.9, 1, 0.1), ("b", "mast", 0.95, 1, 0.1)]
    runs += [("a", "mast winning ticket", 0.95, 1, 0.8)]
    runs += [("a", "mast no_topology_evolution", 0.95, seed, 0.3) for seed in (1, 2)]
    section = modules["networks"].tickets(make_study(runs))
    assert [(r["task"], r["ticket"].split()[0], r["score [95 %]"], r["runs"])
            for r in rows_of(section)] == [
        ("a", "cheating", "0.900", "1"), ("a", "winning", "0.800", "1"),
        ("a", "random", "0.300", "1"),
    ]  # fmt: skip
    assert "3 runs, code of commit `abc`" in section.text
    [axis] = section.figures["study_tickets"].axes
    drawn = {label: value for label, (_, value) in lines_of(axis).items()}
    assert drawn == {"cheating": 0.9, "winning": 0.8, "random": 0.3}


def test_the_density_of_each_agent_is_a_mean_over_runs(modules, make_study):
    runs = [("a", f"mast per_agent{FIRST}", 0.9, seed, 0.9) for seed in (1, 2)]
    densities = [("a", 1, 0, 0.05), ("a", 2, 0, 0.07), ("a", 1, 1, 0.15), ("a", 2, 1, 0.13)]
    section = modules["networks"].agents(make_study(runs, densities))
    assert [(r["agent"], r["density"], r["runs"]) for r in rows_of(section)] == [
        ("0", "0.060 ± 0.014", "2"), ("1", "0.140 ± 0.014", "2"),
    ]  # fmt: skip
    assert "2 runs, code of commit `abc`" in section.text
    assert "study_agents" in section.figures


def logged(task, method, seed, **series):
    """Rows of diagnostics.csv: metric=[value at step 0, at 10 000, ...]."""
    return [
        (task, method, 0.95, seed, "abc", metric, 10_000 * i, value)
        for metric, values in series.items()
        for i, value in enumerate(values)
    ]


def test_overestimation_is_the_difference_within_each_run(modules, make_study, monkeypatch):
    monkeypatch.setattr(modules["diagnostics"], "LAST", 2)
    monkeypatch.setattr(modules["diagnostics"], "UNTRAINED_STEPS", 0)
    rows = [
        *logged("a", "mast", 1, mast_value_estimated=[9, 3, 5], mast_value_realised=[0, 2, 2]),
        *logged("a", "mast", 2, mast_value_estimated=[9, 4, 4], mast_value_realised=[0, 4, 4]),
        *logged("a", "mast no_sparsity", 1, mast_value_estimated=[7]),  # not of this figure
    ]  # fmt: skip
    section = modules["diagnostics"].overestimation(make_study(diagnostics=rows))
    [row] = rows_of(section)
    assert (row["estimated"], row["realised"], row["runs"]) == ("4.000", "3.000", "2")
    assert row["estimated − realised [95 %]"] == "1.000"
    values, difference = section.figures["study_overestimation"].axes
    estimated, realised = means_of(values)
    assert len(values.get_lines()) == 6  # with those of both runs
    assert list(estimated.get_ydata()) == [9.0, 3.5, 4.5]
    assert list(realised.get_ydata()) == [0.0, 3.0, 3.0]
    assert list(means_of(difference)[0].get_ydata()) == [9.0, 0.5, 1.5]


def test_buffers_are_compared_where_both_were_run(modules, make_study, monkeypatch):
    monkeypatch.setattr(modules["diagnostics"], "LAST", 1)
    one, two = "mast no_dual_buffers", "mast"
    rows = [
        *logged("a", one, 1, mast_distance_batch=[0.8, 0.4], test_return_mean=[0.0, 1.0]),
        *logged("a", two, 1, mast_distance_batch=[0.7, 0.3], mast_distance_large=[0.8, 0.4],
                mast_distance_newest=[0.4, 0.2], test_return_mean=[0.5, 1.5]),
        *logged("b", two, 1, mast_distance_batch=[0.7]),
    ]  # fmt: skip
    section = modules["diagnostics"].dual_buffers(make_study(diagnostics=rows))
    two_buffers, one_buffer = rows_of(section)
    assert one_buffer == {
        "task": "a", "buffers": "one", "distance: batch": "0.400", "distance: large": "–",
        "distance: newest": "–", "score [95 %]": "1.000", "two minus one [95 %]": "–", "runs": "1",
    }  # fmt: skip
    assert two_buffers == {
        "task": "a", "buffers": "two", "distance: batch": "0.300", "distance: large": "0.400",
        "distance: newest": "0.200", "score [95 %]": "1.500",
        "two minus one [95 %]": "0.500, above 0 on 1 of 1 seeds", "runs": "1",
    }  # fmt: skip
    distance, score = section.figures["study_buffers"].axes
    last = {label: value for label, (_, value) in lines_of(distance).items()}
    assert last == {
        "one buffer: batch": 0.4, "two buffers: batch": 0.3,
        "two buffers: its part from the large one": 0.4,
        "two buffers: its part from the small one": 0.2,
    }  # fmt: skip
    assert {value for _, value in lines_of(score).values()} == {1.0, 1.5}


def test_the_search_compares_settings_by_seeds_that_all_have(modules, make_study):
    one, two = "mast mast.alpha=1.0 mast.omega=10.0", "mast no_soft_mellowmax"
    rows = [("a", one, seed, score) for seed, score in ((101, 0.5), (102, 1.0), (104, 0.0))]
    rows += [("a", two, 101, 0.25), ("a", two, 102, 0.75), ("b", one, 101, 3.0), ("b", two, 101, 2)]
    section = modules["search"].operator(make_study(search=rows))
    first, second = rows_of(section)
    assert first == {"operator": "alpha=1.0 omega=10.0", "a": "0.750 ± 0.354", "b": "3.000",
                     "runs": "3"}  # fmt: skip
    assert (second["operator"], second["a"]) == ("no_soft_mellowmax", "0.500 ± 0.354")
    assert "14 minutes of one core in all" in section.text
    assert "mast sweep benchmarks/study/search/operator.yaml" in section.text


def test_the_second_search_is_a_difference_by_the_same_seeds(modules, make_study):
    one, ten = (f"mast mast.alpha={alpha} mast.omega=10.0" for alpha in ("1.0", "10.0"))
    rows = [("a", one, seed, 0.5) for seed in range(101, 107)]
    rows += [("a", ten, seed, 0.75) for seed in range(101, 106)]
    section = modules["search"].operator(make_study(search=rows))
    assert "0.500 [0.500, 0.500] | 0.750 [0.750, 0.750] | 0.250 [0.250, 0.250] | 5 of 5 seeds" in (
        section.text
    )


def test_learning_rates_are_compared_by_the_seeds_that_have_others(modules, make_study):
    mast = "mast mast.alpha=10.0 mast.omega=10.0"
    rows = [("a", "mast lr=0.002", seed, 0.5 * seed, "vdn", 0.9) for seed in (1, 2)]
    rows += [("a", "dense", 1, 0.75, "vdn", 0.0), ("a", "mast no_soft_mellowmax", 1, 0.1)]
    rows += [("a", "mast lr=0.001", 3, 1.0), *(("a", mast, seed, 0.2 * seed) for seed in (3, 4))]
    study = make_study(search=rows)
    section = modules["search"].learning_rate(study)
    assert [list(row.values()) for row in rows_of(section)] == [
        ["a", "qmix", "mast", "95 %", "0.600", "1"],
        ["a", "qmix", "mast lr=0.001", "95 %", "1.000", "1"],
        ["a", "vdn", "dense", "dense", "0.750", "1"],
        ["a", "vdn", "mast lr=0.002", "90 %", "0.750 ± 0.354", "2"],
    ]  # fmt: skip
    assert "8 minutes of one core" in section.text
    assert "lr=" not in modules["search"].operator(study).text


def test_a_method_has_the_same_colour_in_every_figure(modules):
    colours_of, order = modules["drawing"].colours_of, modules["study"].ORDER
    all_of_them = colours_of(order)
    assert len(set(all_of_them.values())) == len(order)
    some = colours_of(["x", "mast", "y", "dense"])
    assert (some["mast"], some["dense"]) == (all_of_them["mast"], all_of_them["dense"])
    assert len(set(some.values())) == 4


def test_a_section_without_a_block_is_named(modules):
    section = modules["study"].Section("text")
    page = "before\n<!-- one -->\n\nold\n\n<!-- end -->\nafter\n"
    filled = modules["report"].filled
    assert filled(page, {"one": section}) == page.replace("old", "text")
    with pytest.raises(ValueError, match="the page has no block <!-- two -->"):
        filled(page, {"one": section, "two": section})


def test_the_page_has_the_sections_of_the_study(modules):
    """``make study-report`` was run after the last change of the tables."""
    study = modules["study"].Study.read(STUDY)
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    for name, make in modules["report"].BLOCKS.items():
        section = make(study)
        assert f"<!-- {name} -->\n\n{section.text}\n\n<!-- end -->" in page, name
        for figure in section.figures:
            with Image.open(REPOSITORY / "docs" / "figures" / f"{figure}.png") as picture:
                assert picture.text["Source"] == modules["report"].digest(STUDY), figure
