"""Known numbers in, those numbers out."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest

from epymarl_mast.report.make import Request, make_report
from epymarl_mast.report.statistics import Aggregate, bootstrap_band

MAST, DENSE = (0.1, 0.5, 0.7, 0.9), (0.8, 0.9, 0.7, 0.8)


@pytest.fixture(scope="module")
def results(record_in, configure, tmp_path_factory):
    """Two methods on two tasks, four seeds; on the second task every score is half."""
    folder = tmp_path_factory.mktemp("results")
    record = record_in(folder)
    costs = {"mast_size_ratio": 0.1, "mast_flops_train_ratio": 0.1, "mast_flops_test_ratio": 0.2}
    for factor, task in ((1.0, "3m"), (0.5, "8m")):
        for seed, (mast, dense) in enumerate(zip(MAST, DENSE, strict=True)):
            record(configure(task=task, seed=seed), mast * factor, costs=costs, minutes=6 + seed)
            record(configure("dense", task=task, seed=seed), dense * factor, minutes=30)
    return folder


@pytest.fixture(scope="module")
def table(results):
    lines = list(make_report(Request((str(results),), results / "out")))
    assert "16 runs compared, 0 left out" in lines
    return pd.read_csv(results / "out" / "performance.csv").set_index(["task", "method"])


def test_scores_of_one_task(table):
    row = table.loc[("3m", "mast_qmix")]
    assert row["runs"] == 4
    assert row["sparsity"] == 0.9
    assert row["metric"] == "test_battle_won_mean"
    assert row["mean"] == pytest.approx(0.55, abs=1e-12)
    assert row["std"] == pytest.approx(statistics.stdev(MAST), abs=1e-12)
    assert row["iqm"] == pytest.approx((0.5 + 0.7) / 2, abs=1e-12)
    assert row["of_dense"] == pytest.approx(0.55 / 0.8, abs=1e-12)
    assert row["size_ratio"] == row["flops_train_ratio"] == 0.1
    assert row["flops_test_ratio"] == 0.2
    assert row["minutes"] == pytest.approx(7.5)
    dense = table.loc[("3m", "mast_qmix dense")]
    assert (dense["sparsity"], dense["of_dense"]) == (0.0, 1.0)
    assert np.isnan(dense["size_ratio"])


def test_all_tasks_are_normalised_to_dense_first(table):
    row = table.loc[("all tasks", "mast_qmix")]
    scores = [score / 0.8 for score in MAST] * 2
    assert row["runs"] == 8
    assert row["metric"] == "share of dense"
    assert row["mean"] == pytest.approx(statistics.mean(scores), abs=1e-12)
    assert row["std"] == pytest.approx(statistics.stdev(scores), abs=1e-12)
    assert row["iqm"] == pytest.approx(statistics.mean(sorted(scores)[2:6]), abs=1e-12)


@pytest.fixture
def reported(tmp_path):
    """Make a report of the runs below a folder: the table, and all lines."""

    def make(**request):
        lines = list(make_report(Request((str(tmp_path),), tmp_path / "out", **request)))
        assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.html"}
        table = pd.read_csv(tmp_path / "out" / "performance.csv")
        return table.set_index(["task", "method"]), lines

    return make


def test_a_dense_mean_of_zero_is_told(record, configure, reported, tmp_path):
    """Nothing can be divided by it: no share, and raw means over all tasks."""
    for task, mast, dense in (("3m", 0.6, 0.5), ("8m", 0.2, 0.0)):
        for seed in (1, 2):
            record(configure(task=task, seed=seed), mast)
            record(configure("dense", task=task, seed=seed), dense)
    table, lines = reported()
    assert table.loc[("3m", "mast_qmix"), "of_dense"] == pytest.approx(1.2)
    assert np.isnan(table.loc[("8m", "mast_qmix"), "of_dense"])
    assert table.loc[("all tasks", "mast_qmix"), "metric"] == "test_battle_won_mean"
    assert table.loc[("all tasks", "mast_qmix"), "mean"] == pytest.approx(0.4)
    notes = [
        "of dense is empty on 8m: the dense mean there is 0",
        "all tasks: scores are not divided by dense means: the dense mean on 8m is 0",
    ]
    assert [line for line in lines if line in notes] == notes
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(note in page for note in notes)


def test_a_method_that_scores_zero_is_compared_all_the_same(record, configure, reported):
    for task, mast in (("3m", 0.0), ("8m", 0.3)):
        for seed in (1, 2):
            record(configure(task=task, seed=seed), mast)
            record(configure("dense", task=task, seed=seed), 0.6)
    table, lines = reported()
    row = table.loc[("all tasks", "mast_qmix")]
    assert (row["metric"], row["mean"]) == ("share of dense", pytest.approx(0.25))
    assert not [line for line in lines if "dense mean" in line]


def test_tasks_without_dense_runs_are_told(record, configure, reported):
    for task, metric in (("3m", "test_battle_won_mean"), ("lbf", "test_return_mean")):
        record(configure(task=task), 0.5, metric=metric)
    table, lines = reported()
    assert "all tasks" not in table.index.get_level_values("task")
    assert (
        "all tasks is left out, as tasks have several metrics: no dense runs to compare mast_qmix "
        "with on 3m; no dense runs to compare mast_qmix with on lbf"
    ) in lines


def test_one_run_is_said_as_one(record, configure, reported):
    record(configure(), 0.5)
    _, lines = reported()
    assert "1 run compared, 0 left out" in lines


def quantiles_of_all_resamples(tasks, statistic, near):
    """The exact bootstrap distribution, by listing every resample of every task."""
    draws = itertools.product(*(itertools.product(t, repeat=len(t)) for t in tasks))
    values = [statistic([x for part in draw for x in part]) for draw in draws]
    return np.quantile(values, near)


def middle_half(scores):
    scores, cut = sorted(scores), int(len(scores) / 4)
    return statistics.mean(scores[cut : len(scores) - cut])


@pytest.mark.parametrize(
    ("name", "statistic"), [("mean_interval", statistics.mean), ("iqm_interval", middle_half)]
)
@pytest.mark.parametrize(
    "tasks", [[(0.13, 0.52, 0.71, 0.94)], [(0.1, 0.45, 0.6), (5.0, 5.3, 6.1)]], ids=["one", "two"]
)
def test_intervals_are_those_of_the_stratified_bootstrap(tasks, name, statistic):
    """Ten thousand resamples against all of them; drawing across tasks would be far wider."""
    aggregate = Aggregate.of([np.array(scores) for scores in tasks])
    low, high = getattr(aggregate, name)
    floor, first, second, ceiling = quantiles_of_all_resamples(
        tasks, statistic, [0.021, 0.029, 0.971, 0.979]
    )
    assert floor - 1e-12 <= low <= first + 1e-12
    assert second - 1e-12 <= high <= ceiling + 1e-12


def test_one_run_has_no_interval():
    aggregate = Aggregate.of([np.array([0.4])])
    assert aggregate.mean == aggregate.iqm == 0.4
    assert np.isnan([aggregate.std, *aggregate.mean_interval, *aggregate.iqm_interval]).all()


def test_the_band_of_a_curve_is_the_interval_of_its_mean():
    curves = np.array([[0.0, 2.0], [1.0, 2.0], [2.0, 2.0], [5.0, 2.0]])
    low, high = bootstrap_band(curves)
    exact = quantiles_of_all_resamples([(0.0, 1.0, 2.0, 5.0)], statistics.mean, [0.025, 0.975])
    assert [low[0], high[0]] == pytest.approx(exact, abs=0.25)
    assert low[1] == high[1] == 2.0


def test_the_same_runs_give_the_same_files(results, table):
    list(make_report(Request((str(results),), results / "again")))
    once, twice = (
        {path.name: path.read_bytes() for path in (results / name).iterdir()}
        for name in ("out", "again")
    )
    assert once == twice


def test_fewer_evaluations_are_a_score_of_their_own(results):
    list(make_report(Request((str(results),), results / "last", last=1)))
    table = pd.read_csv(results / "last" / "performance.csv").set_index(["task", "method"])
    assert table.loc[("3m", "mast_qmix"), "mean"] == pytest.approx(0.6)  # each ends 0.05 above


def test_tables_in_three_forms(results, table):
    markdown = (results / "out" / "performance.md").read_text().splitlines()
    assert len(markdown) == 2 + 6
    assert len({line.count("|") for line in markdown}) == 1
    latex = (results / "out" / "performance.tex").read_text()
    assert latex.count(r"\\") == 1 + 6
    assert r"mast\_qmix & 90\% & 4 & 0.550 $\pm$ 0.342 & 0.600 [" in latex
