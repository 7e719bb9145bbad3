"""From a file to its runs."""

from __future__ import annotations

import itertools
import re

import pytest

from epymarl_mast.errors import OptionError
from epymarl_mast.sweep.plan import check_runs, read_sweep, short_titles


def test_a_grid_is_every_combination_seed_by_seed(sweep_file, tmp_path):
    sweep = read_sweep(sweep_file(overrides=["", "rigl no_td_lambda"], seeds=[3, 7]))
    found = [
        (dict(r.options)["seed"], r.config, r.overrides, dict(r.options)["mast.sparsity"])
        for r in sweep.runs
    ]
    assert found == list(
        itertools.product(
            (3, 7), ("mast_qmix", "mast_vdn"), ((), ("rigl", "no_td_lambda")), (0.9, 0.95)
        )
    )
    assert sweep.results == tmp_path / "results"
    assert len({run.id for run in sweep.runs}) == 16


def test_arguments_are_what_one_would_write(sweep_file, tmp_path):
    run = read_sweep(sweep_file(overrides="rigl", mongo="localhost:27017:marl")).runs[4]
    assert run.arguments == [
        "train", "--host", "pymarlzooplus", "--config=mast_qmix", "--env-config=gymma",
        "-m", "localhost:27017:marl", "with", "rigl",
        "env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=25", "t_max=300",
        "mast.sparsity=0.9", "seed=2", f"local_results_path={tmp_path / 'results'}",
        f"label=sweep-{run.id}",
    ]  # fmt: skip


def test_a_command_is_shown_without_its_password(sweep_file):
    run = read_sweep(sweep_file(mongo="mongodb://me:secret@server/marl")).runs[0]
    assert "mongodb://me:secret@server/marl" in run.arguments
    assert "-m 'mongodb://me:***@server/marl'" in run.command


def test_a_list_of_runs_beside_the_grid(sweep_file, environment):
    single = {"config": "qmix", "environment": environment, "seed": 5, "options": {"lr": 0.001}}
    sweep = read_sweep(sweep_file(runs=[single, single]))
    assert len(sweep.runs) == 8 + 1  # what is named twice runs once
    assert dict(sweep.runs[-1].options)["lr"] == 0.001
    assert dict(sweep.runs[-1].options)["t_max"] == 300
    assert "mast.sparsity" not in dict(sweep.runs[-1].options)
    alone = read_sweep(sweep_file(runs=[single], configs=None, environments=None, seeds=None))
    assert [run.config for run in alone.runs] == ["qmix"]


def test_a_run_keeps_its_id_when_the_file_grows_or_moves(sweep_file):
    before = {run.title: run.id for run in read_sweep(sweep_file()).runs}
    grown = read_sweep(sweep_file(seeds=3, results="elsewhere")).runs
    after = {run.title: run.id for run in grown}
    assert before.items() < after.items()
    longer = read_sweep(sweep_file(options={"t_max": 400, "mast.sparsity": [0.9, 0.95]}))
    assert not {run.id for run in longer.runs} & set(before.values())


def test_short_titles_leave_out_what_all_share(sweep_file):
    titles = short_titles(read_sweep(sweep_file()).runs)
    assert next(iter(titles.values())) == "mast_qmix mast.sparsity=0.9 seed=1"
    assert len(set(titles.values())) == 8


WRONG = {
    "an unknown key": ({"seed": 3}, "seed is not a key of a sweep (did you mean 'seeds'?)"),
    "no runs": ({"configs": None}, "names no run: configs, environments and seeds"),
    "a wrong type": ({"seeds": "many"}, "seeds='many': Input should be a valid list"),
    "an environment without a name": ({"environments": [{"a": 1}]}, "environments.0.env-config"),
    "an unknown key of a run": ({"runs": [{"cfg": "x"}]}, "runs.0.config: Field required"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_one_line(sweep_file, case):
    change, problem = WRONG[case]
    with pytest.raises(OptionError, match=re.escape(problem)) as error:
        read_sweep(sweep_file(**change))
    assert "\n" not in str(error.value)


def test_every_run_is_checked_before_the_first_starts(sweep_file, monkeypatch):
    monkeypatch.delenv("EPYMARL_HOME", raising=False)
    check_runs(read_sweep(sweep_file()))
    with pytest.raises(OptionError, match=r"run mast_qmix .*seed=1: mast.sparsity=1.5 is not"):
        check_runs(read_sweep(sweep_file(options={"mast.sparsity": [0.9, 1.5]})))
    with pytest.raises(OptionError, match=r"sweep.yaml: run qmx .*--config=qmx"):
        check_runs(read_sweep(sweep_file(configs=["mast_qmix", "qmx"])))
