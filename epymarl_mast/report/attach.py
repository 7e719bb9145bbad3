"""The report's page as an artifact of the runs in it, where they are recorded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epymarl_mast.report.database import connected
from epymarl_mast.report.record import Record
from epymarl_mast.whole_files import read_json, write_json, write_whole

NAME = "report.html"


def attach(page: Path, runs: Sequence[Record]) -> None:
    """Add the page to every run's artifacts, in the place of an earlier one.

    In a directory it is a copy; in a MongoDB it is stored once, and every run refers to it.

    Args:
        page: the file, which holds tables and pictures.
        runs: whose records are changed.

    Raises:
        OptionError: if a server does not answer any more.
    """
    by_database: dict[str, list[Any]] = defaultdict(list)
    for run in runs:
        if run.database is not None:
            address, number = run.database
            by_database[address].append(number)
        else:
            _attach_to_folder(page, Path(run.source))
    for address, numbers in by_database.items():
        _attach_in_database(page, address, numbers)


def _attach_to_folder(page: Path, folder: Path) -> None:
    write_whole(folder / NAME, page.read_bytes())  # not into what a link of that name leads to
    record = read_json(folder / "run.json")
    artifacts = record.get("artifacts", [])
    if record and isinstance(artifacts, list) and NAME not in artifacts:
        write_json(folder / "run.json", {**record, "artifacts": [*artifacts, NAME]})


def _attach_in_database(page: Path, address: str, numbers: Sequence[Any]) -> None:
    import gridfs

    with connected(address) as database:
        earlier = [
            artifact["file_id"]
            for run in database.runs.find({"_id": {"$in": list(numbers)}})
            for artifact in run.get("artifacts", [])
            if artifact["name"] == NAME
        ]
        files = gridfs.GridFS(database)
        number = files.put(page.read_bytes(), filename=f"report://{NAME}")
        for run in numbers:
            database.runs.update_one({"_id": run}, {"$pull": {"artifacts": {"name": NAME}}})
            artifact = {"name": NAME, "file_id": number}
            database.runs.update_one({"_id": run}, {"$push": {"artifacts": artifact}})
        for old in set(earlier):
            if not database.runs.count_documents({"artifacts.file_id": old}):
                files.delete(old)
