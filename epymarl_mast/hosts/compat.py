"""Every defect of a host that is worked around, one function each, and nothing else.

A "host" below is EPyMARL (checkout) or PyMARLzoo+ (package). No file of a host is changed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from epymarl_mast.errors import RunFailed, RunInterrupted, RunStopped

_NOISY_LOGGERS = ("git", "pymongo", "matplotlib", "PIL", "numba", "jax")


def quieten_third_parties() -> None:
    """EPyMARL sets the root logger to DEBUG: git, pymongo and others flood the console.

    Both hosts also print deprecation warnings of libraries at import that no user can act on.
    """
    # For processes of the parallel runner too.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:sacred.dependencies")
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", message=r"FileStorageObserver\.create")
    warnings.filterwarnings("ignore", message="(PettingZoo|VMAS) is not installed")
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="(sacred|pygame|docopt)")


def stub_missing_smaclite() -> None:
    """EPyMARL imports ``smaclite`` at start, whatever environment is asked for."""
    if "smaclite" not in sys.modules and importlib.util.find_spec("smaclite") is None:
        sys.modules["smaclite"] = types.ModuleType("smaclite")


def index_with_tuples(episode_batch: type[Any]) -> None:
    """Both hosts index tensors with a list of slices, which torch warns about at every sample."""
    parse = episode_batch._parse_slices
    if getattr(parse, "returns_tuple", False):
        return

    def parse_slices(self: Any, items: Any) -> tuple[Any, ...]:
        return tuple(parse(self, items))

    parse_slices.returns_tuple = True  # type: ignore[attr-defined]
    episode_batch._parse_slices = parse_slices


def pad_short_observations_only(environment: Any) -> None:
    """EPyMARL's gymma has ``numpy.pad`` append nothing to observations that are long enough.

    At every step, which takes as long as half a step of level-based foraging.
    """
    pad = getattr(environment, "_pad_observation", None)
    longest = getattr(environment, "longest_observation_space", None)
    if pad is None or longest is None:
        return

    def pad_observation(observations: Any) -> Any:
        if all(len(seen) == longest.shape[0] for seen in observations):
            return [seen.copy() for seen in observations]
        return pad(observations)

    environment._pad_observation = pad_observation


class SacredRecords:
    """The file observers that were made while results were redirected."""

    def __init__(self) -> None:
        self.observers: list[Any] = []

    @property
    def folder(self) -> Path | None:
        """Directory of the last run that was recorded."""
        folders = [observer.dir for observer in self.observers if observer.dir]
        return Path(folders[-1]) if folders else None


@contextmanager
def sacred_results_in(host_results: Path, results: Path) -> Iterator[SacredRecords]:
    """Both hosts fix where Sacred's files go: into the checkout, or beside the outermost script.

    For a console script the latter is the virtual environment's ``bin``. Whatever would land
    under ``host_results`` lands under ``results`` instead.

    Raises:
        RunInterrupted: for a KeyboardInterrupt in a run, with its record's directory.
        RunFailed: the same for a SystemExit with a code that is not 0.
    """
    from sacred.observers import FileStorageObserver

    initialize = FileStorageObserver.initialize
    records = SacredRecords()

    def redirected(
        self: Any, basedir: Any, resource_dir: Any, source_dir: Any, *rest: Any, **named: Any
    ) -> None:
        moved = [
            _moved(Path(path), host_results, results)
            for path in (basedir, resource_dir, source_dir)
        ]
        initialize(self, *moved, *rest, **named)
        records.observers.append(self)

    with mock.patch.object(FileStorageObserver, "initialize", redirected):
        try:
            yield records
        except KeyboardInterrupt as told:
            if records.folder is None:
                raise
            code = told.exit_code if isinstance(told, RunStopped) else 130
            raise RunInterrupted(records.folder, code) from None
        except SystemExit as stopped:
            if records.folder is None or not stopped.code:
                raise
            raise RunFailed(stopped.code, records.folder) from None


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path


@contextmanager
def tensorboard_in(logger: type[Any], results: Path) -> Iterator[None]:
    """Both hosts write TensorBoard files beside their own source code."""
    setup_tb = logger.setup_tb

    def redirected(self: Any, directory_name: str) -> None:
        setup_tb(self, str(results / "tb_logs" / Path(directory_name).name))

    with mock.patch.object(logger, "setup_tb", redirected):
        yield


@contextmanager
def end_without_threads(run: Any) -> Iterator[None]:
    """Both hosts end a run by two lines about each living thread and a second or two of waiting.

    These threads are Sacred's heartbeat and the MongoDB driver's; their owners end them.

    Args:
        run: the host's module of that name.
    """
    main_thread_alone = types.SimpleNamespace(enumerate=lambda: [threading.main_thread()])
    with mock.patch.object(run, "threading", main_thread_alone):
        yield


@contextmanager
def workers_ignore_interrupts() -> Iterator[None]:
    """The hosts' worker processes each print a trace at Ctrl-C, which reaches the whole group.

    A cluster that ends a job sends SIGTERM to all its processes: without workers the last episodes
    cannot be finished. Processes started inside inherit that they ignore both; they end with the
    one that started them.
    """
    ignored = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def finish_without_plot_errors(main: Any) -> Iterator[None]:
    """PyMARLzoo+ sleeps 10 s after training, then draws plots that can fail a finished run.

    It waits for Sacred's heartbeat to write ``info.json``: the heartbeat is asked for instead. Its
    plots expect ``<key>_T`` beside every entry and at least one logged return: with ``-m`` or in a
    short run that raises KeyError or AssertionError, and the run would be recorded as failed.
    They take seconds for each metric; ``MAST_HOST_PLOTS=0`` leaves them out.
    """
    my_main = main.my_main
    run_module = sys.modules["pymarlzooplus.run"]
    plot = run_module.plot_single_experiment_results

    def quiet_plot(*args: Any, **named: Any) -> None:
        if os.environ.get("MAST_HOST_PLOTS") == "0":
            return
        try:
            plot(*args, **named)
        except (KeyError, AssertionError, ValueError, OSError):
            logging.getLogger("pymarlzooplus").warning(
                "The host's own plots were not drawn: they need every metric in its files."
            )

    def main_without_waiting(_run: Any, _config: Any, _log: Any) -> None:
        clock = types.SimpleNamespace(
            time=run_module.time.time,
            sleep=lambda seconds: _run._emit_heartbeat(),
        )
        with mock.patch.multiple(run_module, time=clock, plot_single_experiment_results=quiet_plot):
            my_main(_run, _config, _log)

    with mock.patch.object(main, "my_main", main_without_waiting):
        yield


@contextmanager
def repositories_without_commits() -> Iterator[None]:
    """Sacred asks git for HEAD of the folder around a host and fails before the first commit."""
    from sacred import dependencies

    ask: Callable[..., Any] = dependencies.get_commit_if_possible

    def commit_or_nothing(filename: Any, save_git_info: bool) -> Any:
        try:
            return ask(filename, save_git_info)
        except ValueError:
            return None, None, None

    with mock.patch.object(dependencies, "get_commit_if_possible", commit_or_nothing):
        yield


@contextmanager
def arguments(argv: Sequence[str]) -> Iterator[None]:
    """The hosts read their options from ``sys.argv``."""
    with mock.patch.object(sys, "argv", list(argv)):
        yield
