"""The study's runs, and which cell of its tables each is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from epymarl_mast.overrides import read_yaml, shipped_algorithms
from epymarl_mast.sweep.plan import Run, read_sweep

HERE = Path(__file__).parent
STUDIED = sorted(HERE.glob("*.yaml"))
SEARCHED = sorted(HERE.glob("search/*.yaml"))  # on other tasks and seeds, for defaults
CELL = ["task", "algorithm", "method", "sparsity", "hidden", "seed"]
LAST = 20  # evaluations of a score (MAST §4.1)
DIAGNOSTIC_RUNS = {"algorithm": "qmix", "hidden": 64}  # what diagnostics.csv does not say of them
_OTHERWISE_SHOWN = ("mast.sparsity", "mast.engine")
_BASELINES = {"dense", "tiny", "ss", "set", "rigl", "rlx2"}
_DENSE = {"stock", "dense", "no_sparsity"}  # words of methods without a sparsity


def read_table(path: Path) -> pd.DataFrame:
    """One of the tables; a commit may be digits alone, or look like 1e9."""
    return pd.read_csv(path, dtype={"commit": str})


def runs_of(files: Iterable[Path]) -> list[Run]:
    """The runs of some sweeps.

    Raises:
        ValueError: naming two that differ in the run of a row, as one copied for a trial does.
    """
    runs: list[Run] = []
    rows: dict[tuple[Any, ...], tuple[Path, Run]] = {}
    for file in files:
        for run in read_sweep(file).runs:
            first, same = rows.setdefault((*key_of(run), is_diagnostic(run)), (file, run))
            if run.label != same.label:
                raise ValueError(
                    f"{file.name} and {first.name} have different runs for one row, {run.title}: "
                    "a sweep of your own belongs outside the study's folder"
                )
            runs.append(run)
    return runs


def cell_of(run: Run) -> dict[str, Any]:
    """Names of a run's row, by ``CELL``.

    Raises:
        ValueError: naming a sparse run that leaves its sparsity to a default, which may change.
    """
    options, method = dict(run.options), method_of(run)
    given = [w.removeprefix("mast.sparsity=") for w in run.overrides if "mast.sparsity=" in w]
    if not given and not _DENSE & set(method.split()):
        raise ValueError(f"{run.title} does not give mast.sparsity, as 0.95, in its overrides")
    return {
        "task": str(options["env_args.key"]).partition(":")[2],
        "algorithm": run.config.removeprefix("mast_"),
        "method": method,
        "sparsity": float(given[0]) if given else 0.0,
        "hidden": options.get("hidden_dim", 64),
        "seed": options["seed"],
    }


def key_of(run: Run) -> tuple[Any, ...]:
    """What tells a run's row from others, in the order of ``CELL``."""
    cell = cell_of(run)
    return tuple(cell[name] for name in CELL)


def method_of(run: Run) -> str:
    """``stock``, a baseline's name, or ``mast`` with what is unlike its defaults."""
    if not run.config.startswith("mast_"):
        return "stock"
    words = [w for w in run.overrides if w.split("=")[0] not in _OTHERWISE_SHOWN]
    if any(word.startswith("mast.mask_from=") for word in words):
        return "mast winning ticket"
    baseline = [word for word in words if word in _BASELINES]
    others = [word for word in words if word not in _BASELINES]
    return " ".join([*(baseline or ["mast"]), *others])


def is_diagnostic(run: Run) -> bool:
    """Whether a run is there for what it logs, and its score is not in ``summary.csv``."""
    return any(key.startswith("mast.log_") for key, _ in run.options)


def is_of(run: Run, config: Mapping[str, Any]) -> bool:
    """Whether a record's configuration has the run's α of Soft Mellowmax, if its targets use one.

    A run is known by what is unlike the defaults, and that of α has changed.

    Args:
        run: of a sweep.
        config: of a record with its label, flat.
    """
    if config.get("mast.operator") not in ("soft_mellowmax", "softmax"):
        return True
    given = [word.partition("=")[2] for word in run.overrides if word.startswith("mast.alpha=")]
    return float(config["mast.alpha"]) == float(given[0] if given else _default_alpha(run.config))


def lacking(
    runs: Iterable[Run], summary: pd.DataFrame, search: pd.DataFrame, diagnostics: pd.DataFrame
) -> list[Run]:
    """Those of some runs that the tables have no row of.

    A row of fewer or more steps than the sweep asks for is not of its run.

    Args:
        runs: of any sweeps.
        summary: ``summary.csv``.
        search: ``search.csv``.
        diagnostics: ``diagnostics.csv``.
    """
    logged = _rows(diagnostics.assign(**DIAGNOSTIC_RUNS), CELL)
    counted = _rows(summary, [*CELL, "steps"]) | _rows(search, [*CELL, "steps"])
    return [
        run
        for run in runs
        if (
            key_of(run) not in logged
            if is_diagnostic(run)
            else (*key_of(run), dict(run.options)["t_max"]) not in counted
        )
    ]


def _rows(table: pd.DataFrame, names: list[str]) -> set[tuple[Any, ...]]:
    return set(table[names].itertuples(index=False, name=None))


@lru_cache
def _default_alpha(config: str) -> float:
    return float(read_yaml(shipped_algorithms()[config], config)["mast"]["alpha"])


def write_sweep(file: Path, results: Path, runs: Sequence[Run]) -> None:
    """Some runs as a sweep of their own; none are no sweep, and leave no file.

    Args:
        file: to write.
        results: folder that they go to, absolute.
        runs: of the study's sweeps.
    """
    if not runs:
        file.unlink(missing_ok=True)
        return
    results.mkdir(parents=True, exist_ok=True)
    plan = {
        "host": "pymarlzooplus",
        "results": str(results),
        "runs": [_listed(run) for run in runs],
    }
    file.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")


def _listed(run: Run) -> dict[str, Any]:
    """A run as an entry of a sweep's list."""
    options = dict(run.options)
    seed = options.pop("seed")
    return {
        "config": run.config,
        "environment": {"env-config": run.env_config},
        "overrides": list(run.overrides),
        "options": options,
        "seed": seed,
    }
