"""The learner's networks as one set of named weights, with the topology over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from epymarl_mast.learners.checkpoint import adopt_masks
from epymarl_mast.networks import layers_of
from epymarl_mast.options import MastOptions
from epymarl_mast.overrides import user_path
from epymarl_mast.resume.places import has_checkpoint
from epymarl_mast.sparse import TOPOLOGIES, Layer, UpdateSchedule
from epymarl_mast.sparse.accounting import NetworkCost, network_cost


class SparseNetworks:
    """Online and target networks that share one topology.

    Weights are named ``<network>.<parameter>``, for instance ``agent.fc1.weight``.

    Args:
        online: ``{network: module}``.
        targets: the target networks of those that have one, by the same names.
        options: the checked ``mast:`` block.
        t_max: environment steps of the whole run, the unit of ``topology_end``.
        generator: CPU generator for masks and random growth.

    Raises:
        CheckpointError: if the masks of ``mast.mask_from`` do not fit the networks.
    """

    def __init__(
        self,
        online: Mapping[str, nn.Module],
        targets: Mapping[str, nn.Module],
        options: MastOptions,
        t_max: int,
        generator: torch.Generator,
    ) -> None:
        self.weights = _parameters(online)
        self.target_weights = _parameters(targets)
        self.options = options
        self._networks = tuple(online)
        self._shapes = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        layers = self._lay_out(options)
        self.topology = TOPOLOGIES[options.topology](
            layers,
            self._shapes,
            UpdateSchedule(
                interval=options.topology_interval,
                end=options.topology_end * t_max,
                initial_drop_fraction=options.drop_fraction,
            ),
            generator,
        )
        if options.mask_from is not None and not has_checkpoint(options.resume):
            adopt_masks(self.topology, user_path(options.mask_from))
        self.mask_all_()

    def _lay_out(self, options: MastOptions) -> list[Layer]:
        """The sparse layers of all networks, and what the networks cost with them."""
        layers: list[Layer] = []
        self.costs: dict[str, NetworkCost] = {}
        for network in self._networks:
            own = {n: shape for n, shape in self._shapes.items() if n.startswith(f"{network}.")}
            found = layers_of(network, own, options)
            layers += found
            if any(len(shape) > 1 for shape in own.values()):
                self.costs[network] = network_cost(own, found)
        return layers

    def set_sparsity(self, sparsity: float) -> None:
        """Another total sparsity from the next topology update on (``mast.sparsity=auto``).

        Networks with a sparsity of their own keep it.
        """
        options = self.options.model_copy(update={"sparsity": sparsity})
        self.topology.set_layers(self._lay_out(options))

    def to(self, device: torch.device | str) -> None:
        """Move the masks; the modules are moved by who owns them."""
        self.topology.to(device)

    def mask_all_(self) -> None:
        """Zero what is outside the masks in the online and the target networks."""
        self.topology.mask_(self.weights)
        self.mask_targets_()

    def mask_targets_(self) -> None:
        """Zero what is outside the masks in the target networks."""
        masks = self.topology.masks
        for name, target in self.target_weights.items():
            if name in masks:
                target.data.mul_(masks[name])

    def blend_targets_(self, rate: float) -> None:
        """Move the target networks by ``rate`` towards the online ones."""
        for name, parameter in self.target_weights.items():
            weight, target = self.weights[name].data, parameter.data
            target.copy_(target * (1.0 - rate) + weight * rate)  # zero outside the masks, as both

    def dense_gradients(self) -> dict[str, Tensor]:
        """A copy of the loss's gradient at every position of the sparse weights."""
        return {n: _gradient(self.weights[n]).clone() for n in self.topology.masks}

    def mask_gradients_(self) -> None:
        """Zero the gradient outside the masks, so that clipping and optimiser do not see it."""
        self.topology.mask_({n: _gradient(self.weights[n]) for n in self.topology.masks})

    def evolve_(self, gradients: Mapping[str, Tensor], t_env: int) -> dict[str, Tensor]:
        """One topology update: new masks, then zero values of what did not survive.

        Returns:
            ``{weight: bool mask of what survived}``; the optimiser has to forget the rest.
        """
        weights = {n: self.weights[n].detach() for n in self.topology.masks}
        survivors = self.topology.evolve(weights, gradients, t_env)
        for name, mask in survivors.items():
            weights[name].mul_(mask)
        self.mask_targets_()
        return survivors

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over saved masks and apply them to all networks."""
        self.topology.load_state_dict(state)
        self.mask_all_()


def _parameters(networks: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    return {
        f"{network}.{name}": parameter
        for network, module in networks.items()
        for name, parameter in module.named_parameters()
    }


def _gradient(weight: nn.Parameter) -> Tensor:
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad
