"""One run as Sacred recorded it, wherever that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WIN_RATE, RETURN = "test_battle_won_mean", "test_return_mean"
COSTS = (
    "mast_sparsity_total", "mast_size", "mast_size_ratio", "mast_flops_train",
    "mast_flops_train_ratio", "mast_flops_test", "mast_flops_test_ratio",
)  # fmt: skip
"""Metrics whose last value is read beside the performance."""


@dataclass(frozen=True)
class Series:
    """A metric over a run.

    Attributes:
        steps: (P,) environment steps.
        values: (P,).
    """

    steps: Array
    values: Array

    @classmethod
    def of(cls, steps: Any, values: Any) -> Series:
        """From lists; a value that is no number becomes nan.

        Raises:
            TypeError: if they are no lists of so many, the steps being numbers.
        """
        if not (isinstance(steps, list) and isinstance(values, list)) or len(steps) != len(values):
            raise TypeError("a metric that is not as many values as steps")
        if not all(isinstance(step, (int, float)) for step in steps):
            raise TypeError("a metric whose steps are no numbers")
        numbers = [v.get("value") if isinstance(v, Mapping) else v for v in values]
        floats = [float(v) if isinstance(v, (int, float)) else np.nan for v in numbers]
        return cls(np.asarray(steps, float), np.asarray(floats, float))


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        source: where it was read: its directory, or database and id.
        status: Sacred's word: COMPLETED, RUNNING, FAILED, INTERRUPTED, ….
        config: its options, flat: ``{"mast.sparsity": 0.9, …}``.
        series: the metrics that were asked for and are there.
        started: when it began, or None.
        seconds: how long it took, or None.
        made_with: versions that it noted (``tracking/provenance.py``).
        database: address and id of one that was read from a MongoDB.
    """

    source: str
    status: str
    config: Mapping[str, Any]
    series: Mapping[str, Series]
    started: datetime | None = None
    seconds: float | None = None
    made_with: Mapping[str, Any] = field(default_factory=dict)
    database: tuple[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse a record whose parts are not of their kinds.

        Raises:
            TypeError, ValueError, OverflowError: naming the first.
        """
        for key in ("t_max", "test_interval"):
            if not isinstance(number := self.config.get(key, 0), (int, float)):
                raise TypeError(f"its {key} is no number")
            float(number)  # whole numbers may be larger than any
        if not isinstance(self.made_with, Mapping):
            raise TypeError("its note of versions is none")
        float(self.sparsity)

    @property
    def name(self) -> str:
        """Algorithm, the host's ``name``."""
        return str(self.config.get("name"))

    @property
    def task(self) -> str:
        """Map or environment key."""
        return str(self.config.get("env_args.map_name") or self.config.get("env_args.key"))

    @property
    def seed(self) -> Any:
        """The run's seed."""
        return self.config.get("seed")

    @property
    def sparsity(self) -> float:
        """Asked-for share of absent weights; 0 for dense networks; what ``auto`` ended with."""
        asked = self.config.get("mast.sparsity", 0.0)
        if self.config.get("mast.topology") in (None, "dense"):
            return 0.0
        if asked == "auto":  # in steps of a twentieth, so that seeds of a method share a row
            return round((self.last("mast_sparsity_total") or 0.0) * 20) / 20
        return float(asked)

    def last(self, metric: str) -> float | None:
        """Last value of a metric; None where it was not logged."""
        series = self.series.get(metric)
        return float(series.values[-1]) if series is not None and len(series.values) else None


@dataclass(frozen=True)
class Unreadable:
    """Something that looks like a run and cannot be read.

    Attributes:
        source: where.
        problem: why.
    """

    source: str
    problem: str


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested blocks as ``{"a.b": value}``."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{name}."))
        else:
            found[name] = value
    return found


def seconds_trained(run: Mapping[str, Any]) -> float | None:
    """Wall time of a run as Sacred recorded it, without the time between its end and a resume."""
    start, stop = time_of(run.get("start_time")), time_of(run.get("stop_time"))
    if start is None or stop is None:
        return None
    return (stop - start).total_seconds() - float(run.get("away_seconds") or 0.0)


def time_of(recorded: Any) -> datetime | None:
    """A time of a record in files, as text, or in a database; None where there is none."""
    if not recorded:
        return None
    time = recorded if isinstance(recorded, datetime) else datetime.fromisoformat(recorded)
    return time.replace(tzinfo=None)
