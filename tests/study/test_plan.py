"""The study's sweeps, and which row of its tables a run is."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest
from study_records import STUDY, main_run

from epymarl_mast.hosts import find_host
from epymarl_mast.launch import prepare
from epymarl_mast.sweep.plan import read_sweep

SWEEPS = sorted([*STUDY.glob("*.yaml"), *STUDY.glob("search/*.yaml")])


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_kind_of_run_passes_the_checks(file):
    runs = read_sweep(file).runs
    kinds = {(run.config, run.overrides): run for run in runs}
    for run in kinds.values():
        prepare(find_host(run.host), run.host_arguments)


def test_make_study_runs_every_sweep():
    makefile = (STUDY.parents[1] / "Makefile").read_text()
    [loop] = re.findall(r"for file in (.*?);", makefile, re.DOTALL)
    named = {str(file.relative_to(STUDY).with_suffix("")) for file in SWEEPS}
    assert set(loop.replace("\\", "").split()) == named


@pytest.mark.parametrize(
    ("words", "method"),
    [(("lr=0.002", "rigl"), "rigl lr=0.002"), (("lr=0.002",), "mast lr=0.002"),
     (("mast.engine=sparse", "dense"), "dense")],
)  # fmt: skip
def test_a_baseline_comes_first_in_a_name(plan, words, method):
    assert plan.method_of(replace(main_run(), overrides=words)) == method


@pytest.mark.parametrize(
    ("config", "words"), [("mast_qmix", ("dense",)), ("mast_vdn", ("no_sparsity",)), ("qmix", ())]
)
def test_dense_runs_have_no_sparsity(plan, config, words):
    run = replace(main_run(), config=config, overrides=words)
    assert plan.cell_of(run)["sparsity"] == 0.0


@pytest.mark.parametrize("words", [("rigl",), ()])
def test_a_sparse_run_says_its_sparsity(plan, words):
    with pytest.raises(ValueError, match=r"does not give mast\.sparsity, as 0\.95"):
        plan.cell_of(replace(main_run(), overrides=words))


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
