"""``summary.csv``: a row for each finished run of the study; its curves, densities, diagnostics.

python benchmarks/study/summarise.py [--results DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from epymarl_mast.report.files import read_folder
from epymarl_mast.report.record import COSTS, RETURN, WIN_RATE, Record
from epymarl_mast.report.results import final_performance
from epymarl_mast.sweep.plan import Run, read_sweep

HERE = Path(__file__).parent
LAST = 20  # evaluations of a score (MAST §4.1)
COLUMNS = [
    "task", "algorithm", "method", "sparsity", "hidden", "seed", "final", "steps", "wall_s",
    "flops_train_ratio", "flops_test_ratio", "size_ratio", "commit",
]  # fmt: skip
_DENSITIES = {f"mast_density_agent_{agent}": agent for agent in range(8)}
CURVES = ["task", "algorithm", "method", "sparsity", "hidden", "seed", "step", "value"]
DIAGNOSTICS = [
    "mast_value_estimated", "mast_value_realised",
    "mast_distance_batch", "mast_distance_large", "mast_distance_newest",
]  # fmt: skip
_OTHERWISE_SHOWN = ("mast.sparsity", "mast.engine", "hidden_dim")


def main() -> None:
    """Read the results of every sweep and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    results = parser.parse_args().results
    runs = {f"sweep-{run.id}": run for file in sweeps(results) for run in read_sweep(file).runs}
    rows, curves, densities, diagnostics = [], [], [], []
    for record in read_folder(results, {WIN_RATE, RETURN, *COSTS, *_DENSITIES, *DIAGNOSTICS}):
        run = runs.get(str(record.config.get("label"))) if isinstance(record, Record) else None
        if isinstance(record, Record) and run is not None and record.status == "COMPLETED":
            row = summary(run, record)
            if is_diagnostic(run):
                diagnostics.extend(diagnosis(row, record))
                continue
            rows.append(row)
            curves.extend(curve(row, record))
            densities.extend(agent_densities(row, record))
    order = ["task", "algorithm", "hidden", "method", "sparsity", "seed"]
    _write(pd.DataFrame(rows, columns=COLUMNS).sort_values(order), HERE / "summary.csv")
    evaluations = pd.DataFrame(curves, columns=CURVES)
    _write(evaluations.sort_values([*order, "step"]), HERE / "curves.csv")
    _write(pd.DataFrame(densities, columns=["task", "seed", "agent", "density"]),
           HERE / "densities.csv")  # fmt: skip
    keys = ["task", "method", "sparsity", "seed", "commit", "metric", "step", "value"]
    table = pd.DataFrame(diagnostics, columns=keys)
    _write(table.sort_values(keys[:-1]), HERE / "diagnostics.csv")
    print(f"{len(rows)} runs of {sum(not is_diagnostic(run) for run in runs.values())}, and "
          f"{len(table[keys[:4]].drop_duplicates())} of "
          f"{sum(map(is_diagnostic, runs.values()))} for diagnostics")  # fmt: skip


def sweeps(results: Path) -> list[Path]:
    """The study's sweep files, and the one that ``tickets.py`` made."""
    return sorted([*HERE.glob("*.yaml"), *results.glob("tickets.yaml")])


def summary(run: Run, record: Record) -> dict[str, Any]:
    """A row of ``summary.csv``.

    Args:
        run: what the sweep asked for.
        record: what became of it.
    """
    method = method_of(run)
    dense = method in ("stock", "dense") or "no_sparsity" in method
    metric = _metric(record)
    return {
        "task": record.task.removeprefix("lbforaging:").removeprefix("mpe:"),
        "algorithm": run.config.removeprefix("mast_"),
        "method": method,
        "sparsity": 0.0 if dense else float(record.config["mast.sparsity"]),
        "hidden": record.config["hidden_dim"],
        "seed": record.seed,
        "final": round(final_performance(record, metric, LAST), 4),
        "steps": int(record.config["t_max"]),
        "wall_s": round(record.seconds or float("nan"), 1),
        "flops_train_ratio": _ratio(record, "mast_flops_train_ratio"),
        "flops_test_ratio": _ratio(record, "mast_flops_test_ratio"),
        "size_ratio": _ratio(record, "mast_size_ratio"),
        "commit": str(record.made_with.get("commit"))[:10],
    }


def curve(row: dict[str, Any], record: Record) -> Iterator[dict[str, Any]]:
    """The evaluations of a run."""
    series = record.series[_metric(record)]
    names = {key: row[key] for key in ("task", "algorithm", "method", "sparsity", "hidden", "seed")}
    for step, value in zip(series.steps, series.values, strict=True):
        yield {**names, "step": int(step), "value": round(float(value), 4)}


def agent_densities(row: dict[str, Any], record: Record) -> Iterator[dict[str, Any]]:
    """The share of weights that each agent's own network has at the end; none if it is shared."""
    for metric, agent in _DENSITIES.items():
        if (density := record.last(metric)) is not None:
            yield {"task": row["task"], "seed": row["seed"], "agent": agent, "density": density}


def is_diagnostic(run: Run) -> bool:
    """Whether a run is there for what it logs: it repeats one of another sweep, which counts."""
    return any(key.startswith("mast.log_") for key, _ in run.options)


def diagnosis(row: dict[str, Any], record: Record) -> Iterator[dict[str, Any]]:
    """The evaluations of a run, and what else its figures show, by metric and step."""
    names = {key: row[key] for key in ("task", "method", "sparsity", "seed", "commit")}
    for metric in (_metric(record), *DIAGNOSTICS):
        if (series := record.series.get(metric)) is not None:
            for step, value in zip(series.steps, series.values, strict=True):
                yield {**names, "metric": metric, "step": int(step), "value": round(value, 4)}


def method_of(run: Run) -> str:
    """``stock``, a baseline's name, or ``mast`` with what is unlike its defaults."""
    if not run.config.startswith("mast_"):
        return "stock"
    words = [w for w in run.overrides if w.split("=")[0] not in _OTHERWISE_SHOWN]
    if any(word.startswith("mast.mask_from=") for word in words):
        return "mast winning ticket"
    baseline = words and words[0] in {"dense", "tiny", "ss", "set", "rigl", "rlx2"}
    return " ".join(words if baseline else ["mast", *words])


def _metric(record: Record) -> str:
    return WIN_RATE if WIN_RATE in record.series else RETURN


def _ratio(record: Record, metric: str) -> float:
    """Of dense; 1 for a stock algorithm, which logs none."""
    logged = record.last(metric)
    return 1.0 if logged is None else round(logged, 5)


def _write(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False)
    temporary.replace(path)


if __name__ == "__main__":
    main()
