"""``mast bench``: speed against the stock host, on this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from epymarl_mast.bench.plan import DIMS, Plan
from epymarl_mast.errors import OptionError
from epymarl_mast.hosts import find_host
from epymarl_mast.hosts.base import Host

if TYPE_CHECKING:
    from epymarl_mast.bench.machine import Machine
    from epymarl_mast.bench.report import Result

# Options of a run that the command's own set.
_OWN = {"mast.sparsity": "--density", "hidden_dim": "--hidden"}

app = typer.Typer(help="Time against the stock host, on this machine.", no_args_is_help=True)

Sizes = Annotated[str, typer.Option("--dims", help=f"Sizes of the task: {', '.join(DIMS)}.")]
Density = Annotated[float, typer.Option(help="Share of kept weights, 0 < density <= 1.")]
Hidden = Annotated[int, typer.Option(min=1, help="Hidden units of the agent network.")]
Where = Annotated[
    Optional[str],
    typer.Option("--host", help="Path of an EPyMARL checkout, or 'pymarlzooplus'."),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch, OpenMP and numba.")]
Json = Annotated[Optional[Path], typer.Option("--json", help="File for all figures.")]
Options = Annotated[
    Optional[list[str]],
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Options of the run, as after 'with' in mast train. Stock gets those that it knows: "
        "not mast.*, nor a value mast_*, nor a YAML file.",
        show_default=False,
    ),
]


@app.command()
def learner(
    options: Options = None,
    dims: Sizes = "lbf",
    density: Density = 0.1,
    hidden: Hidden = 64,
    host: Where = None,
    device: Device = "cpu",
    repeats: Annotated[int, typer.Option(min=1, help="Updates of each learner.")] = 15,
    threads: Threads = 1,
    memory: Annotated[bool, typer.Option(help="Measure the memory of an update too.")] = True,
    json: Json = None,
) -> None:
    """One gradient update: the host's QLearner, ours sparse and nothing else, and MAST."""
    from epymarl_mast.bench.learner import bench_learner

    found = find_host(host)
    plan = Plan(_name(found), dims, density, hidden, device, threads, _options(options))
    machine = _prepare(found, device, threads, json)
    result = bench_learner(plan, repeats, memory=memory)
    said = _command("learner", plan, dims=dims, repeats=repeats, threads=threads)
    _show(said, machine, plan, {"repeats": repeats}, result, json)


@app.command()
def acting(
    options: Options = None,
    dims: Sizes = "lbf",
    density: Density = 0.1,
    hidden: Hidden = 64,
    host: Where = None,
    repeats: Annotated[int, typer.Option(min=1, help="Episodes of each.")] = 30,
    threads: Threads = 1,
    json: Json = None,
) -> None:
    """One decision for all agents of an environment, and a step of the runner without one."""
    from epymarl_mast.bench.acting import bench_acting

    found = find_host(host)
    plan = Plan(_name(found), dims, density, hidden, "cpu", threads, _options(options))
    machine = _prepare(found, "cpu", threads, json)
    result = bench_acting(plan, repeats)
    said = _command("acting", plan, dims=dims, repeats=repeats, threads=threads)
    _show(said, machine, plan, {"repeats": repeats}, result, json)


@app.command("end-to-end")
def end_to_end(
    options: Options = None,
    steps: Annotated[int, typer.Option(min=1, help="Environment steps of a run.")] = 50_000,
    density: Density = 0.1,
    hidden: Hidden = 64,
    host: Where = None,
    device: Device = "cpu",
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    json: Json = None,
) -> None:
    """Whole runs on level-based foraging: qmix (use_rnn=True), mast_qmix, and that dense, in turn.

    Imports and compilation are outside the time of a run, and shown. The hosts use one thread.
    """
    from epymarl_mast.bench.end_to_end import bench_end_to_end

    found = find_host(host)
    plan = Plan(_name(found), "lbf", density, hidden, device, 1, _options(options))
    machine = _prepare(found, device, 1, json)
    result = bench_end_to_end(plan, steps, rounds, say=lambda line: typer.echo(line, err=True))
    said = _command("end-to-end", plan, steps=steps, rounds=rounds)
    _show(said, machine, plan, {"steps": steps, "rounds": rounds}, result, json)


def _prepare(host: Host, device: str, threads: int, json: Path | None) -> Machine:
    """Refuse a file that cannot be written, set the threads, and look at the machine."""
    from epymarl_mast.bench.machine import Machine
    from epymarl_mast.bench.report import check_writable
    from epymarl_mast.bench.workplace import use_threads

    check_writable(json)
    use_threads(threads)
    return Machine.here(host, device)


def _name(host: Host) -> str:
    return host.name if host.name == "pymarlzooplus" else str(host.root)


def _options(options: list[str] | None) -> tuple[str, ...]:
    """What follows the command, with or without ``with`` in front.

    Raises:
        OptionError: naming one that would undo an option of the command.
    """
    given = options or []
    given = given[1:] if given[:1] == ["with"] else given
    for option in given:
        if (key := option.partition("=")[0]) in _OWN:
            raise OptionError(f"{option}: mast bench has {_OWN[key]} for it")
    return tuple(given)


def _command(name: str, plan: Plan, **more: Any) -> str:
    """The command again, with every setting that a figure depends on."""
    settings = {**more, "density": f"{plan.density:g}", "hidden": plan.hidden, "host": plan.host}
    if plan.device != "cpu":
        settings["device"] = plan.device
    words = [f"--{key}={value}" for key, value in settings.items()]
    return shlex.join(["mast", "bench", name, *words, *plan.options])


def _show(
    command: str, machine: Machine, plan: Plan, more: dict[str, Any], result: Result,
    json: Path | None,
) -> None:  # fmt: skip
    from epymarl_mast.bench.report import print_table, write_json

    print_table(command, machine, result)
    if json is not None:
        write_json(json, command, machine, plan, more, result)
