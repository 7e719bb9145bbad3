"""The study's sweeps, and its tables from made-up records."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from epymarl_mast.hosts import find_host
from epymarl_mast.launch import prepare
from epymarl_mast.sweep.plan import read_sweep

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"


def load(name):
    spec = importlib.util.spec_from_file_location(f"study_{name}", STUDY / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def beside_its_modules(monkeypatch):
    """As when a file of the study is run: its folder comes first, and is left behind."""
    monkeypatch.syspath_prepend(STUDY)
    yield
    sys.modules.pop("plan", None)


@pytest.fixture
def plan():
    return load("plan")


@pytest.fixture
def summarise():
    return load("summarise")


@pytest.fixture
def tickets():
    return load("tickets")


@pytest.fixture
def remaining():
    return load("remaining")


def make_record(run, results, metrics, name=None, **changes):
    """A finished run's folder; ``changes`` of run.json."""
    folder = results / "sacred" / (name or run.id)
    folder.mkdir(parents=True)
    options = dict(run.options)
    config = {
        "label": f"sweep-{run.id}", "name": "mast_qmix", "seed": options["seed"], "hidden_dim": 64,
        "t_max": options["t_max"], "env_args": {"key": options["env_args.key"]},
        "mast": {"sparsity": 0.95, "topology": "rigl"},
    }  # fmt: skip
    record = {
        "status": "COMPLETED", "start_time": "2026-01-01T00:00:00",
        "stop_time": "2026-01-01T00:05:00",
        "host": {"cpu": "AMD EPYC", "epymarl_mast": {"commit": "0123456789abcdef+changes"}},
        **changes,
    }  # fmt: skip
    for file, content in (("config", config), ("run", record), ("metrics", metrics)):
        (folder / f"{file}.json").write_text(json.dumps(content))
    return folder


def summarised(summarise, results, tables, monkeypatch):
    """``{file: table}`` after summarise.py."""
    tables.mkdir(exist_ok=True)
    monkeypatch.setattr(
        "sys.argv", ["summarise.py", "--results", str(results), "--tables", str(tables)]
    )
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    summarise.main()
    return {file.name: summarise.read_table(file) for file in tables.iterdir()}


def main_run(sparsity=0.95, seed=1, task="5x5"):
    """MAST's run of main.yaml."""
    [run] = [
        r for r in read_sweep(STUDY / "main.yaml").runs
        if r.overrides == (f"mast.sparsity={sparsity}",)
        and dict(r.options)["seed"] == seed and task in str(r.options)
    ]  # fmt: skip
    return run


RETURNS = {"test_return_mean": {"steps": [0, 10], "values": [0.0, 0.5]}}


@pytest.mark.parametrize(
    "file",
    sorted([*STUDY.glob("*.yaml"), *STUDY.glob("search/*.yaml")]),
    ids=lambda file: file.stem,
)
def test_every_kind_of_run_passes_the_checks(file):
    runs = read_sweep(file).runs
    kinds = {(run.config, run.overrides): run for run in runs}
    for run in kinds.values():
        prepare(find_host(run.host), run.host_arguments)


def test_make_study_runs_every_sweep():
    [line] = [
        x for x in (STUDY.parents[1] / "Makefile").read_text().splitlines() if "for file" in x
    ]
    assert {f.stem for f in STUDY.glob("*.yaml")} == set(
        line.split(" in ")[1].split(";")[0].split()
    )


def test_a_copy_of_a_sweep_beside_it_is_refused(plan, tmp_path):
    copy = tmp_path / "short.yaml"
    copy.write_text((STUDY / "main.yaml").read_text().replace("t_max: 200000", "t_max: 2000"))
    with pytest.raises(ValueError, match=r"short\.yaml and main\.yaml have different runs"):
        plan.runs_of([STUDY / "main.yaml", copy])


