"""The study's tables, from made-up records."""

from __future__ import annotations

import json

from study_records import RETURNS, STUDY, main_run, make_record, summarised

from epymarl_mast.sweep.plan import read_sweep


def test_a_record_becomes_a_row(summarise, tmp_path, monkeypatch):
    returns = {"steps": [*range(0, 250, 10)], "values": [0.0] * 5 + [0.25, 0.75] * 10}
    ratio = {"steps": [10], "values": [0.06]}
    density = {"steps": [10, 20], "values": [0.1, 0.125]}
    metrics = {
        "test_return_mean": returns, "mast_size_ratio": ratio, "mast_density_agent_1": density,
    }  # fmt: skip
    made_with = {"commit": "0123456789abcdef+changes", "cores": 8}
    make_record(main_run(), tmp_path, metrics, host={"cpu": "x", "epymarl_mast": made_with})
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    [row] = written["summary.csv"].to_dict("records")
    assert list(row) == summarise.COLUMNS
    assert row == {
        "task": "Foraging-5x5-2p-1f-v3", "algorithm": "qmix", "method": "mast", "sparsity": 0.95,
        "hidden": 64, "seed": 1, "final": 0.5, "steps": 200_000, "wall_s": 300.0,
        "flops_train_ratio": 1.0, "flops_test_ratio": 1.0, "size_ratio": 0.06,
        "commit": "0123456789+changes",
    }  # fmt: skip
    densities = written["densities.csv"].to_dict("records")
    cell = {key: row[key] for key in list(row)[:6]}
    assert densities == [{**cell, "agent": 1, "density": 0.125}]
    assert written["curves.csv"].value.tolist() == returns["values"]
    [machine] = written["machines.csv"].to_dict("records")
    assert machine == {
        **cell,
        "cpu": "x",
        "cores": 8,
        "at_once": 1.0,
    }


def test_runs_of_other_results_stay_in_the_tables(summarise, tmp_path, monkeypatch):
    tables = tmp_path / "tables"
    make_record(main_run(seed=1), tmp_path / "there", RETURNS)
    make_record(main_run(seed=2), tmp_path / "there", RETURNS)
    summarised(summarise, tmp_path / "there", tables, monkeypatch)
    better = {"test_return_mean": {"steps": [0, 20], "values": [1.0, 1.0]}}
    make_record(main_run(seed=2), tmp_path / "here", better)
    make_record(main_run(seed=3), tmp_path / "here", RETURNS)
    written = summarised(summarise, tmp_path / "here", tables, monkeypatch)
    assert written["summary.csv"][["seed", "final"]].to_numpy().tolist() == [
        [1, 0.25], [2, 1.0], [3, 0.25],
    ]  # fmt: skip
    machines = written["machines.csv"]
    assert machines.cores.isna().all()  # which these records do not say
    assert written["curves.csv"][["seed", "step"]].to_numpy().tolist() == [
        [1, 0], [1, 10], [2, 0], [2, 20], [3, 0], [3, 10],
    ]  # fmt: skip
    assert written["machines.csv"].seed.tolist() == [1, 2, 3]
    again = summarised(summarise, tmp_path / "nothing", tables, monkeypatch)
    assert all(table.equals(written[name]) for name, table in again.items())
    machines.assign(cores=[4, 2, 8]).to_csv(tables / "machines.csv", index=False)
    again = summarised(summarise, tmp_path / "here", tables, monkeypatch)["machines.csv"]
    assert again.cores.tolist() == [4, 2, 8]  # known from before


def test_how_many_ran_at_once_is_a_mean_over_the_run(summarise, tmp_path, monkeypatch):
    def times(start, stop, **more):
        return {
            "start_time": f"2026-01-01T00:{start}",
            "stop_time": stop and f"2026-01-01T00:{stop}",
            **more,
        }

    make_record(main_run(seed=1), tmp_path, RETURNS, **times("00:00", "04:00"))
    make_record(main_run(seed=2), tmp_path, RETURNS, **times("03:00.500000", "05:00.500000"))
    # Not a row, but it took a core: a failed run, and one that is still running.
    make_record(main_run(seed=3), tmp_path, RETURNS, **times("01:00", "02:00", status="FAILED"))
    running = times("04:30", None, status="RUNNING", heartbeat="2026-01-01T00:09:00")
    make_record(main_run(seed=4), tmp_path, RETURNS, **running)
    half = make_record(main_run(seed=5), tmp_path, RETURNS)
    (half / "run.json").write_text("{")
    machines = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)["machines.csv"]
    # 4 minutes, one of them with the failed one and one with the second: 1 + 1/4 + 59.5/240
    assert machines[["seed", "at_once"]].to_numpy().tolist() == [[1, 1.5], [2, 1.8]]


