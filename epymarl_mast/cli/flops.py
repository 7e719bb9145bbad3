"""``mast flops``: what a configuration costs, without training and without a host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from epymarl_mast.sparse.accounting import TrainingCost

Size = Annotated[int, typer.Option(min=1)]


def flops(
    context: typer.Context,
    config: Annotated[str, typer.Option(help="Algorithm, for instance mast_qmix.")],
    n_agents: Size,
    obs: Annotated[
        int,
        typer.Option(
            min=1, help="Size of one agent's observation, without last action and agent id."
        ),
    ],
    state: Annotated[int, typer.Option(min=1, help="Size of the global state.")],
    n_actions: Size,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Size and FLOPs per network, in total, in training and in inference, against dense.

    Options of the run follow as for mast train: with mast.sparsity=0.95 hidden_dim=128
    """
    from epymarl_mast.checks import check_run
    from epymarl_mast.command import SacredCommand
    from epymarl_mast.costs import training_cost
    from epymarl_mast.extensions import load_extensions
    from epymarl_mast.launch import algorithm_path
    from epymarl_mast.networks import Task
    from epymarl_mast.overrides import read_yaml

    load_extensions()
    settings = read_yaml(algorithm_path(None, config), f"--config={config}")
    SacredCommand.parse(context.args).apply_to(settings)
    options = check_run(settings)
    cost = training_cost(settings, options, Task(n_agents, obs, state, n_actions))
    if as_json:
        typer.echo(json.dumps(as_record(cost), indent=2))
    else:
        Console().print(_table(config, cost))


def as_record(cost: TrainingCost) -> dict[str, object]:
    """All figures as plain numbers."""
    return {
        "networks": {name: vars(own) for name, own in cost.networks.items()},
        "size": cost.size,
        "dense_size": cost.dense_size,
        "size_ratio": cost.size_ratio,
        "flops_train": cost.train_flops,
        "dense_flops_train": cost.dense_train_flops,
        "flops_train_ratio": cost.train_flops_ratio,
        "flops_test": cost.test_flops,
        "dense_flops_test": cost.dense_test_flops,
        "flops_test_ratio": cost.test_flops_ratio,
    }


def _table(title: str, cost: TrainingCost) -> Table:
    table = Table(title=f"{title}: weights and FLOPs (MAST App. B.4)")
    table.add_column("what")
    for heading in ("sparse", "dense", "sparse / dense"):
        table.add_column(heading, justify="right")
    for name, own in cost.networks.items():
        _row(table, f"{name}: weights", own.size, own.dense_size)
        _row(table, f"{name}: FLOPs of a forward pass", own.flops, own.dense_flops)
    _row(table, "total weights (online + target)", cost.size, cost.dense_size)
    _row(table, "training: FLOPs of an update", cost.train_flops, cost.dense_train_flops)
    _row(table, "inference: FLOPs of a decision", cost.test_flops, cost.dense_test_flops)
    return table


def _row(table: Table, what: str, sparse: float, dense: float) -> None:
    table.add_row(what, f"{sparse:,.0f}", f"{dense:,.0f}", f"{sparse / dense:.4f}")
