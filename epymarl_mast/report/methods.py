"""What to call a run: its algorithm, and the options in which it differs from others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from epymarl_mast.overrides import read_yaml, shipped_algorithms, shipped_overrides
from epymarl_mast.report.record import Record, flat

NOT_COMPARED = {
    "seed", "env_args.seed", "label", "hypergroup", "repeat_id", "unique_token",
    "local_results_path", "checkpoint_path", "load_step", "evaluate", "render",
    "save_model", "save_model_interval", "save_replay", "save_replay_episode",
    "log_interval", "learner_log_interval", "runner_log_interval",
    "use_tensorboard", "use_wandb", "use_cuda", "buffer_cpu_only", "mast.engine", "mast.resume",
    "mast.checkpoint_minutes", "mast.checkpoint_interval", "mast.checkpoint_keep",
}  # fmt: skip
"""Options that do not change what is learned, and the seed."""

_SHOWN_ELSEWHERE = {"name", "mast.sparsity", "env_args.key", "env_args.map_name"}
_SAME_AS_ANOTHER = {"all_off"}  # dense by another name
_MISSING = object()


def methods(records: Sequence[Record]) -> list[str]:
    """A name for each run: algorithm, shipped overrides that it fits, other options.

    The other options are those in which runs of one algorithm, task and override differ; sparsity
    has a column of its own.
    """
    overrides = _overrides()
    named = [_named(record, overrides) for record in records]
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, (record, (names, _)) in enumerate(zip(records, named, strict=True)):
        family = (record.name, record.task, *names)
        alike[family].append(index)
    words: list[list[str]] = [[record.name] for record in records]
    for index, (names, _) in enumerate(named):
        words[index] += names
    for group in alike.values():
        keys = set[str]().union(*(records[i].config for i in group))
        explained = set[str]().union(*(named[i][1] for i in group))
        hidden = NOT_COMPARED | _SHOWN_ELSEWHERE | explained
        for key in sorted(k for k in keys - hidden if not k.startswith("wandb")):
            values = [records[i].config.get(key, _MISSING) for i in group]
            if any(value != values[0] for value in values):
                for i, value in zip(group, values, strict=True):
                    words[i].append(f"{key}={'?' if value is _MISSING else value}")
    return [" ".join(parts) for parts in words]


def methods_by(records: Sequence[Record], keys: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names by chosen options, and what is mixed under one of them.

    Args:
        records: the runs.
        keys: options; ``algorithm`` alone is the algorithm's name.

    Returns:
        A name for each run, and notes for the reader.
    """
    chosen = [key for key in keys if key not in ("algorithm", "name")]
    names = [
        " ".join([record.name, *(f"{key}={record.config.get(key)}" for key in chosen)])
        for record in records
    ]
    finer = methods(records)
    notes = []
    for name in sorted(set(names)):
        mixed = sorted({f for f, n in zip(finer, names, strict=True) if n == name})
        if len(mixed) > 1:
            notes.append(f"{name} mixes {len(mixed)} kinds of runs: {'; '.join(mixed)}")
    return names, notes


@lru_cache(maxsize=64)
def _defaults(algorithm: str) -> dict[str, Any]:
    """Options of a shipped algorithm; empty for another one."""
    path = shipped_algorithms().get(algorithm)
    return {} if path is None else flat(read_yaml(path, algorithm))


def _overrides() -> dict[str, dict[str, Any]]:
    """``{short name: options}``, baselines first: their names say more."""
    found = {
        name: (path.parent.name != "baselines", flat(read_yaml(path, name)))
        for name, path in shipped_overrides().items()
        if name not in _SAME_AS_ANOTHER
    }
    return {name: options for name, (_, options) in sorted(found.items(), key=lambda i: i[1][0])}


def _named(
    record: Record, overrides: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[str, ...], set[str]]:
    """Short names of the overrides a run fits, and the options they explain.

    An override that only says what the run's own algorithm says anyway is no name for it.
    """
    names: list[str] = []
    explained: set[str] = set()
    if "mast.topology" not in record.config:
        return (), explained
    defaults = _defaults(record.name)
    for name, options in overrides.items():
        fits = all(record.config.get(key, _MISSING) == value for key, value in options.items())
        changed = {key for key, value in options.items() if defaults.get(key, _MISSING) != value}
        if fits and not changed <= explained:
            names.append(name)
            explained |= set(options)
    return tuple(names), explained
