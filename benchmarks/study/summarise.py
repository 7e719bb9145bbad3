"""``summary.csv``: a row for each finished run of the study; its curves, densities, diagnostics.

python benchmarks/study/summarise.py [--results DIR] [--tables DIR]

Rows of runs that are not in the results, as those of another machine, stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from machines import machine_of, spans
from plan import (
    CELL,
    HERE,
    LAST,
    SEARCHED,
    STUDIED,
    cell_of,
    is_diagnostic,
    is_of,
    lacking,
    read_table,
    runs_of,
)

from epymarl_mast.report.files import read_folder
from epymarl_mast.report.record import COSTS, RETURN, WIN_RATE, Record
from epymarl_mast.report.results import final_performance
from epymarl_mast.report.selection import select, usable
from epymarl_mast.sweep.plan import Run

COLUMNS = [
    *CELL, "final", "steps", "wall_s", "flops_train_ratio", "flops_test_ratio", "size_ratio",
    "commit",
]  # fmt: skip
MACHINE = ["cpu", "cores", "at_once"]
_DENSITIES = {f"mast_density_agent_{agent}": agent for agent in range(8)}
DIAGNOSTICS = [
    "mast_value_estimated", "mast_value_realised",
    "mast_distance_batch", "mast_distance_large", "mast_distance_newest",
]  # fmt: skip
DIAGNOSED = ["task", "method", "sparsity", "seed"]


def main() -> None:
    """Read the results of every sweep and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--tables", type=Path, default=HERE, help="where the tables are")
    arguments = parser.parse_args()
    results, tables = arguments.results, arguments.tables
    searched = {run.label: run for run in runs_of(SEARCHED)}
    studied = runs_of([*STUDIED, *results.glob("tickets.yaml")])
    runs = {**searched, **{run.label: run for run in studied}}
    running = spans(results)
    rows, tried, machines, curves, densities, diagnostics = [], [], [], [], [], []
    for run, record in finished(results, runs):
        row = summary(run, record)
        if run.label in searched:
            tried.append(row)
            continue
        if is_diagnostic(run):
            diagnostics.extend(diagnosis(row, record))
            continue
        rows.append(row)
        machines.append({**cell_of(run), **machine_of(record.source, running)})
        curves.extend(curve(row, record))
        densities.extend(agent_densities(row, record))
    summaries = _update(tables / "summary.csv", pd.DataFrame(rows, columns=COLUMNS), CELL)
    ran_on = pd.DataFrame(machines, columns=[*CELL, *MACHINE])
    _update(tables / "machines.csv", with_known_cores(ran_on, tables / "machines.csv"), CELL)
    evaluations = pd.DataFrame(curves, columns=[*CELL, "step", "value"])
    _update(tables / "curves.csv", evaluations, CELL, "step")
    of_agents = pd.DataFrame(densities, columns=[*CELL, "agent", "density"])
    _update(tables / "densities.csv", of_agents, CELL, "agent")
    logged = pd.DataFrame(diagnostics, columns=[*DIAGNOSED, "commit", "metric", "step", "value"])
    diagnosed = _update(tables / "diagnostics.csv", logged, DIAGNOSED, "metric", "step")
    of_search = _update(tables / "search.csv", pd.DataFrame(tried, columns=COLUMNS), CELL)
    left = lacking(runs.values(), summaries, of_search, diagnosed)
    print(f"the tables have {len(runs) - len(left)} of {len(runs)} runs")


def finished(results: Path, runs: dict[str, Run]) -> Iterator[tuple[Run, Record]]:
    """The completed runs of the study with what became of them; says which others there are.

    Of two records of a run the newer one counts.

    Args:
        results: folder.
        runs: of the study, by the label of their records.
    """
    names = {WIN_RATE, RETURN, *COSTS, *_DENSITIES, *DIAGNOSTICS}
    found = list(read_folder(results, names))
    complete, metrics, findings = usable(found, None)
    own = []
    for record in complete:
        run = runs.get(str(record.config.get("label")))
        if run is not None and is_of(run, record.config):
            own.append(record)
        else:
            why = "of no sweep of the study" if run is None else "another mast.alpha"
            print(f"{record.source}: {why} (left out)", file=sys.stderr)
    labels = [str(record.config["label"]) for record in own]
    chosen = select(own, labels, metrics, findings, LAST)
    for finding in chosen.findings:
        left_out = "left out" if finding.left_out else "counted"
        print(f"{finding.source}: {finding.problem} ({left_out})", file=sys.stderr)
    yield from ((runs[label], run) for label, run in zip(chosen.methods, chosen.runs, strict=True))


