"""The searches, from made-up runs."""

from __future__ import annotations

from study_page import rows_of


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
    assert "8 minutes of one core without the search's 1 runs" in section.text
    assert "lr=" not in modules["search"].operator(study).text
