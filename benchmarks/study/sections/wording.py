"""Numbers as the tables show them."""

from __future__ import annotations

import pandas as pd

from epymarl_mast.report.statistics import Aggregate
from epymarl_mast.report.tables import markdown
from sections.study import FIRST_ALPHA, NOT_YET

ENOUGH = 5  # runs for a bootstrap interval


def table(rows: list[dict[str, str]]) -> str:
    """Rows in Markdown."""
    return markdown(pd.DataFrame(rows)) if rows else NOT_YET


def named(method: object) -> str:
    """A method of ``summary.csv``, shorter where it has MAST's first α."""
    return str(method).replace(FIRST_ALPHA, ", α = 1")


def cell_names(method: str, sparsity: float) -> dict[str, str]:
    """The columns that say which cell a row is of."""
    return {"method": named(method), "sparsity": share(sparsity)}


def mean_interval(scores: pd.Series) -> str:
    """Mean of a cell with its 95 % interval."""
    aggregate = Aggregate.of([scores.to_numpy()])
    return with_interval(aggregate.mean, aggregate.mean_interval, len(scores))


def with_interval(
    value: float, interval: tuple[float, float], runs: int, style: str = ".3f"
) -> str:
    """A figure and its interval: none of fewer than ``ENOUGH`` runs, where it means little."""
    low, high = interval
    shown = f" [{low:{style}}, {high:{style}}]" if runs >= ENOUGH else ""
    return f"{value:{style}}{shown}"


def mean(scores: pd.Series) -> str:
    """Mean ± standard deviation over runs."""
    spread = "" if len(scores) < 2 else f" ± {scores.std():.3f}"
    return f"{scores.mean():.3f}{spread}" if len(scores) else "–"


def share(sparsity: float) -> str:
    """A sparsity."""
    return f"{100 * sparsity:g} %" if sparsity else "dense"


def times(ratio: float) -> str:
    """A cost as a share of dense."""
    return "1" if ratio == 1 else f"{ratio:.3f} ({1 / ratio:.0f}×)"
