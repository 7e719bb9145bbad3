"""All commands in one application."""

from __future__ import annotations

import typer

from epymarl_mast import __version__
from epymarl_mast.cli import attach, bench, doctor, export, flops, masks, report, sweep, train

app = typer.Typer(
    name="mast",
    help="Sparse training for multi-agent reinforcement learning on EPyMARL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_PASS_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": ["-h", "--help"],
}

app.command("train", context_settings=_PASS_ON)(train.train)
app.command("attach")(attach.attach)
app.command("detach")(attach.detach)
app.command("doctor")(doctor.doctor)
app.command("flops", context_settings=_PASS_ON)(flops.flops)
app.command("masks")(masks.masks)
app.command("sweep", cls=sweep.SweepCommand)(sweep.sweep)
app.command("report")(report.report)
app.command("export")(export.export)
app.add_typer(bench.app, name="bench")


@app.callback(invoke_without_command=True)
def version(show: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Sparse training for multi-agent reinforcement learning on EPyMARL."""
    if show:
        typer.echo(f"epymarl-mast {__version__}")
        raise typer.Exit
