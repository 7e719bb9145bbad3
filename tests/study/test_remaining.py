"""Sweeps of what the tables lack, and of a cell again."""

from __future__ import annotations

import pytest
from study_records import RETURNS, STUDY, main_run, make_record, run_with, summarised

from epymarl_mast.sweep.plan import read_sweep


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
        run_with(remaining, monkeypatch, *arguments)
        left = {run.id for run in read_sweep(tmp_path / "remaining.yaml").runs}
        runs = [run for file in files for run in read_sweep(file).runs]
        wanted = {r.id for r in runs if not seeds or dict(r.options)["seed"] in seeds}
        assert left == wanted - {main_run(seed=2).id, diagnostic.id, of_search.id}


def test_where_nothing_remains_there_is_no_sweep(remaining, plan, tmp_path, monkeypatch, capsys):
    [of_one_run, kept] = tmp_path / "one.yaml", tmp_path / "remaining.yaml"
    plan.write_sweep(of_one_run, tmp_path, [main_run()])
    kept.touch()
    arguments = ["--results", tmp_path, "--tables", STUDY, "--sweeps", of_one_run]
    run_with(remaining, monkeypatch, *arguments)
    assert "the tables have all 1 runs" in capsys.readouterr().out
    assert not kept.exists()


def test_a_row_of_other_steps_is_not_of_the_sweep(summarise, remaining, tmp_path, monkeypatch):
    make_record(main_run(), tmp_path, RETURNS)
    tables = tmp_path / "tables"
    rows = summarised(summarise, tmp_path, tables, monkeypatch)["summary.csv"]
    assert remaining.lacking([main_run()], *remaining.tables_in(tables)) == []
    rows.assign(steps=999).to_csv(tables / "summary.csv")
    assert remaining.lacking([main_run()], *remaining.tables_in(tables)) == [main_run()]


def rerun_of(rerun, monkeypatch, folder, *words):
    """The runs that rerun.py lists."""
    run_with(rerun, monkeypatch, *words, "--results", folder)
    return read_sweep(folder / "rerun.yaml").runs


def test_a_cell_is_found_by_its_names(rerun, tmp_path, monkeypatch, capsys):
    spread, *cell = "SimpleSpread-3-v0", "mast", "0.95"
    asked = "Foraging-5x5-2p-1f-v3", *cell, "--seeds", "2"
    [run] = rerun_of(rerun, monkeypatch, tmp_path, *asked)
    assert run.id == main_run(seed=2).id
    assert "1 of the study's runs in" in capsys.readouterr().out
    wide = rerun_of(rerun, monkeypatch, tmp_path, spread, "dense", "0", "--hidden", "256")
    assert [dict(run.options)["seed"] for run in wide] == [1, 2, 3, 4, 5]
    assert {dict(run.options)["hidden_dim"] for run in wide} == {256}
    [vdn] = rerun_of(
        rerun, monkeypatch, tmp_path, spread, *cell, "--algorithm", "vdn", "--seeds", "5"
    )
    assert vdn.config == "mast_vdn"
    searched = rerun_of(rerun, monkeypatch, tmp_path, "SimpleSpread-4-v0", "rlx2", "0.95")
    assert [dict(run.options)["seed"] for run in searched] == [101, 102]
    logged = rerun_of(rerun, monkeypatch, tmp_path, spread, *cell, "--logged")
    assert len(logged) == 5
    assert all(dict(run.options)["mast.log_value_estimates"] for run in logged)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("Foraging", "mast", "0.95"),
            "has task 'Foraging' for that; they have: Foraging-5x5-2p-1f-v3,",
        ),
        (
            ("SimpleSpread-3-v0", "masT", "0.95"),
            "has method 'masT' for that; they have: dense, mast,",
        ),
        (("SimpleSpread-3-v0", "mast", "0.8"), "has sparsity 0.8 for that; they have: 0.9, 0.95\n"),
        (
            ("SimpleSpread-3-v0", "mast", "0.9", "--seeds", "1", "9"),
            "has seed 9 for that; they have: 1, 2,",
        ),
    ],
)
def test_a_cell_that_no_sweep_has_is_named(rerun, tmp_path, monkeypatch, capsys, words, said):
    with pytest.raises(SystemExit):
        rerun_of(rerun, monkeypatch, tmp_path, *words)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "rerun.yaml").exists()