def test_the_search_is_on_other_tasks_and_seeds_and_in_a_table_of_its_own(
    plan, summarise, tmp_path, monkeypatch
):
    tried = plan.runs_of((STUDY / "search").glob("*.yaml"))
    others = plan.runs_of(STUDY.glob("*.yaml"))
    for key in ("task", "seed"):
        assert not {plan.cell_of(r)[key] for r in tried} & {plan.cell_of(r)[key] for r in others}
    first = read_sweep(STUDY / "search" / "operator.yaml").runs[0]
    make_record(first, tmp_path / "search", RETURNS)
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    assert written["summary.csv"].empty
    [row] = written["search.csv"].to_dict("records")
    assert (row["method"], row["final"]) == ("mast mast.alpha=1.0 mast.omega=10.0", 0.25)


def test_of_two_records_of_a_run_the_newer_counts(summarise, tmp_path, monkeypatch, capsys):
    better = {"test_return_mean": {"steps": [0, 10], "values": [1.0, 1.0]}}
    make_record(main_run(), tmp_path, better, "newer", start_time="2026-01-02T00:00:00")
    make_record(main_run(), tmp_path, RETURNS, "older")
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    assert written["summary.csv"].final.tolist() == [1.0]
    assert len(written["curves.csv"]) == 2
    assert "older: duplicate of" in capsys.readouterr().err


def test_runs_without_a_score_are_named_and_left_out(summarise, tmp_path, monkeypatch, capsys):
    make_record(main_run(seed=1), tmp_path, RETURNS, "failed", status="FAILED")
    make_record(main_run(seed=2), tmp_path, {"loss": RETURNS["test_return_mean"]}, "unevaluated")
    nan = {"test_return_mean": {"steps": [0, 10], "values": [0.0, float("nan")]}}
    make_record(main_run(seed=3), tmp_path, nan, "diverged")
    make_record(main_run(seed=4), tmp_path, RETURNS)
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    assert written["summary.csv"].seed.tolist() == [4]
    said = capsys.readouterr().err
    assert "failed: not complete: FAILED (left out)" in said
    assert "unevaluated: logged no test_return_mean (left out)" in said
    assert "diverged: test_return_mean is not a finite number everywhere (left out)" in said


def test_a_record_of_no_sweep_is_named(summarise, tmp_path, monkeypatch, capsys):
    folder = make_record(main_run(), tmp_path, RETURNS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "label": "sweep-0123456789"}))
    assert summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)["summary.csv"].empty
    assert f"{folder}: of no sweep of the study (left out)" in capsys.readouterr().err


def test_runs_that_log_more_are_not_counted_again(summarise, tmp_path, monkeypatch):
    [run] = [
        r for r in read_sweep(STUDY / "overestimation.yaml").runs
        if r.overrides == ("mast.alpha=1.0", "mast.sparsity=0.95") and dict(r.options)["seed"] == 3
    ]  # fmt: skip
    metrics = {
        "test_return_mean": {"steps": [0, 10], "values": [-9.0, -3.0]},
        "mast_value_estimated": {"steps": [0, 10], "values": [0.5, 1.5]},
        "mast_distance_newest": {"steps": [4], "values": [0.25]},
        "loss": {"steps": [4], "values": [1.0]},
    }
    make_record(run, tmp_path, metrics)
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    assert written["summary.csv"].empty
    assert written["curves.csv"].empty
    rows = written["diagnostics.csv"].to_dict("records")
    names = {
        "task": "SimpleSpread-3-v0", "method": "mast mast.alpha=1.0", "sparsity": 0.95, "seed": 3,
        "commit": "0123456789+changes",
    }  # fmt: skip
    assert rows == [
        {**names, "metric": "mast_distance_newest", "step": 4, "value": 0.25},
        {**names, "metric": "mast_value_estimated", "step": 0, "value": 0.5},
        {**names, "metric": "mast_value_estimated", "step": 10, "value": 1.5},
        {**names, "metric": "test_return_mean", "step": 0, "value": -9.0},
        {**names, "metric": "test_return_mean", "step": 10, "value": -3.0},
    ]


def test_records_with_the_first_alpha_are_no_runs_of_today(
    summarise, tickets, tmp_path, monkeypatch, capsys
):
    folder = make_record(main_run(), tmp_path, RETURNS)
    config = json.loads((folder / "config.json").read_text())
    config["mast"] |= {"operator": "soft_mellowmax", "alpha": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    assert written["summary.csv"].empty
    assert f"{folder}: another mast.alpha (left out)" in capsys.readouterr().err
    tickets.main()
    assert "no tickets: no MAST run of main.yaml that ended" in capsys.readouterr().out
    assert not (tmp_path / "tickets.yaml").exists()

    config["mast"] |= {"alpha": 10.0}
    (folder / "config.json").write_text(json.dumps(config))
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    assert written["summary.csv"].method.tolist() == ["mast"]
