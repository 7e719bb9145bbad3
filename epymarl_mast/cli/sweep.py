"""``mast sweep``: many runs of ``mast train``, on this machine, on Ray or on SLURM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperCommand

from epymarl_mast.cores import usable_cores
from epymarl_mast.errors import OptionError
from epymarl_mast.sweep.backends import Backend, LocalProcesses, RayCluster
from epymarl_mast.sweep.drive import Failure, drive
from epymarl_mast.sweep.one_run import execute
from epymarl_mast.sweep.plan import Sweep, check_runs, read_sweep, short_titles
from epymarl_mast.sweep.slurm import array_script
from epymarl_mast.sweep.state import RunState, halves, note_completed
from epymarl_mast.wording import counted


class SweepCommand(TyperCommand):
    """``--ray`` may stand alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        completed = []
        for place, word in enumerate(args):
            completed.append(word)
            alone = place + 1 == len(args) or args[place + 1].startswith("-")
            if word == "--ray" and (alone or Path(args[place + 1]).suffix in (".yaml", ".yml")):
                completed.append("local")
        return super().parse_args(ctx, completed)


def sweep(
    file: Annotated[Path, typer.Argument(help="The sweep, a YAML file (docs/sweep.md).")],
    workers: Annotated[
        Optional[int], typer.Option(min=1, help="Runs at a time. Default: one for each core.")
    ] = None,
    ray: Annotated[
        Optional[str],
        typer.Option(
            metavar="[ADDRESS]", help="Run on a Ray cluster; alone: one of this machine's cores."
        ),
    ] = None,
    slurm: Annotated[bool, typer.Option(help="Print a SLURM array script, run nothing.")] = False,
    dry_run: Annotated[bool, typer.Option(help="List the runs, run nothing.")] = False,
    only: Annotated[
        Optional[str], typer.Option(metavar="ID", help="One run, here, as --dry-run names it.")
    ] = None,
) -> None:
    """Execute the runs of a file that have not finished yet; call it again to go on."""
    plan = read_sweep(file)
    if only is not None:
        run = plan.run(only)
        typer.echo(f"{only}: log in {RunState(run).log}", err=True)
        code = execute(run)
        typer.echo(f"{only}: {'finished' if code == 0 else f'exit code {code}'}", err=True)
        raise typer.Exit(code)
    check_runs(plan)
    note_completed(plan.runs)
    left = [run for run in plan.runs if not RunState(run).finished]
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 200)  # a line for each run, to be searched for its words
    if dry_run:
        _list(plan, workers or usable_cores(), console)
    elif slurm:
        if not left:
            raise OptionError(f"{file}: every run has finished")
        typer.echo(array_script(plan.file, left, plan.results), nl=False)
    elif left:
        before = len(plan.runs) - len(left)
        console.print(
            f"{counted(len(left), 'run')} to do, {before} finished before; "
            f"logs in {plan.results}/sweep"
        )
        try:
            failures = drive(left, _backend(plan, ray, workers), console)
        except KeyboardInterrupt:
            typer.echo(f"mast: interrupted; mast sweep {file} goes on", err=True)
            raise typer.Exit(130) from None
        _tell(failures, console)
        raise typer.Exit(1 if failures else 0)
    else:
        done = counted(len(plan.runs), "run")
        console.print(f"nothing left to do, {done} finished; results in {plan.results}")


def _backend(plan: Sweep, ray: str | None, workers: int | None) -> Backend:
    return LocalProcesses(plan.file, workers) if ray is None else RayCluster(ray, workers)


def _list(plan: Sweep, workers: int, console: Console) -> None:
    table = Table(title=f"{plan.file.name}: {counted(len(plan.runs), 'run')}")
    for heading in ("id", "state", "run"):
        table.add_column(heading, overflow="fold")
    titles = short_titles(plan.runs)
    known = {run: RunState(run).seconds for run in plan.runs}
    interrupted = halves([run for run, seconds in known.items() if seconds is None])
    for run, seconds in known.items():
        if seconds is not None:
            state = f"finished in {seconds:.0f} s"
        elif interrupted[run] and interrupted[run][0].step >= 0:
            state = f"at step {interrupted[run][0].step:,}"
        else:
            state = "to do"
        table.add_row(run.id, state, titles[run])
    console.print(table)
    left = sum(seconds is None for seconds in known.values())
    finished = [
        seconds for run, seconds in known.items() if seconds is not None and RunState(run).in_one_go
    ]
    if not finished:
        console.print("no run has finished in one go yet, so there is no estimate of the time")
    elif left:
        minutes = sum(finished) / len(finished) * left / min(workers, left) / 60
        console.print(
            f"{counted(left, 'run')} left: about {minutes:.1f} minutes with "
            f"{min(workers, left)} at a time, by the mean time of "
            f"{counted(len(finished), 'finished run')}"
        )


def _tell(failures: list[Failure], console: Console) -> None:
    for failure in failures:
        state = RunState(failure.run)
        console.print(
            f"\nfailed with exit code {failure.code}: {failure.run.title}\n"
            f"  {failure.run.command}\n  the end of {state.log}:",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        for line in state.tail():
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