def test_methods_have_short_names(plan):
    runs = plan.runs_of(STUDY.glob("*.yaml"))
    names = {plan.method_of(run) for run in runs}
    assert {"stock", "dense", "mast", "rigl", "ss", "set", "rlx2", "tiny"} < names
    assert {n for n in names if n.startswith("mast ")} == {
        "mast no_soft_mellowmax", "mast mast.operator=mellowmax", "mast mast.topology_interval=25",
        "mast lr=0.002", "mast no_sparsity", "mast no_td_lambda", "mast no_dual_buffers",
        "mast no_topology_evolution",
        *(f"mast{variant} mast.alpha=1.0" for variant in (
            "", " no_td_lambda", " no_dual_buffers", " no_topology_evolution", " no_sparsity",
            " mast.operator=softmax", " per_agent",
        )),
    }  # fmt: skip


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
    assert set(written["machines.csv"].cores) == {2}  # which these records do not say
    assert written["curves.csv"][["seed", "step"]].to_numpy().tolist() == [
        [1, 0], [1, 10], [2, 0], [2, 20], [3, 0], [3, 10],
    ]  # fmt: skip
    assert written["machines.csv"].seed.tolist() == [1, 2, 3]
    again = summarised(summarise, tmp_path / "nothing", tables, monkeypatch)
    assert all(table.equals(written[name]) for name, table in again.items())


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


def test_what_remains_is_what_the_tables_lack(summarise, remaining, tmp_path, monkeypatch):
    files = [STUDY / f"{name}.yaml" for name in ("main", "overestimation", "search/operator")]
    diagnostic, of_search = (read_sweep(file).runs[0] for file in files[1:])
    for run in (main_run(seed=2), diagnostic, of_search):
        make_record(run, tmp_path / "there", RETURNS)
    tables = tmp_path / "tables"
    summarised(summarise, tmp_path / "there", tables, monkeypatch)
    for seeds in ([], [1, 2]):
        chosen = ["--seeds", *map(str, seeds)] if seeds else []
        arguments = ["--results", tmp_path, "--tables", tables, "--sweeps", *files, *chosen]
        monkeypatch.setattr("sys.argv", ["remaining.py", *map(str, arguments)])
        remaining.main()
        left = {run.id for run in read_sweep(tmp_path / "remaining.yaml").runs}
        runs = [run for file in files for run in read_sweep(file).runs]
        wanted = {r.id for r in runs if not seeds or dict(r.options)["seed"] in seeds}
        assert left == wanted - {main_run(seed=2).id, diagnostic.id, of_search.id}


def test_where_nothing_remains_there_is_no_sweep(remaining, plan, tmp_path, monkeypatch, capsys):
    [of_one_run, kept] = tmp_path / "one.yaml", tmp_path / "remaining.yaml"
    plan.write_sweep(of_one_run, tmp_path, [main_run()])
    kept.touch()
    arguments = ["--results", tmp_path, "--tables", STUDY, "--sweeps", of_one_run]
    monkeypatch.setattr("sys.argv", ["remaining.py", *map(str, arguments)])
    remaining.main()
    assert "the tables have all 1 runs" in capsys.readouterr().out
    assert not kept.exists()


def test_a_row_of_other_steps_is_not_of_the_sweep(summarise, remaining, tmp_path, monkeypatch):
    make_record(main_run(), tmp_path, RETURNS)
    tables = tmp_path / "tables"
    rows = summarised(summarise, tmp_path, tables, monkeypatch)["summary.csv"]
    assert remaining.lacking([main_run()], *remaining.tables_in(tables)) == []
    rows.assign(steps=999).to_csv(tables / "summary.csv")
    assert remaining.lacking([main_run()], *remaining.tables_in(tables)) == [main_run()]


def test_the_tables_have_each_run_once_by_the_steps_of_its_sweep(plan):
    runs = plan.read_table(STUDY / "summary.csv")
    assert not runs.duplicated(plan.CELL).any()
    steps = {plan.cell_of(run)["task"]: dict(run.options)["t_max"]
             for run in read_sweep(STUDY / "main.yaml").runs}  # fmt: skip
    assert (runs.steps == runs.task.map(steps)).all()
    curves = plan.read_table(STUDY / "curves.csv")
    assert not curves.duplicated([*plan.CELL, "step"]).any()
    last = curves.sort_values("step").groupby(plan.CELL).tail(20).groupby(plan.CELL).value.mean()
    assert last[pd.MultiIndex.from_frame(runs[plan.CELL])].to_numpy() == pytest.approx(
        runs.final.to_numpy(), abs=1e-4
    )


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


