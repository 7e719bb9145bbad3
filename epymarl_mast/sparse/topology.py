"""Which weights exist, and how that changes while training.

Four topologies, one hook apart: :class:`Dense` has no masks at all, :class:`Static` never changes
its masks, :class:`SET` grows at random, :class:`RigL` grows where the dense gradient is largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from epymarl_mast.sparse.layers import Layer, stack, unstack
from epymarl_mast.sparse.masks import drop_and_grow, random_mask
from epymarl_mast.sparse.schedules import UpdateSchedule


class Topology:
    """Masks over named weights, and their evolution.

    Subclasses set :attr:`evolves` and fill in :meth:`growth_score`. All mutable state is
    ``masks``, ``initial_masks``, ``explored``, ``updates`` and the generator; it travels in
    :meth:`state_dict`.

    Args:
        layers: the sparse layers.
        shapes: ``{parameter name: shape}`` for all their members.
        schedule: when to evolve and by how much.
        generator: CPU generator for the first masks and for random growth.
    """

    evolves = False

    def __init__(
        self,
        layers: Sequence[Layer],
        shapes: Mapping[str, Sequence[int]],
        schedule: UpdateSchedule,
        generator: torch.Generator,
    ) -> None:
        self.layers = tuple(layers)
        self.schedule = schedule
        self.generator = generator
        self.updates = 0
        self.masks: dict[str, Tensor] = {}
        for layer in self.layers:
            like = {name: torch.empty(tuple(shapes[name])) for name in layer.members}
            self.masks.update(unstack(layer, random_mask(layer.shape, layer.kept, generator), like))
        self.initial_masks = {name: mask.clone() for name, mask in self.masks.items()}
        self.explored = {name: mask.clone() for name, mask in self.masks.items()}

    def to(self, device: torch.device | str) -> None:
        """Move all masks to ``device``."""
        for record in (self.masks, self.initial_masks, self.explored):
            record.update({name: mask.to(device) for name, mask in record.items()})

    def mask_(self, tensors: Mapping[str, Tensor]) -> None:
        """Zero, in place, everything outside the masks in tensors named like the weights."""
        with torch.no_grad():
            for name, mask in self.masks.items():
                tensors[name].mul_(mask)

    def due(self, update: int, t_env: int) -> bool:
        """Whether gradient update ``update`` (from 1) at step ``t_env`` evolves the topology."""
        return self.evolves and self.schedule.due(update, t_env)

    def evolve(
        self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor], t_env: int
    ) -> dict[str, Tensor]:
        """Drop and grow in every layer.

        Args:
            weights: ``{name: weight}``, after the optimiser's step.
            gradients: ``{name: dense gradient}`` of the same step, not masked.
            t_env: environment steps so far.

        Returns:
            ``{name: bool mask}`` of the positions that were kept before and still are. All others
            must be zeroed in the weights and in the optimiser's state: they are either gone or
            new, and a new weight starts at 0.
        """
        drop_fraction = self.schedule.drop_fraction(t_env)
        survivors: dict[str, Tensor] = {}
        for layer in self.layers:
            new = drop_and_grow(
                stack(layer, weights),
                stack(layer, self.masks),
                self.growth_score(stack(layer, gradients)),
                drop_fraction,
                layer.kept,
            )
            for name, mask in unstack(layer, new, self.masks).items():
                survivors[name] = self.masks[name] & mask
                self.masks[name] = mask
                self.explored[name] = self.explored[name] | mask
        self.updates += 1
        return survivors

    def set_layers(self, layers: Sequence[Layer]) -> None:
        """Other numbers of kept weights for the same layers, from the next :meth:`evolve` on.

        Raises:
            ValueError: if they are not the same layers.
        """
        if [(own.name, own.shape) for own in self.layers] != [(n.name, n.shape) for n in layers]:
            raise ValueError("these are not the topology's layers with another sparsity")
        self.layers = tuple(layers)

    def growth_score(self, gradient: Tensor) -> Tensor:
        """Score (out, in) by which absent weights are grown, from the layer's dense gradient."""
        raise NotImplementedError(f"{type(self).__name__} never grows")

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as tensors and numbers (loads with ``weights_only=True``)."""
        return {
            "masks": {name: mask.cpu() for name, mask in self.masks.items()},
            "initial_masks": {name: mask.cpu() for name, mask in self.initial_masks.items()},
            "explored": {name: mask.cpu() for name, mask in self.explored.items()},
            "updates": self.updates,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises:
            ValueError: naming the first layer whose name, shape or number of kept weights differs.
        """
        self.check(state)
        for key in ("masks", "initial_masks", "explored"):
            masks: dict[str, Tensor] = getattr(self, key)
            masks.update({n: state[key][n].to(mask.device) for n, mask in masks.items()})
        self.updates = int(state["updates"])
        self.generator.set_state(state["generator"])

    def check(self, state: Mapping[str, Any]) -> None:
        """Whether a saved state can be taken over.

        Raises:
            ValueError: naming the first layer whose name, shape or number of kept weights differs.
        """
        for record in ("masks", "initial_masks", "explored"):
            self._check_fits(state[record])
        self._check_kept(state["masks"])

    def adopt(self, masks: Mapping[str, Tensor]) -> None:
        """Start from these masks in place of random ones.

        Args:
            masks: ``{parameter name: bool mask}``, for instance those another run ended with.

        Raises:
            ValueError: naming the first layer whose name, shape or number of kept weights differs.
        """
        self._check_fits(masks)
        self._check_kept(masks)
        for record in (self.masks, self.initial_masks, self.explored):
            record.update({name: masks[name].to(own.device) for name, own in record.items()})

    def _check_kept(self, saved: Mapping[str, Tensor]) -> None:
        for layer in self.layers:
            kept = int(stack(layer, saved).sum())
            if kept != layer.kept:
                raise ValueError(
                    f"{layer.name} keeps {kept} weights in the checkpoint, {layer.kept} here: "
                    "the sparsity options differ"
                )

    def _check_fits(self, saved: Mapping[str, Tensor]) -> None:
        differing = sorted(saved.keys() ^ self.masks.keys())
        if differing:
            where = "only in the checkpoint" if differing[0] in saved else "not in the checkpoint"
            raise ValueError(f"the mask of {differing[0]} is {where}")
        for layer in self.layers:
            for name in layer.members:
                if saved[name].shape != self.masks[name].shape:
                    raise ValueError(
                        f"{name} has shape {tuple(saved[name].shape)} in the checkpoint, "
                        f"{tuple(self.masks[name].shape)} here"
                    )
                if saved[name].dtype != torch.bool:
                    raise ValueError(f"the mask of {name} is of {saved[name].dtype}, not bool")


class Dense(Topology):
    """No masks: every method does nothing, so that dense training needs no special case."""

    def __init__(
        self,
        layers: Sequence[Layer],
        shapes: Mapping[str, Sequence[int]],
        schedule: UpdateSchedule,
        generator: torch.Generator,
    ) -> None:
        super().__init__((), shapes, schedule, generator)


class Static(Topology):
    """A random mask that never changes."""


class SET(Topology):
    """Magnitude drop, random growth (Mocanu et al. 2018)."""

    evolves = True

    def growth_score(self, gradient: Tensor) -> Tensor:
        # Drawn on the CPU, so that a seed gives the same topology on every device.
        return torch.rand(gradient.shape, generator=self.generator).to(gradient.device)


class RigL(Topology):
    """Magnitude drop, gradient growth (Evci et al. 2020); MAST's choice."""

    evolves = True

    def growth_score(self, gradient: Tensor) -> Tensor:
        return gradient.abs()


TOPOLOGIES: dict[str, type[Topology]] = {
    "rigl": RigL,
    "set": SET,
    "static": Static,
    "dense": Dense,
}
