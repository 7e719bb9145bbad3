"""Numbers as the tables show them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from epymarl_mast.report.statistics import Aggregate
from epymarl_mast.report.tables import markdown
from sections.study import NOT_YET


def table(rows: list[dict[str, str]]) -> str:
    """Rows in Markdown."""
    return markdown(pd.DataFrame(rows)) if rows else NOT_YET


def over_tasks(cell: pd.DataFrame, kind: str) -> str:
    """``mean`` or ``iqm`` of ``of_dense`` with its interval, each task resampled by itself."""
    aggregate = Aggregate.of([own.of_dense.to_numpy() for _, own in cell.groupby("task")])
    return with_interval(getattr(aggregate, kind), getattr(aggregate, f"{kind}_interval"))


def mean_interval(scores: pd.Series) -> str:
    """Mean of a cell with its 95 % interval."""
    aggregate = Aggregate.of([scores.to_numpy()])
    return with_interval(aggregate.mean, aggregate.mean_interval)


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """No interval where there is only one run."""
    low, high = interval
    return f"{value:.3f}" + ("" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]")


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
