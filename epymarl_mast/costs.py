"""What a learner costs, from its configuration or from the networks it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from epymarl_mast.networks import Task, layers_of, network_shapes
from epymarl_mast.options import MastOptions
from epymarl_mast.sparse.accounting import NetworkCost, TrainingCost, network_cost, q_learning_cost
from epymarl_mast.tiny import tiny_widths

Config = Mapping[str, Any]


def training_cost(config: Config, options: MastOptions, task: Task) -> TrainingCost:
    """Cost of a learner from its configuration, the figures that a run logs.

    With ``mast.tiny`` the cut networks are compared with those of full width.
    """
    costs = {
        network: network_cost(shapes, layers_of(network, shapes, options))
        for network, shapes in network_shapes(config, options, task).items()
    }
    if options.tiny:
        cut = {**config, **tiny_widths(config, options, task)}
        for network, shapes in network_shapes(cut, options, task).items():
            own = network_cost(shapes, [])
            costs[network] = replace(costs[network], size=own.size, flops=own.flops)
    return _of_networks(costs, config, options, task.n_agents, task.n_actions)


def run_cost(
    networks: Mapping[str, NetworkCost], config: Config, options: MastOptions, scheme: Config
) -> TrainingCost:
    """Cost of a learner that has been built.

    Args:
        networks: cost of its networks as they are.
        config: the run's configuration with the environment's sizes in it.
        options: the checked ``mast:`` block.
        scheme: the replay buffer's scheme.
    """
    n_agents, n_actions = config["n_agents"], config["n_actions"]
    if options.tiny:
        task = Task(n_agents, scheme["obs"]["vshape"], config["state_shape"], n_actions)
        return training_cost({**config, **config["mast_tiny"].full}, options, task)
    return _of_networks(networks, config, options, n_agents, n_actions)


def _of_networks(
    networks: Mapping[str, NetworkCost],
    config: Config,
    options: MastOptions,
    n_agents: int,
    n_actions: int,
) -> TrainingCost:
    return q_learning_cost(
        networks,
        config["batch_size"] + options.online_batch_size,
        options.passes(n_agents, n_actions),
        options.without_target,
        options.decision_passes,
    )
