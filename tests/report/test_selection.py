"""What is not comparable is listed, and never averaged."""

from __future__ import annotations

import json
import os
import re

import pytest

from epymarl_mast.errors import OptionError
from epymarl_mast.report.files import read_folder
from epymarl_mast.report.make import Request, choose, make_report
from epymarl_mast.report.record import COSTS, RETURN, WIN_RATE

METRICS = (WIN_RATE, RETURN, *COSTS)


@pytest.fixture
def chosen(tmp_path):
    """What is compared, and ``{folder's number: (problem, left out)}``."""

    def choose_(**request):
        found = list(read_folder(tmp_path, METRICS))
        selection, notes = choose(found, Request((str(tmp_path),), tmp_path, **request))
        findings = {
            finding.source.rpartition("/")[2]: (finding.problem, finding.left_out)
            for finding in selection.findings
        }
        return selection, findings, notes

    return choose_


def test_each_reason_to_leave_a_run_out(record, configure, chosen):
    record(configure(), 0.5)
    for status in ("RUNNING", "FAILED", "INTERRUPTED"):
        record(configure(seed=2), 0.9, status=status)
    record(configure(seed=3, evaluate=True), 0.9)
    record(configure(seed=4), 0.9, metric="test_ep_length_mean")
    record(configure(seed=5), float("nan"))
    record(configure(seed=6, t_max=60_000), 0.9)
    twice = {"steps": [0, 1000, 0, 1000], "values": [1.0] * 4}
    record(configure(seed=7), 0.9, metrics={WIN_RATE: twice})
    record(configure(seed=8), 0.9).joinpath("config.json").unlink()
    record(configure(seed=9), 0.9).joinpath("metrics.json").write_text("{")
    record(configure(seed=10), 0.9).joinpath("run.json").write_text("[]")
    selection, findings, _ = chosen()
    assert [run.source.rpartition("/")[2] for run in selection.runs] == ["1"]
    problems = {number: problem for number, (problem, _) in findings.items()}
    assert all(left_out for _, left_out in findings.values())
    assert problems.pop("11").startswith("JSONDecodeError")
    assert problems == {
        "2": "not complete: RUNNING",
        "3": "not complete: FAILED",
        "4": "not complete: INTERRUPTED",
        "5": "evaluates a checkpoint, trains nothing",
        "6": f"logged no {WIN_RATE}",
        "7": f"{WIN_RATE} is not a finite number everywhere",
        "8": "complete, but its last evaluation is at step 24000 of 60000",
        "9": f"steps of {WIN_RATE} do not rise: two runs in one record",
        "10": "no config.json",
        "12": "ValueError: run.json holds no record",
    }


HUGE = 10**400  # a whole number that JSON can have


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config": {"t_max": HUGE}}, "OverflowError: int too large"),
        ({"config": {"mast": {"topology": "rigl", "sparsity": HUGE}}}, "OverflowError: int too"),
        ({"config": {"name": "\ud800"}}, "UnicodeEncodeError: .* surrogates not allowed"),
        ({"run": {"away_seconds": HUGE}}, "OverflowError: int too large"),
        ({"run": {"away_seconds": "x"}}, "ValueError: could not convert"),
        ({"metrics": {WIN_RATE: {"steps": [1], "values": [HUGE]}}}, "OverflowError: int too"),
        ({"metrics": {WIN_RATE: {"steps": [HUGE], "values": [1]}}}, "OverflowError: int too"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_record_that_no_run_wrote_is_left_out(record, configure, chosen, change, said):
    record(configure(), 0.5)
    folder = record(configure(seed=2), 0.5)
    for name, keys in change.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))
    selection, findings, _ = chosen()
    assert len(selection.runs) == 1
    [(problem, left_out)] = findings.values()
    assert left_out
    assert re.match(said, problem)


@pytest.mark.parametrize("name", ["run", "config", "metrics"])
def test_a_record_of_pipes_and_devices_is_not_waited_for(record, configure, chosen, name):
    record(configure(), 0.5)
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        file = record(configure(seed=2), 0.5) / f"{name}.json"
        file.unlink()
        make(file)
    selection, findings, _ = chosen()
    assert len(selection.runs) == 1
    assert [problem for problem, _ in findings.values()] == [
        "OSError: [Errno 22] no regular file"
    ] * 2


def test_options_of_checkpoints_make_no_other_method(record, configure, chosen):
    for seed, (minutes, resume) in enumerate([(10, None), (0, "/somewhere/1")], start=1):
        checkpoints = {"checkpoint_minutes": minutes, "checkpoint_interval": 5000 * seed,
                       "checkpoint_keep": seed, "resume": resume}  # fmt: skip
        block = {"topology": "rigl", "sparsity": 0.9, **checkpoints}
        record(configure(seed=seed, mast=block), 0.5)
    selection, *_ = chosen()
    assert len(set(selection.methods)) == 1


