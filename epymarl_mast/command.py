"""What a user wrote for Sacred: ``with key=value``, YAML files and Sacred's own options."""

from __future__ import annotations

import ast
import copy
import difflib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epymarl_mast.errors import HostError, OptionError, nearest
from epymarl_mast.hosts import compat
from epymarl_mast.overrides import read_yaml, shipped_file, shipped_overrides, user_path
from epymarl_mast.tracking.address import check_url, is_sacreds, resolved, without_password


@dataclass(frozen=True)
class SacredCommand:
    """What Sacred will read from a command line.

    Attributes:
        updates: nested ``key: value`` of the ``with a.b=c`` parts.
        files: the YAML files after ``with``.
        force: whether Sacred is told to accept unknown keys.
    """

    updates: dict[str, Any]
    files: list[str]
    force: bool

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> SacredCommand:
        """Let Sacred's own parser read ``arguments``.

        Raises:
            OptionError: if they are not of the form Sacred reads.
            HostError: if there are any and Sacred is not installed.
        """
        if not arguments:
            return cls({}, [], force=False)
        compat.quieten_third_parties()
        try:
            from docopt import DocoptExit, docopt
            from sacred import Experiment
            from sacred.arg_parser import get_config_updates
        except ImportError as error:
            raise HostError(
                f"{error.name} is missing, which every host needs: pip install 'epymarl-mast[host]'"
            ) from None

        experiment = Experiment("mast", save_git_info=False)
        usage = experiment.get_usage("mast train")[2]
        try:
            parsed = docopt(usage, list(arguments), default_help=False)
        except DocoptExit:
            raise OptionError(
                f"cannot read {' '.join(arguments)!r}: write options as in "
                "--config=mast_qmix --env-config=gymma with key=value … [Sacred's options]"
            ) from None
        if "=" in str(parsed["COMMAND"]):
            raise OptionError(f"{parsed['COMMAND']} belongs after the word 'with'")
        _check_address(parsed.get("--mongo_db"))
        for update in parsed["UPDATE"]:
            _check_value(*update.partition("=")[::2])
        updates, files = get_config_updates(parsed["UPDATE"])
        return cls(updates, files, bool(parsed.get("--force")))

    def apply_to(self, config: dict[str, Any]) -> None:
        """Lay files, then ``key=value``, over ``config``, as Sacred does.

        Raises:
            OptionError: for a file that cannot be read, or a key that ``config`` does not have.
        """
        known = copy.deepcopy(config)
        overrides = [read_yaml(override_path(file), file) for file in self.files]
        for updates in (*overrides, self.updates):
            for path, value in [] if self.force else _leaves(updates):
                self._check(path, value, known)
            merge(config, updates)

    @staticmethod
    def _check(path: tuple[str, ...], value: object, known: Mapping[str, Any]) -> None:
        if path == ("seed",):  # Sacred's own
            _check_type("seed", value, default=0)
            return
        here: Any = known
        for depth, key in enumerate(path):
            if not isinstance(here, Mapping) or (not here and depth):
                return
            if key not in here:
                name = ".".join(path[: depth + 1])
                hint = _nearest_path(name, known) or nearest(key, here)
                if name == "mast":
                    hint = ", which is not one of ours: --config=mast_qmix is"
                raise OptionError(f"{name} is not an option of this configuration{hint}")
            here = here[key]
        if path[0] != "mast":  # which has a schema of its own
            _check_type(".".join(path), value, default=here)


def _check_value(name: str, text: str) -> None:
    """Refuse what Sacred would turn into an object: it hands values to jsonpickle.

    A line that somebody else wrote, in a sweep's file for instance, could run any code by that.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return  # text
    except (MemoryError, RecursionError):
        raise OptionError(f"{name}={text[:40]}… is not allowed: it is nested too deeply") from None
    if (tag := next(_object_tags(value), None)) is not None:
        raise OptionError(
            f"{name}={text[:60]} is not allowed: {tag!r} asks for an object; numbers, text, lists "
            "and blocks of them are"
        )


def _object_tags(value: Any) -> Iterator[str]:
    """Jsonpickle's keys, anywhere in a value."""
    if isinstance(value, dict):
        yield from (key for key in value if str(key).startswith(("py/", "json://")))
        value = list(value.values())
    if isinstance(value, (list, tuple, set)):
        for part in value:
            yield from _object_tags(part)


def _check_address(address: str | None) -> None:
    """Refuse what Sacred's ``-m`` would answer with a stack trace."""
    if not address:
        return
    shown = without_password(address)  # of a variable its name: it may hold something else
    address = resolved(address)
    if importlib.util.find_spec("pymongo") is None:
        raise OptionError(f"-m {shown} needs the MongoDB driver: pip install pymongo")
    if not is_sacreds(address):
        raise OptionError(
            f"-m {shown} is not allowed: host:port:database and mongodb://…/database are"
        )
    check_url(address, shown)


def merge(config: dict[str, Any], updates: Mapping[str, Any]) -> None:
    """Update nested blocks in place, as the hosts and Sacred do."""
    for key, value in updates.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = copy.deepcopy(value)


def override_path(file: str) -> Path:
    """An override file by its path or short name: here, or among the shipped ones.

    Raises:
        OptionError: if it is neither.
    """
    path = user_path(file)
    if path.is_file():
        if path.suffix not in (".yaml", ".yml"):  # Sacred unpickles others
            raise OptionError(f"{file} is not allowed: a file whose name ends in .yaml is")
        return path.absolute()
    shipped = shipped_file(file)
    if shipped is None:
        names = shipped_overrides()
        raise OptionError(
            f"{file} is neither key=value nor a file, here or among the shipped config_overrides: "
            f"{', '.join(names)}{nearest(file, names)}"
        )
    return shipped


def _check_type(name: str, value: object, default: object) -> None:
    """Refuse text for a number and the like; what has no default, or text for one, is free."""
    if isinstance(default, bool):
        fits, words = isinstance(value, bool), "True or False"
    elif isinstance(default, int) and not name.endswith("_or_tau"):
        counts_steps = name in ("t_max", "epsilon_anneal_time") or name.endswith("_interval")
        whole = isinstance(value, float) and value.is_integer() and counts_steps  # t_max=2e6
        fits = (isinstance(value, int) and not isinstance(value, bool)) or whole
        words = "a whole number"
    elif isinstance(default, (int, float)):
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        words = "a number"
    else:
        return
    if not fits:
        raise OptionError(f"{name}={value!r} is not allowed: {words} is")


def _leaves(
    updates: Mapping[str, Any], above: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Any]]:
    """``(path, value)`` of everything that is not a block."""
    leaves: list[tuple[tuple[str, ...], Any]] = []
    for key, value in updates.items():
        here = (*above, str(key))
        nested = isinstance(value, Mapping) and value
        leaves += _leaves(value, here) if nested else [(here, value)]
    return leaves


def _nearest_path(name: str, known: Mapping[str, Any]) -> str:
    """A hint for a key that exists in another block: ``sparsity`` is ``mast.sparsity``."""
    paths = [".".join(path) for path, _ in _leaves(known)]
    last = name.rpartition(".")[2]
    match = next((path for path in paths if path.rpartition(".")[2] == last), None)
    if match is None:
        match = next(iter(difflib.get_close_matches(name, paths, n=1, cutoff=0.7)), None)
    return f" (did you mean {match!r}?)" if match else ""
