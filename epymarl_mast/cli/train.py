"""``mast train``: the host's own main, with the plugin in its registries."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Optional

import typer

from epymarl_mast.errors import OptionError, RunError, RunFailed, RunInterrupted
from epymarl_mast.hosts import find_host
from epymarl_mast.resume.stopping import ends_when_told


def train(
    context: typer.Context,
    host: Annotated[
        Optional[str],
        typer.Option(
            help="Path of an EPyMARL checkout, or 'pymarlzooplus'. Default: "
            "$EPYMARL_HOME, the working directory, or the installed pymarlzooplus."
        ),
    ] = None,
    resume: Annotated[
        Optional[str],
        typer.Option(
            help="Go on with an unfinished run as if it had never stopped: its Sacred directory, "
            "or a results directory with exactly one."
        ),
    ] = None,
) -> None:
    """Train: mast train --config=mast_qmix --env-config=gymma with key=value …

    Everything but --host and --resume goes to the host as it is: --config=NAME,
    --env-config=NAME, 'with' followed by key=value and YAML files, and Sacred's options such
    as -m host:port:db.
    """
    with ends_when_told():
        _train(context.args, host, resume)


def _train(arguments: list[str], host: str | None, resume: str | None) -> None:
    from epymarl_mast.launch import check_on_loaded_host, prepare
    from epymarl_mast.plugin import register
    from epymarl_mast.report.record import seconds_trained
    from epymarl_mast.resume.command import Unfinished
    from epymarl_mast.resume.places import newest_checkpoint, step_of
    from epymarl_mast.tracking.mongo import runs_survive_mongo
    from epymarl_mast.tracking.provenance import note_provenance
    from epymarl_mast.tracking.steady_files import records_survive_full_disk
    from epymarl_mast.tracking.summary import finished_run, from_here, print_summary

    others, run = arguments, None
    if resume is not None:
        run = Unfinished.find(resume)
        host, arguments = host or run.host_to_find, run.arguments(others)
    else:
        _refuse_option_of_checkouts(arguments)
    found = find_host(host)
    if run is not None:
        run.check_host(found.name)
    invocation = prepare(found, arguments)
    modules = register(found, show_progress=True)
    check_on_loaded_host(found, modules, invocation.config)
    for line in run.say(others) if run is not None else ():
        typer.echo(f"mast: {line}", err=True)
    note_provenance(found)
    try:
        goes_on = run.record_goes_on() if run is not None else nullcontext()
        with runs_survive_mongo(), records_survive_full_disk(), goes_on:
            folder = found.run(invocation.arguments, invocation.results)
    except RunInterrupted as stopped:
        where = from_here(stopped.folder)
        typer.echo(f"mast: interrupted; the results so far are in {where}", err=True)
        newest = newest_checkpoint(stopped.folder)
        if newest is not None:
            step = step_of(newest)
            how = f"mast: go on with it, from step {step:,}, by: mast train --resume '{where}'"
            typer.echo(how, err=True)
        else:
            typer.echo("mast: it has no checkpoint: --resume would begin it again", err=True)
        raise typer.Exit(stopped.exit_code) from None
    except RunFailed as failed:
        if failed.code == RunError.exit_code:  # 2 is wrong input, which its one line has told
            where = from_here(failed.folder)
            typer.echo(f"mast: the run failed; its record is in {where}", err=True)
        raise
    if folder is None:  # a command such as print_config
        return
    finished = finished_run(folder)
    if finished is None:
        raise RunError(f"the run came to its end, but its record is not: {from_here(folder)}")
    print_summary(finished, seconds=seconds_trained(finished.record) or 0.0)


def _refuse_option_of_checkouts(arguments: list[str]) -> None:
    for word in arguments:
        name, _, path = word.partition("=")
        if name == "mast.resume" and path not in ("", "None", "null"):
            raise OptionError(f"{word} is for a checkout with the plugin; here: --resume '{path}'")
