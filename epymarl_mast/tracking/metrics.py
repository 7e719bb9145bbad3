"""What sparse training logs, by name; docs/metrics.md has unit and formula of each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from epymarl_mast.sparse import Topology, health
from epymarl_mast.sparse.accounting import TrainingCost


def sparse_metrics(topology: Topology, cost: TrainingCost) -> dict[str, float]:
    """Topology, health and cost of the networks as ``{metric: number}``."""
    masks = topology.masks
    metrics = {
        "mast_sparsity_total": health.sparsity(masks.values()),
        "mast_topology_updates": float(topology.updates),
        "mast_explored": health.explored(topology.explored),
        "mast_mask_overlap": health.overlap(masks, topology.initial_masks),
        "mast_dead_neurons": float(health.dead_neurons(masks)),
        **cost_metrics(cost),
    }
    for network in cost.networks:
        own = [mask for name, mask in masks.items() if name.startswith(f"{network}.")]
        metrics[f"mast_sparsity_{network}"] = health.sparsity(own)
    acting = {name: mask for name, mask in masks.items() if name.startswith("agent.")}
    for agent, density in health.density_per_agent(acting).items():
        metrics[f"mast_density_agent_{agent}"] = density
    return metrics


def cost_metrics(cost: TrainingCost) -> dict[str, float]:
    """Size and FLOPs, the same figures as ``mast flops`` prints."""
    metrics = {
        "mast_size": float(cost.size),
        "mast_size_ratio": cost.size_ratio,
        "mast_flops_train": cost.train_flops,
        "mast_flops_train_ratio": cost.train_flops_ratio,
        "mast_flops_test": cost.test_flops,
        "mast_flops_test_ratio": cost.test_flops_ratio,
    }
    for network, own in cost.networks.items():
        metrics[f"mast_size_{network}"] = float(own.size)
        metrics[f"mast_flops_{network}"] = own.flops
    return metrics


def update_metrics(
    args: Any,
    loss: Tensor,
    grad_norm: float,
    td_error: Tensor,
    values: Tensor,
    target: Tensor,
    mask: Tensor,
) -> dict[str, float]:
    """What the hosts' own learners log of an update; from ``td_error`` on they are (B, T, C).

    The two means are divided by N as the hosts do, for a joint value too.
    """
    steps = mask.sum().item()
    return {
        "loss": loss.item(),
        "grad_norm": grad_norm,
        "td_error_abs": td_error.abs().sum().item() / steps,
        "q_taken_mean": (values.detach() * mask).sum().item() / (steps * args.n_agents),
        "target_mean": (target * mask).sum().item() / (steps * args.n_agents),
    }


def log_all(logger: Any, scalars: Mapping[str, float], t_env: int) -> None:
    """Log ``{metric: number}`` at ``t_env`` through the host's logger."""
    for key, value in scalars.items():
        logger.log_stat(key, value, t_env)


def say(logger: Any, text: str) -> None:
    """One line on the host's console."""
    console = getattr(logger, "console_logger", None) or logging.getLogger(__name__)
    console.info(text)
