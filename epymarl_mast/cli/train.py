"""``mast train``: the host's own main, with the plugin in its registries."""

from __future__ import annotations

import time
from typing import Annotated, Optional

import typer

from epymarl_mast.errors import RunError, RunFailed, RunInterrupted
from epymarl_mast.hosts import find_host


def train(
    context: typer.Context,
    host: Annotated[
        Optional[str],
        typer.Option(
            help="Path of an EPyMARL checkout, or 'pymarlzooplus'. Default: "
            "$EPYMARL_HOME, the working directory, or the installed pymarlzooplus."
        ),
    ] = None,
) -> None:
    """Train: mast train --config=mast_qmix --env-config=gymma with key=value …

    Everything but --host goes to the host as it is: --config=NAME, --env-config=NAME, 'with'
    followed by key=value and YAML files, and Sacred's options such as -m host:port:db.
    """
    from epymarl_mast.launch import check_on_loaded_host, prepare
    from epymarl_mast.plugin import register
    from epymarl_mast.tracking.mongo import runs_survive_mongo
    from epymarl_mast.tracking.provenance import note_provenance
    from epymarl_mast.tracking.steady_files import records_survive_full_disk
    from epymarl_mast.tracking.summary import finished_run, from_here, print_summary

    found = find_host(host)
    invocation = prepare(found, context.args)
    modules = register(found, show_progress=True)
    check_on_loaded_host(found, modules, invocation.config)
    note_provenance(found)
    started = time.time()
    try:
        with runs_survive_mongo(), records_survive_full_disk():
            folder = found.run(invocation.arguments, invocation.results)
    except RunInterrupted as stopped:
        where = from_here(stopped.folder)
        typer.echo(f"mast: interrupted; the results so far are in {where}", err=True)
        raise typer.Exit(130) from None
    except RunFailed as failed:
        if failed.code == RunError.exit_code:  # 2 is wrong input, which its one line has told
            where = from_here(failed.folder)
            typer.echo(f"mast: the run failed; its record is in {where}", err=True)
        raise
    if folder is None:  # a command such as print_config
        return
    run = finished_run(folder)
    if run is None:
        raise RunError(f"the run came to its end, but its record is not: {from_here(folder)}")
    print_summary(run, seconds=time.time() - started)
