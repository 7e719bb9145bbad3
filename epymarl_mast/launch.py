"""From a command line to a checked configuration and the arguments a host understands.

Everything a user can get wrong is found here, before a host starts an environment.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epymarl_mast.checks import check_host_options, check_run, uses_mast
from epymarl_mast.command import SacredCommand, merge, override_path
from epymarl_mast.errors import OptionError, nearest
from epymarl_mast.extensions import load_extensions
from epymarl_mast.hosts.base import Host, HostModules
from epymarl_mast.hosts.environments import check_environment, check_gymnasium_knows
from epymarl_mast.hosts.names import check_names
from epymarl_mast.learners.checkpoint import check_checkpoint
from epymarl_mast.overrides import read_yaml, shipped_algorithms, shipped_environments, user_path

_ROOM_FOR_A_RECORD = 1 << 16  # bytes; that of a short run


@dataclass(frozen=True)
class Invocation:
    """A checked command line.

    Attributes:
        arguments: what to pass to the host's main, with files as absolute paths.
        config: the configuration the run will have, before Sacred's own additions.
    """

    arguments: list[str]
    config: dict[str, Any]

    @property
    def results(self) -> Path:
        """Where results go."""
        return user_path(self.config.get("local_results_path", "results")).absolute()


def prepare(host: Host, arguments: Sequence[str]) -> Invocation:
    """Resolve and check a command line.

    Args:
        host: the host that will run it.
        arguments: as after ``python src/main.py``.

    Raises:
        OptionError: with one line that says what is wrong and what is allowed.
    """
    load_extensions()
    rest = list(arguments)
    algorithm = _take(rest, "--config")
    environment = _take(rest, "--env-config")
    algorithm_file = algorithm_path(host, algorithm)
    environment_file = shipped_environments().get(environment or "") or _config_path(
        host, "envs", "--env-config", environment, also=list(shipped_environments())
    )

    config = read_yaml(host.config_dir / "default.yaml", "the host's default.yaml")
    merge(config, read_yaml(environment_file, f"--env-config={environment}"))
    merge(config, read_yaml(algorithm_file, f"--config={algorithm}"))
    if host.name == "pymarlzooplus":
        config.setdefault("env_args", {}).setdefault("seed", None)  # the host adds it when asked
    command = SacredCommand.parse(rest)
    command.apply_to(config)

    check_host_options(config)
    if uses_mast(config):
        check_run(config)
    check_environment(host, config)
    check_checkpoint(config)
    _check_tensorboard(config)
    arguments = [
        f"--config={_host_name(algorithm_file)}",
        f"--env-config={_host_name(environment_file)}",
        *(str(override_path(part)) if part in command.files else part for part in rest),
    ]
    if str(config.get("local_results_path")).startswith("~"):
        # EPyMARL would write its checkpoints into a folder named "~".
        arguments += ["with"] if "with" not in rest else []
        arguments.append(f"local_results_path={Invocation([], config).results}")
    invocation = Invocation(arguments, config)
    check_results_folder(invocation.results)
    return invocation


def check_on_loaded_host(host: Host, modules: HostModules, config: dict[str, Any]) -> None:
    """Check what only a loaded host can tell: its registries, and gymnasium's.

    Args:
        host: the host that will run.
        modules: what loading it returned.
        config: as in :class:`Invocation`.

    Raises:
        OptionError: for a name that is not known.
    """
    check_names(host, modules, config)
    check_gymnasium_knows(host, config)


def algorithm_path(host: Host | None, name: str | None) -> Path:
    """The YAML file of an algorithm: ours, the host's, or a path with or without ``.yaml``."""
    shipped = shipped_algorithms()
    if name in shipped:
        return shipped[name]
    if host is None:
        path = _as_file(name or "")
        if path is None:
            raise OptionError(f"--config={name}: allowed are {', '.join(shipped)} or a YAML file")
        return path
    return _config_path(host, "algs", "--config", name, also=list(shipped))


def check_results_folder(folder: Path) -> None:
    """Refuse a folder for results in which nothing can be written, before anything is computed.

    Args:
        folder: it, or a folder above it, has to be there.

    Raises:
        OptionError: for one that is read-only or full, or no folder.
    """
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise OptionError(f"local_results_path={folder} is not allowed: {there} is no folder")
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(_ROOM_FOR_A_RECORD))
    except OSError as error:
        raise OptionError(
            f"local_results_path={folder}: nothing can be written in {there} ({error.strerror}): "
            "a folder on a disk with room is allowed"
        ) from None


def _check_tensorboard(config: dict[str, Any]) -> None:
    if not config.get("use_tensorboard"):
        return
    try:
        importlib.import_module("tensorboard_logger")
    except Exception as error:  # with a protobuf that is newer than it knows it is a TypeError
        kind = type(error).__name__
        raise OptionError(
            f"use_tensorboard=True: tensorboard_logger cannot be imported ({kind}): "
            "pip install 'epymarl-mast[tensorboard]'"
        ) from None


def _take(arguments: list[str], option: str) -> str | None:
    """Remove ``--option=value`` or ``--option value`` and return the value."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == option:
            if not equals:
                value = arguments.pop(index + 1) if index + 1 < len(arguments) else ""
            del arguments[index]
            return value
    return None


def _config_path(
    host: Host, kind: str, option: str, name: str | None, also: Sequence[str] = ()
) -> Path:
    folder = host.config_dir / kind
    own = sorted(path.stem for path in folder.glob("*.yaml"))
    if not name:
        raise OptionError(f"{option}=NAME is needed: one of {', '.join([*also, *own])}")
    path = _as_file(name) or folder / f"{name}.yaml"
    if not path.is_file():
        known = [*also, *own]
        hint = _where_else(kind, name) or nearest(name, known)
        raise OptionError(
            f"{option}={name}: {host.name} has no such configuration{hint}; "
            f"allowed are {', '.join(known)} or a YAML file"
        )
    return path


def _where_else(kind: str, name: str) -> str:
    on_epymarl = kind == "envs" and name in ("sc2", "sc2v2", "smaclite")
    return " (EPyMARL has: --host path/to/epymarl)" if on_epymarl else ""


def _as_file(name: str) -> Path | None:
    for path in (user_path(name), user_path(f"{name}.yaml")):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            return path.absolute()
    return None


def _host_name(file: Path) -> str:
    """How to name a configuration file to a host, which adds ``.yaml`` and splits at ``=``."""
    if "=" in str(file) or file.suffix != ".yaml":
        raise OptionError(f"{file}: the hosts need a path that ends in .yaml and has no '=' in it")
    return str(file.with_suffix(""))
