"""Which runs are compared; the others are listed with the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from epymarl_mast.report.record import RETURN, WIN_RATE, Record, Unreadable
from epymarl_mast.wording import counted


@dataclass(frozen=True)
class Finding:
    """Something the reader has to know about a run.

    Attributes:
        source: which run.
        problem: in a few words.
        left_out: whether the run is not in the tables.
    """

    source: str
    problem: str
    left_out: bool


@dataclass(frozen=True)
class Selection:
    """The runs to compare.

    Attributes:
        runs: those.
        methods: a name for each.
        metric: ``{task: the metric of its performance}``.
        findings: what is left out, and what is odd about what is not.
    """

    runs: list[Record]
    methods: list[str]
    metric: dict[str, str]
    findings: list[Finding]


def usable(
    found: Sequence[Record | Unreadable], metric: str | None
) -> tuple[list[Record], dict[str, str], list[Finding]]:
    """The completed runs that logged what is compared.

    What a run of a sweep left behind before it was begun anew is not mentioned.

    Args:
        found: what was read.
        metric: its name; None: the test win rate on a task where any run logs one, else the test
            return.

    Returns:
        Runs, ``{task: metric}``, and a finding for each run that is left out.
    """
    findings = [Finding(u.source, u.problem, True) for u in found if isinstance(u, Unreadable)]
    records = _without_earlier_attempts([r for r in found if isinstance(r, Record)])
    finished = []
    for record in records:
        if record.config.get("evaluate"):
            findings.append(Finding(record.source, "evaluates a checkpoint, trains nothing", True))
        elif record.status != "COMPLETED":
            findings.append(Finding(record.source, f"not complete: {record.status}", True))
        else:
            finished.append(record)
    metrics = {
        task: metric or _metric([r for r in finished if r.task == task])
        for task in sorted({r.task for r in finished})
    }
    runs = []
    for record in finished:
        problem = _problem(record, metrics[record.task])
        if problem:
            findings.append(Finding(record.source, problem, True))
        else:
            runs.append(record)
    return runs, metrics, findings


def select(
    runs: Sequence[Record],
    methods: Sequence[str],
    metrics: dict[str, str],
    findings: Sequence[Finding],
    last: int,
) -> Selection:
    """One run for each method, sparsity, task and seed: the newest.

    Args:
        runs: usable runs.
        methods: a name for each.
        metrics: ``{task: metric}``.
        findings: those so far.
        last: how many evaluations make the final performance.
    """
    findings = list(findings)
    same: dict[tuple[str, float, str, str], list[int]] = defaultdict(list)
    for index, (run, method) in enumerate(zip(runs, methods, strict=True)):
        same[(method, run.sparsity, run.task, str(run.seed))].append(index)
    kept = []
    for (method, *_), group in same.items():
        *older, newest = sorted(group, key=lambda i: (runs[i].started or datetime.min, i))
        kept.append(newest)
        for i in older:
            what = f"duplicate of {runs[newest].source}: {method}, seed {runs[i].seed}"
            findings.append(Finding(runs[i].source, what, True))
    chosen = [runs[i] for i in sorted(kept)]
    for run in chosen:
        count = len(run.series[metrics[run.task]].values)
        if count < last:
            what = (
                f"{counted(count, 'evaluation')}, where the mean of the last {last} was asked for"
            )
            findings.append(Finding(run.source, what, False))
    findings += _unlike_versions(chosen, [methods[i] for i in sorted(kept)])
    return Selection(chosen, [methods[i] for i in sorted(kept)], metrics, findings)


def _without_earlier_attempts(records: Sequence[Record]) -> list[Record]:
    """Without what is left of runs that a sweep had to begin anew, once they have completed."""
    completed = {_run_of_sweep(r) for r in records if r.status == "COMPLETED"} - {None}
    return [r for r in records if r.status == "COMPLETED" or _run_of_sweep(r) not in completed]


def _run_of_sweep(record: Record) -> str | None:
    """The label of a run of ``mast sweep``, which says what is run."""
    label = str(record.config.get("label"))
    return label if label.startswith("sweep-") else None


def _metric(records: Sequence[Record]) -> str:
    return WIN_RATE if any(WIN_RATE in record.series for record in records) else RETURN


def _problem(record: Record, metric: str) -> str:
    series = record.series.get(metric)
    if series is None or not len(series.values):
        return f"logged no {metric}"
    if not np.isfinite(series.values).all():
        return f"{metric} is not a finite number everywhere"
    if len(series.steps) != len(series.values) or (np.diff(series.steps) <= 0).any():
        return f"steps of {metric} do not rise: two runs in one record"
    t_max, interval = record.config.get("t_max"), record.config.get("test_interval")
    if t_max and interval and series.steps[-1] < t_max - 2 * interval:
        return f"complete, but its last evaluation is at step {series.steps[-1]:.0f} of {t_max:.0f}"
    return ""


def _unlike_versions(runs: Sequence[Record], methods: Sequence[str]) -> list[Finding]:
    """Runs that are averaged although another version of something made them."""
    cells: dict[tuple[str, float, str], dict[str, str]] = defaultdict(dict)
    for run, method in zip(runs, methods, strict=True):
        if run.made_with:
            said = ", ".join(
                f"{key} {run.made_with.get(key)}" for key in ("version", "host", "host_version")
            )
            cells[(method, run.sparsity, run.task)][run.source] = said
    findings = []
    for versions in cells.values():
        common = max(set(versions.values()), key=list(versions.values()).count)
        findings += [
            Finding(source, f"made with {said}; others in its row with {common}", False)
            for source, said in versions.items()
            if said != common
        ]
    return findings
