"""The sweep of tickets, from made-up records."""

from __future__ import annotations

import pandas as pd
from study_records import RETURNS, main_run, make_record, run_with, summarised

from epymarl_mast.sweep.plan import read_sweep


def listed(tickets, results, monkeypatch):
    """The runs that tickets.py lists."""
    run_with(tickets, monkeypatch, "--results", results, "--tables", results / "tables")
    return read_sweep(results / "tickets.yaml").runs


def test_tickets_are_made_of_finished_runs_and_read_back(summarise, tickets, tmp_path, monkeypatch):
    folder = make_record(main_run(seed=2), tmp_path, RETURNS)
    make_record(main_run(seed=2, task="Spread"), tmp_path, RETURNS)  # parts.yaml has none of it
    ticket, with_random_masks = listed(tickets, tmp_path, monkeypatch)
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
    ticket, _ = listed(tickets, tmp_path, monkeypatch)
    assert ticket.overrides[-1] == f"mast.mask_from={tmp_path / 'sacred' / 'newer'}"


def test_tickets_are_of_the_first_five_finished_seeds(tickets, tmp_path, monkeypatch):
    for seed in (8, 2, 7, 3, 6, 4):
        make_record(main_run(seed=seed), tmp_path, RETURNS)
    make_record(main_run(seed=8, task="6x6"), tmp_path, RETURNS)
    runs = listed(tickets, tmp_path, monkeypatch)[::2]
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
    runs = listed(tickets, tmp_path, monkeypatch)[::2]
    assert [dict(run.options)["seed"] for run in runs] == [1, 2, 3]
