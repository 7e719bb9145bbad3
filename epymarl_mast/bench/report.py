"""Results as JSON and as a table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from epymarl_mast.bench.acting import ActingResult
from epymarl_mast.bench.end_to_end import EndToEndResult
from epymarl_mast.bench.learner import LearnerResult
from epymarl_mast.bench.machine import Machine
from epymarl_mast.bench.plan import Plan
from epymarl_mast.bench.timing import Ratio, Timing
from epymarl_mast.errors import OptionError

_SIDES = {
    "stock": "stock",
    "ours": "ours",
    "in_runner": "ours, in its runner",
    "dense": "ours, dense",
    "exported": "exported agent",
}

Result = LearnerResult | ActingResult | EndToEndResult


def check_writable(file: Path | None) -> None:
    """Refuse a file that could not be written, before anything is measured.

    Raises:
        OptionError: if its folder is not there, or it is one.
    """
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise OptionError(f"--json={file}: no file can be written there")


def write_json(
    file: Path, command: str, machine: Machine, plan: Plan, more: Mapping[str, Any], result: Result
) -> None:
    """One record with everything that was measured."""
    record = {
        "command": command,
        "machine": machine.as_record(),
        "settings": {**asdict(plan), "sizes": asdict(plan.sizes), **more},
        **result.as_record(),
    }
    file.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def print_table(command: str, machine: Machine, result: Result) -> None:
    """The figures of a result."""
    table = Table(title=command, caption=machine.in_words())
    table.add_column("what")
    before = "warm-up" if isinstance(result, EndToEndResult) else "first call"
    for heading in ("ms", "quartiles", "stock / this", before):
        table.add_column(heading, justify="right")
    if isinstance(result, LearnerResult):
        _learner_rows(table, result)
    elif isinstance(result, ActingResult):
        _pair(table, "decision", result.decision)
        _pair(table, "runner's step", result.step)
    else:
        _run_rows(table, result)
    Console().print(table)


def _learner_rows(table: Table, result: LearnerResult) -> None:
    titles = {
        "stock": "stock, dense",
        "ours": "sparse",
        "mast": "MAST",
        "mast_topology_update": "MAST, topology due",
    }
    if any(value is not None for value in result.peak_mib.values()):
        table.add_column("memory", justify="right")
    for side, timing in result.timings.items():
        peak = result.peak_mib[side]
        memory = [f"{peak:.1f} MiB"] if peak is not None else []
        _row(table, titles[side], timing, result.timings["stock"], *memory)
    table.add_section()
    table.add_row("overhead of MAST", f"{result.overhead_of_mast:+.1%}")


def _run_rows(table: Table, result: EndToEndResult) -> None:
    table.add_column("imports", justify="right")
    for side in result.runs:
        imports = f"{result.imports_s(side):.2f} s"
        _row(table, f"run: {_SIDES[side]}", result.timing(side), result.timing("stock"), imports)
    if result.by_sparsity is not None:
        table.add_section()
        given = f"{result.by_sparsity.median:.2f}x"
        table.add_row(f"by sparsity alone (dense: {result.dense_engine})", "", "", given)


def _pair(table: Table, what: str, timings: Mapping[str, Timing]) -> None:
    for side, timing in timings.items():
        _row(table, f"{what}: {_SIDES[side]}", timing, timings["stock"])


def _row(table: Table, what: str, timing: Timing, stock: Timing, *more: str) -> None:
    low, high = timing.quartiles_ms
    ratio = "" if timing == stock else f"{Ratio.of(stock, timing).median:.2f}x"
    table.add_row(
        what, _figure(timing.median_ms), f"{_figure(low)}–{_figure(high)}", ratio,
        f"{timing.first_call_s:.2f} s", *more,
    )  # fmt: skip


def _figure(value: float) -> str:
    """Four digits, but never fewer than the whole number."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
