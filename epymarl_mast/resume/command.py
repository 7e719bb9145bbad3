"""``mast train --resume RUN``: which run that is, and the command line that goes on with it."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from epymarl_mast.errors import CheckpointError, HostError, OptionError
from epymarl_mast.hosts.pymarlzooplus import PyMARLzooPlus
from epymarl_mast.overrides import user_path
from epymarl_mast.resume.checkpoint import Checkpoint, newest_whole
from epymarl_mast.resume.database import Past, continued_in_database
from epymarl_mast.resume.entry import Entry, noted_entry, recorded_address
from epymarl_mast.resume.lock import hold
from epymarl_mast.resume.places import FOLDER
from epymarl_mast.resume.record import check as check_record
from epymarl_mast.resume.record import continued, seconds_away, written_at
from epymarl_mast.resume.state import check_same_run
from epymarl_mast.schemas import SCHEMAS
from epymarl_mast.whole_files import read_json


@dataclass(frozen=True)
class Unfinished:
    """A run to go on with.

    Attributes:
        folder: its Sacred directory.
        config: its configuration, as recorded.
        record: ``run.json``.
        checkpoint: the one to go on from; None to begin again.
        problems: a line on each newer checkpoint that cannot be used.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]
    checkpoint: Checkpoint | None
    problems: tuple[str, ...]

    @classmethod
    def find(cls, path: str) -> Unfinished:
        """The run of a Sacred directory, or the only unfinished one of a results directory.

        Raises:
            OptionError: if there is none, or more than one.
            CheckpointError: if it has finished, is being trained, or cannot be gone on with.
        """
        if not path:
            raise OptionError("--resume needs a directory: that of a run, or results")
        given = user_path(path).absolute()
        if not given.is_dir():
            raise OptionError(f"--resume {path}: there is no such directory")
        for run in (given, given.parent) if given.name == FOLDER else (given,):
            if (run / "config.json").is_file():
                return cls._read(run)
        if (given / "run.json").is_file():
            raise CheckpointError(f"{given} has no config.json: nobody can tell what run it is")
        runs = [file.parent for file in sorted(given.glob("**/config.json"))]
        unfinished = [run for run in runs if _is_unfinished(run)]
        if len(unfinished) == 1:
            return cls._read(unfinished[0])
        if not unfinished:
            raise OptionError(
                f"--resume {path}: there is no unfinished run in it of an algorithm of "
                "epymarl-mast; the host's own cannot be resumed"
            )
        raise OptionError(
            f"--resume {path}: it holds {len(unfinished)} unfinished runs, name one: "
            f"{', '.join(str(run.relative_to(given)) for run in unfinished)}"
        )

    @classmethod
    def _read(cls, folder: Path) -> Unfinished:
        record, config = read_json(folder / "run.json"), read_json(folder / "config.json")
        block = config.get("mast")
        if not _is_ours(config) or not isinstance(block, dict):
            raise CheckpointError(f"{folder}/config.json is not that of a run of epymarl-mast")
        if record.get("status") == "COMPLETED":
            raise CheckpointError(f"{folder} has completed: there is nothing to go on with")
        hold(folder / FOLDER)  # before anything of the record is changed
        checkpoint, problems = newest_whole(folder / FOLDER)
        if checkpoint is None and problems:
            raise CheckpointError(
                f"{folder} has no checkpoint that can be gone on from: {'; '.join(problems)}"
            )
        if checkpoint is None and "last_checkpoint" in record:
            raise CheckpointError(
                f"{folder} had a checkpoint of step {record['last_checkpoint']}, which is not in "
                f"its folder {FOLDER} now: put it back, or begin a new run without --resume"
            )
        if not (block.get("checkpoint_minutes") or block.get("checkpoint_interval")):
            raise CheckpointError(
                f"{folder} was trained without checkpoints: nothing to go on from"
            )
        if checkpoint is not None:
            state = checkpoint.load_state()
            check_same_run(state["config"], json.dumps(config))
            check_record(state["record"])
        return cls(folder, config, record, checkpoint, problems)

    def say(self, others: Sequence[str]) -> list[str]:
        """What a user should know, a line each; ``others`` as for :meth:`arguments`."""
        lines = [f"warning: {problem}; an earlier checkpoint is used" for problem in self.problems]
        if self._entry is not None and not self._database(others):
            lines.append(
                f"warning: its entry in MongoDB, {self._entry}, is not continued: "
                f"--resume {self.folder} -m {self._entry.address} does that"
            )
        if self.checkpoint is None:
            return [*lines, f"{self.folder} has no whole checkpoint: it begins again"]
        return [*lines, f"going on from step {self.checkpoint.t_env:,}"]

    @property
    def noted(self) -> dict[str, Any] | None:
        """What the run's record held at the checkpoint."""
        if self.checkpoint is None:
            return None
        kept: dict[str, Any] = self.checkpoint.load_state()["record"]
        return kept

    def arguments(self, others: Sequence[str]) -> list[str]:
        """The command line of this run, as after ``python src/main.py``.

        Args:
            others: what was given beside ``--resume``.

        Raises:
            OptionError: for anything but ``-m``, as the configuration is the run's own.
        """
        given = database_option(others)
        odd = [word for word in others if word not in given]
        if odd:
            raise OptionError(
                f"--resume takes its configuration from the run: {odd[0]!r} is not allowed "
                "with it, Sacred's -m is"
            )
        config = {**self.config, "local_results_path": str(self.results)}
        config["mast"] = {**config["mast"], "resume": str(self.folder)}
        if self.checkpoint is not None:
            config["checkpoint_path"] = ""  # for hosts, which end a run where that is gone
        place = Path(tempfile.mkdtemp(prefix="mast-"))
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        file = place / "run.yaml"
        try:
            file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{self.folder}/config.json is damaged: {reason}") from None
        return [f"--config={file}", f"--env-config={file}", *self._database(others)]

    @property
    def results(self) -> Path:
        """``local_results_path`` of the run, wherever this process was started."""
        above = self.folder.parents
        if len(above) > 3 and above[2].name == "sacred":
            return above[3]
        return Path(str(self.config.get("local_results_path", "results"))).absolute()

    @property
    def host_to_find(self) -> str | None:
        """What ``--host`` has to be where it is not given; None to look for a checkout."""
        return PyMARLzooPlus.name if self._host == PyMARLzooPlus.name else None

    def check_host(self, name: str) -> None:
        """Refuse to go on on another host.

        Raises:
            HostError: naming the one the run was trained on.
        """
        if self._host not in (None, name):
            raise HostError(
                f"{self.folder} was trained on {self._host}, this is {name}: give its --host"
            )

    @property
    def _host(self) -> str | None:
        about = self.record.get("host")
        noted = about.get("epymarl_mast") if isinstance(about, dict) else None
        return noted.get("host") if isinstance(noted, dict) else None

    @contextmanager
    def record_goes_on(self) -> Iterator[None]:
        """Inside, Sacred continues this run's record, and its entry in the MongoDB of ``-m``."""
        noted = self.noted
        when = written_at(noted, self.checkpoint.path if self.checkpoint else None)
        away = seconds_away(noted, self.record, when)
        past = Past.of(self.folder, noted, when, away)
        with (
            continued(self.folder, noted, when.isoformat(), away),
            continued_in_database(self._entry, past),
        ):
            yield

    def _database(self, others: Sequence[str]) -> list[str]:
        """``-m`` with its address: the one given, else that of the run's start."""
        address = recorded_address(self.record)
        if database_option(others) or address is None or find_spec("pymongo") is None:
            return database_option(others)
        return ["-m", address]

    @property
    def _entry(self) -> Entry | None:
        return noted_entry(self.folder / FOLDER)


def database_option(arguments: Sequence[str]) -> list[str]:
    """Sacred's ``-m ADDRESS`` in a command line; empty if it is not there."""
    for place, word in enumerate(arguments):
        if word == "with":
            break
        if word in ("-m", "--mongo_db"):
            return list(arguments[place : place + 2])
        if word.startswith("--mongo_db="):
            return [word]
    return []


def _is_unfinished(run: Path) -> bool:
    config, record = read_json(run / "config.json"), read_json(run / "run.json")
    return _is_ours(config) and record.get("status") != "COMPLETED"


def _is_ours(config: Mapping[str, Any]) -> bool:
    learner = config.get("learner")
    return isinstance(learner, str) and learner in SCHEMAS
