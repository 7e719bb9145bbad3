"""``mast report``: tables, pictures and one HTML page of finished runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from epymarl_mast.errors import OptionError, needs_package

FORMATS = ("png", "svg", "pdf")


def report(
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders of Sacred's runs, or MongoDBs: host:port:database."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("report"),
    by: Annotated[
        Optional[str],
        typer.Option(
            help="Options that tell methods apart, for instance algorithm,mast.td_lambda. "
            "Default: every option in which runs differ."
        ),
    ] = None,
    metric: Annotated[
        Optional[str],
        typer.Option(
            help="What is compared. Default: test_battle_won_mean where a task logs it, "
            "else test_return_mean."
        ),
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="Evaluations whose mean is a run's score.")] = 20,
    dense: Annotated[
        Optional[str], typer.Option(help="Method to normalise to. Default: '… dense', or stock.")
    ] = None,
    smooth: Annotated[
        bool, typer.Option(help="Smooth curves by Savitzky-Golay, window 21, order 2.")
    ] = False,
    formats: Annotated[str, typer.Option(help="Of the pictures: png, svg, pdf.")] = "png",
    attach: Annotated[
        bool, typer.Option(help="Add the page to the artifacts of every run in it.")
    ] = False,
) -> None:
    """Tables, curves and one HTML page of finished runs."""  # fmt: skip
    with needs_package("mast report", extra="report"):
        from epymarl_mast.report.make import Request, make_report

    kinds = picture_formats(formats)
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out={out} is a file: a folder is needed")
    keys = tuple(by.split(",")) if by else None
    command = shlex.join(["mast", *sys.argv[1:]])
    request = Request(
        tuple(sources), out, keys, metric, last, dense, smooth, kinds, attach, command
    )
    for line in make_report(request):
        typer.echo(line)


def picture_formats(text: str) -> tuple[str, ...]:
    """What ``--formats`` names.

    Raises:
        OptionError: for another word.
    """
    kinds = tuple(part for part in text.split(",") if part)
    if not kinds or not set(kinds) <= set(FORMATS):
        raise OptionError(f"--formats={text}: allowed are {', '.join(FORMATS)}, with commas")
    return kinds
