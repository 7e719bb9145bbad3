"""Overestimation and buffers, from made-up diagnostics."""

from __future__ import annotations

from study_page import lines_of, means_of, rows_of


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


def test_a_score_is_a_win_rate_where_a_task_has_one(modules, make_study):
    won, returned = "test_battle_won_mean", "test_return_mean"
    rows = [*logged("a", "mast", 1, **{won: [0.5], returned: [9.0]}),
            *logged("b", "mast", 1, **{returned: [3.0]})]  # fmt: skip
    scores = modules["diagnostics"]._score_of(make_study(diagnostics=rows).diagnostics)
    assert scores.set_index("task").value.to_dict() == {"a": 0.5, "b": 3.0}


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