def summary(run: Run, record: Record) -> dict[str, Any]:
    """A row of ``summary.csv``.

    Args:
        run: what the sweep asked for.
        record: what became of it.
    """
    return {
        **cell_of(run),
        "final": round(final_performance(record, _metric(record), LAST), 4),
        "steps": int(record.config["t_max"]),
        "wall_s": round(record.seconds or float("nan"), 1),
        "flops_train_ratio": _ratio(record, "mast_flops_train_ratio"),
        "flops_test_ratio": _ratio(record, "mast_flops_test_ratio"),
        "size_ratio": _ratio(record, "mast_size_ratio"),
        "commit": commit_of(record),
    }


def curve(row: dict[str, Any], record: Record) -> Iterator[dict[str, Any]]:
    """The evaluations of a run."""
    series = record.series[_metric(record)]
    names = {key: row[key] for key in CELL}
    for step, value in zip(series.steps, series.values, strict=True):
        yield {**names, "step": int(step), "value": round(float(value), 4)}


def agent_densities(row: dict[str, Any], record: Record) -> Iterator[dict[str, Any]]:
    """The share of weights that each agent's own network has at the end; none if it is shared."""
    names = {key: row[key] for key in CELL}
    for metric, agent in _DENSITIES.items():
        if (density := record.last(metric)) is not None:
            yield {**names, "agent": agent, "density": density}


def diagnosis(row: dict[str, Any], record: Record) -> Iterator[dict[str, Any]]:
    """The evaluations of a run, and what else its figures show, by metric and step."""
    names = {key: row[key] for key in (*DIAGNOSED, "commit")}
    for metric in (_metric(record), *DIAGNOSTICS):
        if (series := record.series.get(metric)) is not None:
            for step, value in zip(series.steps, series.values, strict=True):
                yield {**names, "metric": metric, "step": int(step), "value": round(value, 4)}


def with_known_cores(new: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Rows of ``machines.csv``, with the cores that it has where a record is too old to say them.

    Args:
        new: rows.
        path: of the table; none is there at first.
    """
    if not path.exists():
        return new
    known = read_table(path).set_index(CELL).cores.astype(float)
    of_new = known.reindex(pd.MultiIndex.from_frame(new[CELL])).set_axis(new.index)
    return new.assign(cores=new.cores.astype(float).fillna(of_new))


def commit_of(record: Record) -> str:
    """The first digits of the code's commit, and whether files were changed after it."""
    commit, plus, _ = str(record.made_with.get("commit") or "unknown").partition("+")
    return commit[:10] + ("+changes" if plus else "")


def _metric(record: Record) -> str:
    return WIN_RATE if WIN_RATE in record.series else RETURN


def _ratio(record: Record, metric: str) -> float:
    """Of dense; 1 for a stock algorithm, which logs none."""
    logged = record.last(metric)
    return 1.0 if logged is None else round(logged, 5)


def _update(path: Path, new: pd.DataFrame, key: list[str], *order: str) -> pd.DataFrame:
    """Put rows into a table, in place of those of the same runs.

    Args:
        path: of the table; none is there at first.
        new: rows, with the columns of the table.
        key: columns that tell runs apart.
        order: columns that its rows are sorted by after these.
    """
    table = new
    if path.exists():
        old = read_table(path)
        again = pd.MultiIndex.from_frame(old[key]).isin(pd.MultiIndex.from_frame(new[key]))
        table = pd.concat([kept for kept in (old[~again], new) if len(kept)] or [new])
    table = table.sort_values([*key, *order])
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False)
    temporary.replace(path)
    return table


if __name__ == "__main__":
    main()
