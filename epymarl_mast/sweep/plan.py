"""``sweep.yaml``: a grid and a list of runs, checked before the first of them starts."""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from epymarl_mast.errors import MastError, OptionError, nearest
from epymarl_mast.overrides import read_yaml, user_path
from epymarl_mast.tracking.address import without_password

Value = Any


@dataclass(frozen=True)
class Run:
    """One run of ``mast train``.

    Attributes:
        config: algorithm, as after ``--config=``.
        env_config: environment, as after ``--env-config=``.
        overrides: YAML files or short names after ``with``.
        options: ``key: value`` after ``with``, the seed among them.
        host: as after ``--host``, or None.
        results: where Sacred writes.
        mongo: as after ``-m``, or None.
    """

    config: str
    env_config: str
    overrides: tuple[str, ...]
    options: tuple[tuple[str, Value], ...]
    host: str | None
    results: str
    mongo: str | None

    @property
    def id(self) -> str:
        """Ten digits that say what is run, wherever results land: the same run has the same."""
        what = [self.config, self.env_config, self.overrides, sorted(self.options), self.host]
        return hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()[:10]

    @property
    def host_arguments(self) -> list[str]:
        """What the host gets; the run's ``label`` is its id."""
        return [
            f"--config={self.config}",
            f"--env-config={self.env_config}",
            *self._database,
            "with",
            *self.overrides,
            *(f"{key}={_literal(value)}" for key, value in self.options),
            f"local_results_path={self.results}",
            f"label={_literal(self.label)}",
        ]

    @property
    def label(self) -> str:
        """What its record is known by."""
        return f"sweep-{self.id}"

    @property
    def arguments(self) -> list[str]:
        """What follows ``mast``."""
        return ["train", *self._host, *self.host_arguments]

    def resuming(self, record: Path) -> list[str]:
        """The same to go on with a record of this run, its Sacred directory."""
        return ["train", *self._host, "--resume", str(record), *self._database]

    @property
    def _host(self) -> list[str]:
        return ["--host", self.host] if self.host else []

    @property
    def _database(self) -> list[str]:
        return ["-m", self.mongo] if self.mongo else []

    @property
    def title(self) -> str:
        """For people: what tells it from the others."""
        options = [f"{k}={v}" for k, v in self.options if k.startswith("mast.") or k == "seed"]
        task = dict(self.options).get("env_args.map_name") or dict(self.options).get("env_args.key")
        return " ".join([self.config, *([str(task)] if task else []), *self.overrides, *options])

    @property
    def command(self) -> str:
        """For a shell, without a password."""
        words = [without_password(w) if w == self.mongo else w for w in self.arguments]
        return shlex.join(["mast", *words])


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    overrides: Any = Field(default_factory=list)
    options: dict[str, Value] = Field(default_factory=dict)


class _Environment(BaseModel):
    model_config = ConfigDict(extra="allow")

    env_config: str = Field(alias="env-config")


class _Single(_Part):
    """A run of the list."""

    config: str
    environment: _Environment
    seed: int


class _File(_Part):
    """The file. A list under ``options`` is an axis of the grid."""

    host: str | None = None
    results: str = "results"
    mongo: str | None = None
    configs: list[str] = Field(default_factory=list)
    environments: list[_Environment] = Field(default_factory=list)
    seeds: list[int] = Field(default_factory=list)
    runs: list[_Single] = Field(default_factory=list)

    @field_validator("seeds", mode="before")
    @classmethod
    def _first_seeds(cls, value: Any) -> Any:
        return list(range(1, value + 1)) if isinstance(value, int) else value


@dataclass(frozen=True)
class Sweep:
    """All runs of a file.

    Attributes:
        file: where it was read.
        runs: in order; no two alike.
        results: folder of the results.
    """

    file: Path
    runs: tuple[Run, ...]
    results: Path

    def run(self, identity: str) -> Run:
        """The run with an id.

        Raises:
            OptionError: if there is none.
        """
        for run in self.runs:
            if run.id == identity:
                return run
        raise OptionError(f"--only={identity}: {self.file} has no such run; --dry-run lists them")


