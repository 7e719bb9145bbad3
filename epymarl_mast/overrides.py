"""The YAML files this package ships: algorithms, and overrides to lay over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from epymarl_mast.errors import OptionError

_MOST_ENTRIES = 100_000  # of a YAML file, aliases written out
_WHOLE = ("algs", "envs")  # folders of configurations, not of what is laid over one


def overrides_dir() -> Path:
    """Folder with ``algs/``, ``ablations/``, …, in an installed package or a source tree."""
    package = Path(__file__).resolve().parent
    installed = package / "config_overrides"
    return installed if installed.is_dir() else package.parent / "config_overrides"


def shipped_algorithms() -> dict[str, Path]:
    """``{name: YAML file}`` of the algorithms."""
    return {path.stem: path for path in sorted((overrides_dir() / "algs").glob("*.yaml"))}


def shipped_environments() -> dict[str, Path]:
    """``{name: YAML file}`` of the environments that the plugin adds to the hosts."""
    return {path.stem: path for path in sorted((overrides_dir() / "envs").glob("*.yaml"))}


def shipped_overrides() -> dict[str, Path]:
    """``{short name: YAML file}`` of everything that is laid over an algorithm."""
    files = (p for p in overrides_dir().glob("*/*.yaml") if p.parent.name not in _WHOLE)
    return {path.stem: path for path in sorted(files)}


def shipped_file(path: str) -> Path | None:
    """A shipped override by its short name, or by its path ``config_overrides/…``, or None."""
    if path in shipped_overrides():
        return shipped_overrides()[path]
    parts = Path(path).parts
    if not parts or parts[0] != "config_overrides":
        return None
    file = overrides_dir().joinpath(*parts[1:])
    return file if file.is_file() else None


def user_path(written: str | Path) -> Path:
    """A path as a user wrote it, with ``~`` resolved.

    Raises:
        OptionError: for one that cannot be looked up: too long, of an unknown user, not for us.
    """
    try:
        path = Path(written).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{str(written)[:80]} is not a path here: {reason}") from None
    return path


def read_yaml(path: Path, said: str) -> dict[str, Any]:
    """A YAML file that holds a block of options.

    Args:
        path: the file.
        said: how the user named it, for the message.

    Raises:
        OptionError: if it is missing, unreadable or something else than a block.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        _check_size(content)
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{said}: cannot read {path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise OptionError(f"{said}: {path}{where} is not valid YAML: {problem}") from None
    except (ValueError, RecursionError) as error:  # a date or number that is none; deep nesting
        reason = str(error).partition("\n")[0].partition(";")[0]
        raise OptionError(f"{said}: {path} is not a configuration: {reason}") from None
    if not isinstance(content, dict):
        raise OptionError(f"{said}: {path} holds no block of options (key: value)")
    return content


def _check_size(content: Any) -> None:
    """Refuse a file that is small, but huge with its aliases written out, or holds itself.

    Raises:
        ValueError: for one.
    """
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if not isinstance(node, (dict, list)):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = _MOST_ENTRIES  # until it is known: of one that holds itself
            parts = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1 + sum(map(size, parts))
        return sizes[id(node)]

    if size(content) > _MOST_ENTRIES:
        raise ValueError(f"more than {_MOST_ENTRIES} entries, with its aliases written out")