def test_what_a_sweep_had_to_begin_anew_is_not_listed(record, configure, chosen):
    record(configure(label="sweep-0123456789"), 0.5)
    record(configure(label="sweep-0123456789"), 0.9, status="RUNNING")
    record(configure(seed=2, label="sweep-abcdefabcd"), 0.9, status="RUNNING")
    record(configure(seed=3, label="mine"), 0.5)
    record(configure(seed=3, label="mine"), 0.9, status="FAILED")
    selection, findings, _ = chosen()
    assert [run.source.rpartition("/")[2] for run in selection.runs] == ["1", "4"]
    assert findings == {
        "3": ("not complete: RUNNING", True), "5": ("not complete: FAILED", True),
    }  # fmt: skip


def test_a_seed_counts_once(record, configure, chosen):
    record(configure(seed=3), 0.5)
    record(configure(seed=3), 0.6)
    record(configure(seed=3, use_cuda=True), 0.7)
    record(configure(seed=4), 0.8)
    selection, findings, _ = chosen()
    assert [run.seed for run in selection.runs] == [3, 4]
    assert sorted(findings) == ["1", "2"]
    problem, left_out = findings["1"]
    assert left_out
    assert problem.startswith("duplicate of ")
    assert problem.endswith("/3: mast_qmix, seed 3")


def test_other_options_are_other_methods(record, configure, chosen):
    record(configure(), 0.5)
    record(configure(mast={"td_lambda": 0.8}), 0.5)
    record(configure("rigl"), 0.5)
    record(configure("rigl", lr=0.001), 0.5)
    record(configure("dense"), 0.5)
    record(configure("no_td_lambda"), 0.5)
    record(configure("per_agent"), 0.5)
    selection, findings, _ = chosen()
    assert selection.methods == [
        "mast_qmix mast.td_lambda=0.6",
        "mast_qmix mast.td_lambda=0.8",
        "mast_qmix rigl lr=0.0005",
        "mast_qmix rigl lr=0.001",
        "mast_qmix dense",
        "mast_qmix no_td_lambda",
        "mast_qmix per_agent",
    ]
    assert not findings


def test_what_an_algorithm_says_anyway_is_no_other_method(record, configure, chosen):
    """FACMAC's operator is max, which takes Soft Mellowmax out of others; so with rnn_ns."""
    for algorithm in ("mast_facmac", "mast_comix", "mast_qmix_ns", "mast_qmix"):
        record(configure(algorithm=algorithm), 0.5)
        record(configure("rigl", algorithm=algorithm), 0.5)
    record(configure("no_soft_mellowmax"), 0.5)
    selection, _, _ = chosen()
    assert sorted(selection.methods) == [
        "mast_comix",
        "mast_comix rigl",
        "mast_facmac",
        "mast_facmac rigl",
        "mast_qmix",
        "mast_qmix no_soft_mellowmax",
        "mast_qmix rigl",
        "mast_qmix_ns",
        "mast_qmix_ns rigl",
    ]


def test_groups_that_mix_methods_say_so(record, configure, chosen):
    record(configure(seed=1), 0.5)
    record(configure("rigl", seed=2), 0.5)
    selection, _, notes = chosen(by=("algorithm",))
    assert selection.methods == ["mast_qmix", "mast_qmix"]
    assert notes == ["mast_qmix mixes 2 kinds of runs: mast_qmix; mast_qmix rigl"]


def test_a_short_run_and_another_version_are_noted(record, configure, chosen):
    short = {WIN_RATE: {"steps": [23_000, 24_000], "values": [0.4, 0.6]}}
    record(configure(seed=1), 0, metrics=short)
    for seed, version in ((2, "1.0"), (3, "1.0"), (4, "2.0")):
        record(configure(seed=seed), 0.5,
               host={"version": version, "host": "epymarl", "host_version": "abc"})  # fmt: skip
    selection, findings, _ = chosen()
    assert len(selection.runs) == 4
    assert findings["1"] == ("2 evaluations, where the mean of the last 20 was asked for", False)
    assert findings["4"] == (
        "made with version 2.0, host epymarl, host_version abc; others in its row with "
        "version 1.0, host epymarl, host_version abc",
        False,
    )


def test_returns_are_compared_where_no_run_logs_a_win_rate(record, configure, chosen):
    record(configure(task="3m"), 0.5)
    record(configure(task="lbf"), 0.5, metric=RETURN)
    selection, _, _ = chosen()
    assert selection.metric == {"3m": WIN_RATE, "lbf": RETURN}
    selection, findings, _ = chosen(metric=RETURN)
    assert [run.task for run in selection.runs] == ["lbf"]
    assert findings["1"] == (f"logged no {RETURN}", True)


def test_nothing_to_compare_is_one_line(record, configure, tmp_path):
    request = Request((str(tmp_path),), tmp_path / "out")
    with pytest.raises(OptionError, match="no run can be compared: there is none"):
        list(make_report(request))
    record(configure(), 0.5, status="FAILED")
    with pytest.raises(OptionError, match=r"no run can be compared: .*1: not complete: FAILED"):
        list(make_report(request))
    with pytest.raises(OptionError, match="neither a folder nor a MongoDB"):
        list(make_report(Request((str(tmp_path / "nowhere"),), tmp_path / "out")))
    record(configure(seed=2), 0.5)
    with pytest.raises(OptionError, match="--dense=densee: no such method here; allowed are mast"):
        list(make_report(Request((str(tmp_path),), tmp_path / "out", dense="densee")))
    assert not (tmp_path / "out").exists()