def short_titles(runs: Sequence[Run]) -> dict[Run, str]:
    """Titles without the words that all runs share."""
    words = {run: run.title.split() for run in runs}
    shared = set.intersection(*map(set, words.values())) if len(runs) > 1 else set()
    return {run: " ".join(w for w in own if w not in shared) for run, own in words.items()}


def read_sweep(file: Path) -> Sweep:
    """Read a file.

    Raises:
        OptionError: naming the key that is wrong and what is allowed.
    """
    content = read_yaml(file, str(file))
    try:
        plan = _File.model_validate(content)
    except ValidationError as error:
        raise OptionError(f"{file}: {_said(error)}") from None
    results = str((file.absolute().parent / user_path(plan.results)).resolve())
    runs = list(dict.fromkeys(itertools.chain(_grid(plan, results), _list(plan, results))))
    if not runs:
        raise OptionError(
            f"{file} names no run: configs, environments and seeds, or a list of runs, are needed"
        )
    return Sweep(file.absolute(), tuple(runs), Path(results))


def check_runs(sweep: Sweep) -> None:
    """Check every run as ``mast train`` will, before any starts.

    Raises:
        OptionError: the first mistake, with the run it is in.
    """
    from epymarl_mast.hosts import find_host
    from epymarl_mast.launch import prepare

    for run in sweep.runs:
        try:
            prepare(find_host(run.host), run.host_arguments)
        except MastError as error:
            raise OptionError(f"{sweep.file.name}: run {run.title}: {error}") from None


def _grid(plan: _File, results: str) -> Iterator[Run]:
    """Every combination, seed by seed: a sweep that is stopped early has compared all it could."""
    axes = {key: v if isinstance(v, list) else [v] for key, v in plan.options.items()}
    for seed, config, environment, overrides, *values in itertools.product(
        plan.seeds, plan.configs, plan.environments, _choices(plan.overrides), *axes.values()
    ):
        chosen = dict(zip(axes, values, strict=True))
        yield _run(plan, results, config, environment, overrides, chosen, seed)


def _list(plan: _File, results: str) -> Iterator[Run]:
    for single in plan.runs:
        [overrides] = _choices([single.overrides])
        scalars = {key: v for key, v in plan.options.items() if not isinstance(v, list)}
        options = {**scalars, **single.options}
        yield _run(
            plan, results, single.config, single.environment, overrides, options, single.seed
        )


def _choices(overrides: Any) -> list[tuple[str, ...]]:
    """Each entry is a name, several separated by blanks, a list of names, or empty: none."""
    entries = overrides if isinstance(overrides, list) else [overrides]
    found = []
    for entry in entries or [""]:
        names = entry if isinstance(entry, list) else str(entry or "").split()
        found.append(tuple(map(str, names)))
    return found


def _run(
    plan: _File, results: str, config: str, environment: _Environment,
    overrides: tuple[str, ...], options: dict[str, Value], seed: int,
) -> Run:  # fmt: skip
    keys = {**(environment.model_extra or {}), **options, "seed": seed}
    return Run(
        config=config,
        env_config=environment.env_config,
        overrides=overrides,
        options=tuple((key, _hashable(key, value)) for key, value in keys.items()),
        host=str(user_path(plan.host)) if plan.host else None,
        results=results,
        mongo=plan.mongo,
    )


def _hashable(key: str, value: Value) -> Value:
    if isinstance(value, dict):
        raise OptionError(f"{key}={value} is not allowed: its parts are, as {key}.name: value")
    return tuple(_hashable(key, part) for part in value) if isinstance(value, list) else value


def _literal(value: Value) -> str:
    """A value as Sacred's parser reads it: Python's own notation, text without quotes."""
    if isinstance(value, str):
        return value
    return repr(_listed(value))


def _listed(value: Value) -> Value:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


def _said(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = list(_File.model_fields) if len(first["loc"]) == 1 else list(_Single.model_fields)
        hint = nearest(str(first["loc"][-1]), known)
        return f"{where} is not a key of a sweep{hint}; allowed are {', '.join(known)}"
    value = "" if first["type"] == "missing" else f"={first['input']!r}"
    return f"{where}{value}: {first['msg']}"