def test_tickets_are_made_of_finished_runs_and_read_back(summarise, tickets, tmp_path, monkeypatch):
    folder = make_record(main_run(seed=2), tmp_path, RETURNS)
    make_record(main_run(seed=2, task="Spread"), tmp_path, RETURNS)  # parts.yaml has none of it
    arguments = ["--results", str(tmp_path), "--tables", str(tmp_path / "tables")]
    monkeypatch.setattr("sys.argv", ["tickets.py", *arguments])
    tickets.main()
    ticket, with_random_masks = read_sweep(tmp_path / "tickets.yaml").runs
    assert f"mast.mask_from={folder}" in ticket.overrides
    assert dict(ticket.options)["seed"] == 2
    assert with_random_masks.overrides == ("no_topology_evolution", "mast.sparsity=0.95")

    for run in (ticket, with_random_masks):
        make_record(run, tmp_path, RETURNS)
    written = summarised(summarise, tmp_path, tmp_path / "tables", monkeypatch)
    table = written["summary.csv"][:3]
    assert table.method.tolist() == ["mast", "mast no_topology_evolution", "mast winning ticket"]
    assert table.sparsity.tolist() == [0.95] * 3
    assert table.seed.tolist() == [2] * 3


def test_a_run_that_was_run_twice_has_one_ticket(tickets, tmp_path, monkeypatch):
    make_record(main_run(), tmp_path, RETURNS, "newer", start_time="2026-01-02T00:00:00")
    make_record(main_run(), tmp_path, RETURNS, "older")
    arguments = ["--results", str(tmp_path), "--tables", str(tmp_path / "tables")]
    monkeypatch.setattr("sys.argv", ["tickets.py", *arguments])
    tickets.main()
    ticket, _ = read_sweep(tmp_path / "tickets.yaml").runs
    assert ticket.overrides[-1] == f"mast.mask_from={tmp_path / 'sacred' / 'newer'}"


def test_tickets_are_of_the_first_five_finished_seeds(tickets, tmp_path, monkeypatch):
    for seed in (8, 2, 7, 3, 6, 4):
        make_record(main_run(seed=seed), tmp_path, RETURNS)
    make_record(main_run(seed=8, task="6x6"), tmp_path, RETURNS)
    arguments = ["--results", str(tmp_path), "--tables", str(tmp_path / "tables")]
    monkeypatch.setattr("sys.argv", ["tickets.py", *arguments])
    tickets.main()
    runs = read_sweep(tmp_path / "tickets.yaml").runs[::2]
    seeds = {
        task: [dict(run.options)["seed"] for run in runs if task in str(run.options)]
        for task in ("5x5", "6x6")
    }
    assert seeds == {"5x5": [2, 3, 4, 6, 7], "6x6": [8]}


def test_tickets_of_other_machines_are_some_of_the_five(tickets, tmp_path, monkeypatch):
    for seed in (1, 2, 3, 4):
        make_record(main_run(seed=seed), tmp_path, RETURNS)
    rows = [{"task": "Foraging-5x5-2p-1f-v3", "method": "mast winning ticket", "seed": seed}
            for seed in (1, 6, 7)]  # fmt: skip
    (tmp_path / "tables").mkdir()
    pd.DataFrame(rows).assign(commit="abc").to_csv(tmp_path / "tables" / "summary.csv")
    arguments = ["--results", tmp_path, "--tables", tmp_path / "tables"]
    monkeypatch.setattr("sys.argv", ["tickets.py", *map(str, arguments)])
    tickets.main()
    runs = read_sweep(tmp_path / "tickets.yaml").runs[::2]
    assert [dict(run.options)["seed"] for run in runs] == [1, 2, 3]
