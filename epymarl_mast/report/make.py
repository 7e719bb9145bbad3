"""The whole of ``mast report``: read, select, compute, write."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from epymarl_mast.errors import OptionError, nearest, printable
from epymarl_mast.overrides import user_path
from epymarl_mast.report import tables
from epymarl_mast.report.attach import attach
from epymarl_mast.report.database import read_database
from epymarl_mast.report.files import read_folder
from epymarl_mast.report.methods import methods, methods_by
from epymarl_mast.report.page import html_page
from epymarl_mast.report.pictures import draw_all
from epymarl_mast.report.record import COSTS, RETURN, WIN_RATE, Record, Unreadable
from epymarl_mast.report.results import curves, dense_notes, over_tasks, rows
from epymarl_mast.report.selection import Selection, select, usable
from epymarl_mast.tracking.address import is_address, without_password
from epymarl_mast.whole_files import write_whole
from epymarl_mast.wording import counted


@dataclass(frozen=True)
class Request:
    """What is asked for; see ``mast report --help``."""

    sources: tuple[str, ...]
    out: Path
    by: tuple[str, ...] | None = None
    metric: str | None = None
    last: int = 20
    dense: str | None = None
    smooth: bool = False
    formats: tuple[str, ...] = ("png",)
    attach: bool = False
    command: str = "mast report"


def make_report(request: Request) -> Iterator[str]:
    """Write the report; yields lines for the terminal.

    Raises:
        OptionError: if a source is not there, or no run can be compared.
    """
    found = list(_read(request.sources, _metrics(request)))
    selection, notes = choose(found, request)
    single = rows(selection, request.last, request.dense)
    if request.dense is not None and request.dense not in {row.method for row in single}:
        known = sorted({row.method for row in single})
        raise OptionError(
            f"--dense={request.dense}: no such method here{nearest(request.dense, known)}; "
            f"allowed are {', '.join(known)}"
        )
    aggregates, more_notes = over_tasks(single)
    table = [*single, *aggregates]
    notes += [*dense_notes(single), *more_notes]
    pictures = draw_all(single, curves(selection, single, request.smooth))
    request.out.mkdir(parents=True, exist_ok=True)
    written = tables.write_tables(request.out, table, selection.findings)
    for picture in pictures:
        written += picture.write(request.out, request.formats)
    left_out = sum(finding.left_out for finding in selection.findings)
    compared = f"{counted(len(selection.runs), 'run')} compared, {left_out} left out"
    page = html_page(
        title="Report",
        command=_shown(request),
        compared=compared,
        last=request.last,
        performance=tables.readable(table),
        findings=tables.runs_table(selection.findings),
        notes=notes,
        pictures=pictures,
    )
    write_whole(request.out / "report.html", page.encode())
    if request.attach:
        attach(request.out / "report.html", selection.runs)

    yield tables.markdown(tables.readable(table))
    yield from map(printable, notes)
    yield compared
    for finding in selection.findings:
        said = f"{finding.source}: {finding.problem}"
        yield f"{'left out' if finding.left_out else 'note'}: {printable(said)}"
    yield f"{len(written) + 1} files in {request.out}; open {request.out / 'report.html'}"


def choose(found: list[Record | Unreadable], request: Request) -> tuple[Selection, list[str]]:
    """The runs to compare, and notes about how they are grouped.

    Raises:
        OptionError: if there is none.
    """
    runs, metrics, findings = usable(found, request.metric)
    if not runs:
        reasons = "; ".join(f"{f.source}: {f.problem}" for f in findings[:3])
        more = f" ({len(findings) - 3} more)" if len(findings) > 3 else ""
        where = ", ".join(map(without_password, request.sources))
        raise OptionError(f"{where}: no run can be compared: {reasons or 'there is none'}{more}")
    names, notes = (methods(runs), []) if request.by is None else methods_by(runs, request.by)
    return select(runs, names, metrics, findings, request.last), notes


def _metrics(request: Request) -> Collection[str]:
    return {WIN_RATE, RETURN, *COSTS, *([request.metric] if request.metric else [])}


def _read(sources: Collection[str], metrics: Collection[str]) -> Iterator[Record | Unreadable]:
    for source in sources:
        folder = user_path(source)
        if folder.is_dir():
            yield from read_folder(folder, metrics)
        elif is_address(source):
            yield from read_database(source, metrics)
        else:
            raise OptionError(f"{source} is neither a folder nor a MongoDB (host:port:database)")


def _shown(request: Request) -> str:
    shown = request.command
    for source in request.sources:
        shown = shown.replace(source, without_password(source))
    return shown.replace(str(Path.home()), "~")
