"""The tables: as data, Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from epymarl_mast.errors import printable
from epymarl_mast.report.results import Row
from epymarl_mast.report.selection import Finding
from epymarl_mast.report.statistics import Interval

_PLAIN = "–"


def numbers(rows: Sequence[Row]) -> pd.DataFrame:
    """Every figure in full precision, one line a row; what is not known is empty."""
    table: pd.DataFrame = pd.DataFrame(
        {
            "task": row.task,
            "method": row.method,
            "sparsity": row.sparsity,
            "metric": row.metric,
            "runs": row.performance.n,
            "mean": row.performance.mean,
            "std": row.performance.std,
            "mean_low": row.performance.mean_interval[0],
            "mean_high": row.performance.mean_interval[1],
            "iqm": row.performance.iqm,
            "iqm_low": row.performance.iqm_interval[0],
            "iqm_high": row.performance.iqm_interval[1],
            "of_dense": row.of_dense,
            "size_ratio": row.size_ratio,
            "flops_train_ratio": row.flops_train_ratio,
            "flops_test_ratio": row.flops_test_ratio,
            "minutes": row.minutes.mean() if len(row.minutes) else None,
        }
        for row in rows
    )
    return table


def readable(rows: Sequence[Row]) -> pd.DataFrame:
    """The same for people: rounded, intervals beside their values."""
    table: pd.DataFrame = pd.DataFrame(
        {
            "task": row.task,
            "method": row.method,
            "sparsity": f"{row.sparsity:.0%}" if row.sparsity else "dense",
            "runs": str(row.performance.n),
            "mean ± std": f"{row.performance.mean:.3f} ± {_or_dash(row.performance.std)}",
            "IQM [95 %]": f"{row.performance.iqm:.3f} {_interval(row.performance.iqm_interval)}",
            "of dense": _percent(row.of_dense),
            "size": _times(row.size_ratio),
            "FLOPs, training": _times(row.flops_train_ratio),
            "FLOPs, acting": _times(row.flops_test_ratio),
            "minutes": f"{row.minutes.mean():.1f}" if len(row.minutes) else _PLAIN,
        }
        for row in rows
    )
    return table


def runs_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """What is to be known about single runs."""
    table: pd.DataFrame = pd.DataFrame(
        {
            "run": finding.source,
            "what": finding.problem,
            "in the tables": "no" if finding.left_out else "yes",
        }
        for finding in findings
    )
    return table


def write_tables(folder: Path, rows: Sequence[Row], findings: Sequence[Finding]) -> list[Path]:
    """``performance.csv``, ``.md``, ``.tex``, and ``runs.csv`` where there are findings."""
    table = readable(rows)
    written = {
        "performance.csv": numbers(rows).to_csv(index=False),
        "performance.md": markdown(table),
        "performance.tex": latex(table),
    }
    if findings:
        written["runs.csv"] = runs_table(findings).to_csv(index=False)
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in written]


def markdown(table: pd.DataFrame) -> str:
    """A pipe table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_markdown(cell) for cell in cells) + " |"

    header = list(table.columns)
    ruler = ["---" if column in ("task", "method") else "---:" for column in header]
    return "\n".join(map(line, [header, ruler, *table.values.tolist()])) + "\n"


def _markdown(cell: object) -> str:
    """A cell that is neither two cells nor HTML."""
    return re.sub(r"([\\|<])", r"\\\1", printable(cell))


def latex(table: pd.DataFrame) -> str:
    """A booktabs ``tabular``; all text is escaped."""
    styler = table.rename(columns=_tex).map(_tex).style.hide(axis="index")
    text: str = styler.to_latex(hrules=True, column_format="ll" + "r" * (table.shape[1] - 2))
    return text


def _tex(text: object) -> str:
    escaped = printable(text).replace("\\", "\0")
    for character in "&%$#_{}":
        escaped = escaped.replace(character, f"\\{character}")
    for character, command in (("~", r"\textasciitilde "), ("^", r"\textasciicircum "),
                               ("±", r"$\pm$"), ("×", r"$\times$"), ("–", "--")):  # fmt: skip
        escaped = escaped.replace(character, command)
    return escaped.replace("\0", r"\textbackslash{}")


def _or_dash(value: float) -> str:
    return _PLAIN if math.isnan(value) else f"{value:.3f}"


def _interval(interval: Interval) -> str:
    low, high = interval
    return "" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def _percent(ratio: float | None) -> str:
    return _PLAIN if ratio is None else f"{ratio:.1%}"


def _times(ratio: float | None) -> str:
    return _PLAIN if not ratio else f"{ratio:.3f} ({1 / ratio:.1f}×)"
