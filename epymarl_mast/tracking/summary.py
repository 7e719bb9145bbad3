"""The table a training run ends with, read back from its Sacred record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Run:
    """A finished run as Sacred's file observer recorded it.

    Attributes:
        folder: its directory.
        record: ``run.json``.
        metrics: ``metrics.json``.
    """

    folder: Path
    record: dict[str, Any]
    metrics: dict[str, Any]

    def last(self, name: str) -> float | None:
        """Last value of a metric, or None if it was not logged."""
        try:
            return float(self.metrics[name]["values"][-1])
        except (LookupError, TypeError, ValueError, OverflowError):
            return None


def finished_run(folder: Path) -> Run | None:
    """The run recorded in ``folder``, or None if it did not complete."""
    record = _read(folder / "run.json")
    if record.get("status") != "COMPLETED":
        return None
    return Run(folder, record, _read(folder / "metrics.json"))


def print_summary(run: Run, seconds: float) -> None:
    """Print test return, sparsity, size and FLOPs ratios, wall time and where the results lie."""
    table = Table(title="Run finished", show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for label, name, style in (
        ("test return (last evaluation)", "test_return_mean", "{:.3f}"),
        ("test win rate (last evaluation)", "test_battle_won_mean", "{:.1%}"),
        ("sparsity", "mast_sparsity_total", "{:.2%}"),
    ):
        value = run.last(name)
        if value is not None:
            table.add_row(label, style.format(value))
    for label, name in (
        ("model size, of dense", "mast_size_ratio"),
        ("FLOPs of an update, of dense", "mast_flops_train_ratio"),
        ("FLOPs of a decision, of dense", "mast_flops_test_ratio"),
    ):
        ratio = run.last(name)
        if ratio:
            table.add_row(label, f"{ratio:.3f} ({1 / ratio:.1f}x fewer)")
    updates = run.last("mast_topology_updates")
    if updates is not None:
        table.add_row("topology updates", f"{updates:.0f}")
    table.add_row("wall time", f"{seconds:.0f} s")
    table.add_row("results", from_here(run.folder))
    Console().print(table)


def from_here(path: Path) -> str:
    """A path as seen from the working directory, whole where it is elsewhere."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # of a run that could not write it
        return {}
    return content if isinstance(content, dict) else {}
