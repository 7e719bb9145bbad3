"""Attach the plugin to an EPyMARL checkout, and detach it.

Attaching inserts the one line of ``patches/epymarl-plugins.patch`` after its anchor line in
``src/main.py`` and links the algorithm files into ``src/config/algs``. Local edits are kept.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from epymarl_mast.errors import HostError
from epymarl_mast.hosts.epymarl import EPyMARL
from epymarl_mast.overrides import shipped_algorithms


@dataclass(frozen=True)
class Patch:
    """The insertion.

    Attributes:
        anchor: the line after which to insert; must be there exactly once.
        inserted: the line to insert.
    """

    anchor: str
    inserted: str


def read_patch() -> Patch:
    """The shipped patch."""
    package = Path(__file__).resolve().parent.parent
    folders = (package / "patches", package.parent / "patches")
    folder = next(folder for folder in folders if folder.is_dir())
    lines = (folder / "epymarl-plugins.patch").read_text(encoding="utf-8").splitlines()
    hunk = lines[lines.index(next(line for line in lines if line.startswith("@@"))) + 1 :]
    anchor, inserted = hunk
    return Patch(anchor=anchor[1:], inserted=inserted[1:])


def attach(host: EPyMARL) -> list[str]:
    """Attach; a second call changes nothing.

    A link that an earlier attach left behind, dangling or into another installation, is renewed.

    Returns:
        One line for each thing changed.

    Raises:
        HostError: if ``src/main.py`` does not have the anchor line exactly once, or an algorithm
            file of the same name is already there; nothing is changed then.
    """
    patch = read_patch()
    lines = _read_lines(host)
    attached = patch.inserted in _stripped(lines)
    if not attached and _stripped(lines).count(patch.anchor) != 1:
        raise HostError(
            f"{host.main} does not have the line {patch.anchor!r} exactly once: not attached; "
            "`mast train --host` runs it without attaching"
        )
    links = {host.config_dir / "algs" / f.name: f for f in shipped_algorithms().values()}
    for link, file in links.items():
        if os.path.lexists(link) and not _is_ours(link, file):
            raise HostError(f"{link} is in the way and not ours: not attached")

    changed = []
    if not attached:
        position = _stripped(lines).index(patch.anchor) + 1
        ending = "\r\n" if lines[position - 1].endswith("\r\n") else "\n"
        lines.insert(position, patch.inserted + ending)
        _write_lines(host, lines)
        changed.append(f"{host.main}: one line after {patch.anchor!r}")
    for link, file in links.items():
        if not os.path.lexists(link):
            _link(link, file)
            changed.append(f"{link}")
        elif link.is_symlink() and link.resolve() != file.resolve():
            changed.append(f"{link}: pointed to {link.readlink()}, now to {file}")
            link.unlink()
            _link(link, file)
    return changed


def detach(host: EPyMARL) -> list[str]:
    """Undo :func:`attach`; what a user changed since stays.

    Returns:
        One line for each thing changed.
    """
    patch = read_patch()
    lines = _read_lines(host)
    changed = []
    kept = [line for line in lines if line.rstrip("\r\n") != patch.inserted]
    if kept != lines:
        _write_lines(host, kept)
        changed.append(f"{host.main}: the line is gone")
    for file in shipped_algorithms().values():
        link = host.config_dir / "algs" / file.name
        if os.path.lexists(link) and _is_ours(link, file):
            link.unlink()
            changed.append(f"{link}: gone")
    return changed


def is_attached(host: EPyMARL) -> bool:
    """Whether the line is in ``src/main.py``."""
    return read_patch().inserted in _stripped(_read_lines(host))


def keep_results_out_of_git(host: EPyMARL) -> None:
    """EPyMARL writes ``results/`` into its checkout and ignores it only below ``src/``."""
    ignore = host.root / "results" / ".gitignore"
    if not ignore.exists():
        ignore.parent.mkdir(exist_ok=True)
        ignore.write_text("*\n", encoding="utf-8")


def _read_lines(host: EPyMARL) -> list[str]:
    try:
        with host.main.open(encoding="utf-8", newline="") as file:  # line endings as they are
            return file.readlines()
    except UnicodeDecodeError as error:
        raise HostError(f"{host.main} is not UTF-8 text: not attached") from error


def _write_lines(host: EPyMARL, lines: list[str]) -> None:
    main = host.main.resolve()  # where it is a link, it stays one
    temporary = main.with_name("main.py.mast-tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
    shutil.copymode(main, temporary)
    temporary.replace(main)


def _stripped(lines: list[str]) -> list[str]:
    return [line.rstrip("\r\n") for line in lines]


def _is_ours(link: Path, file: Path) -> bool:
    if link.is_symlink():
        target = link.readlink()
        return target.name == file.name and target.parent.parent.name == "config_overrides"
    return link.is_file() and link.read_bytes() == file.read_bytes()


def _link(link: Path, file: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # file systems and systems without symbolic links
        shutil.copyfile(file, link)
