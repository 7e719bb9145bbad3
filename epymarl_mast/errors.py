"""Errors a user can mend. The command line prints them as one line and exits with their code.

2 is wrong input, found before anything starts; 1 is a run that failed (docs/faults.md).
"""

from __future__ import annotations

import difflib
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


_MOST_CHARACTERS = 2000
# What stands before an @ belongs to an address: user:password@server, with or without mongodb://.
_CREDENTIALS = re.compile(r"([\w+.-]+://[^\s:@/]*|[^\s:@/'\"=]+):\S+@")


class MastError(Exception):
    """Base of all errors below; the message names what is wrong and what is allowed.

    It is one line, whatever a file or a command line put into it, and shows no password.
    """

    exit_code = 2

    def __str__(self) -> str:
        said = without_passwords(printable(super().__str__()))
        return said if len(said) <= _MOST_CHARACTERS else f"{said[:_MOST_CHARACTERS]} …"


class OptionError(MastError, ValueError):
    """A configuration that cannot be run: unknown key, wrong type or range, parts at odds."""


class HostError(MastError):
    """No host, or one that cannot do what was asked."""


class CheckpointError(MastError):
    """A checkpoint that does not fit the run it is loaded into."""


class ExportError(MastError):
    """An agent that cannot be exported, or a file that is no exported agent."""


class ReportError(MastError):
    """A record of a run that does not hold what is to be shown."""


class RunError(MastError):
    """A run that was under way and cannot go on; the message says why and what to do."""

    exit_code = 1


class RunFailed(SystemExit):
    """A run that ended with an error after its record was begun.

    Attributes:
        folder: the record's directory.
    """

    def __init__(self, code: object, folder: Path) -> None:
        super().__init__(code)
        self.folder = folder


class RunStopped(KeyboardInterrupt):
    """A run that was told to end by a signal, and has: Sacred notes it as interrupted.

    Attributes:
        exit_code: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"told to end, exit code {exit_code}")
        self.exit_code = exit_code


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C, or another signal to end, in a run that has a record.

    Attributes:
        folder: the record's directory.
        exit_code: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, folder: Path, exit_code: int = 130) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self.exit_code = exit_code


def printable(text: object) -> str:
    """Text from elsewhere without what would move a terminal's cursor, or end a line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def without_passwords(text: str) -> str:
    """Text that may have addresses in it, each without its password."""
    return _CREDENTIALS.sub(r"\1:***@", text)


def warn(text: str) -> None:
    """One line on standard error about something that does not end the run.

    Not :func:`warnings.warn`, which PyMARLzoo+ silences.
    """
    with suppress(OSError):  # a log on the disk that is full, of which it speaks
        print(f"mast: warning: {without_passwords(text)}", file=sys.stderr, flush=True)


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the most similar known word, else an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {match[0]!r}?)" if match else ""


@contextmanager
def needs_package(what: str, extra: str) -> Iterator[None]:
    """Around imports of an optional package: what to install where it is missing.

    Raises:
        MastError: naming the package and the extra that has it.
    """
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "epymarl_mast":
            raise
        package = error.name.partition(".")[0]
        raise MastError(f"{what} needs {package}: pip install 'epymarl-mast[{extra}]'") from None


_leave_the_line: list[Callable[[], None]] = []


def before_an_error(function: Callable[[], None]) -> None:
    """Have ``function`` called before an error is shown: a progress bar has to leave its line."""
    _leave_the_line.append(function)


def exits_cleanly(function: Callable[P, R]) -> Callable[P, R]:
    """Turn a :class:`MastError` into one line on standard error and its exit code.

    Sacred prints the stack of any exception that reaches it, but lets ``SystemExit`` through.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **named: P.kwargs) -> R:
        try:
            return function(*args, **named)
        except MastError as error:
            for leave in _leave_the_line:
                leave()
            print(f"mast: error: {error}", file=sys.stderr, flush=True)
            raise SystemExit(error.exit_code) from error

    return wrapped
