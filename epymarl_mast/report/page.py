"""One HTML page with everything, which needs neither a server nor a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import rc_context

from epymarl_mast.report.pictures import Picture

EXPLANATION = (
    "A run's score is the mean of its last {last} evaluations of the test win rate where the task "
    "logs one, else of the test return. IQM: interquartile mean. Brackets: 95 % percentile "
    "bootstrap interval, stratified over tasks. Of dense: mean divided by the dense method's mean. "
    "Size and FLOPs: share of the dense networks' (MAST App. B.4)."
)


def html_page(
    title: str,
    command: str,
    compared: str,
    last: int,
    performance: pd.DataFrame,
    findings: pd.DataFrame,
    notes: Sequence[str],
    pictures: Sequence[Picture],
) -> str:
    """The page; every text in it is escaped, pictures are inside it.

    Args:
        title: its heading.
        command: that made it.
        compared: how many runs are in the tables, and how many are not.
        last: evaluations of a score.
        performance, findings: the tables.
        notes: sentences below the first table.
        pictures: in order.
    """
    environment = Environment(
        loader=PackageLoader("epymarl_mast.report", "."), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        command=command,
        compared=compared,
        explanation=EXPLANATION.format(last=last),
        performance=_cells(performance),
        findings=_cells(findings),
        notes=notes,
        pictures=[{"title": p.title, "data": _data(p)} for p in pictures],
    )


def _cells(table: pd.DataFrame) -> dict[str, object]:
    return {"columns": list(table.columns), "rows": table.values.tolist()}


def _data(picture: Picture) -> str:
    """The picture as SVG in a data address; text as outlines, as its font may not be there."""
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "mast"}):
        picture.figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
