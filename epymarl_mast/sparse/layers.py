"""Which weights are sparse, and which of them share one budget.

A layer is one weight matrix, or the same matrix of every agent's own network: without parameter
sharing the N matrices (out, in) are one layer (N*out, in), so that the evolution itself decides
how dense each agent is (MAST §4.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from epymarl_mast.sparse.allocation import ALLOCATIONS
from epymarl_mast.sparse.masks import kept_count

_PER_AGENT = re.compile(r"(?P<head>(?:.*\.)?agents)\.(?P<agent>\d+)\.(?P<tail>.+)")


@dataclass(frozen=True)
class Layer:
    """One budget of kept weights.

    Attributes:
        name: parameter name; ``agents.*.`` stands for the networks of all agents.
        members: names of the parameters it is made of, in agent order.
        shape: (out, in) of the members stacked by rows.
        sparsity: share of absent weights, from the allocation.
    """

    name: str
    members: tuple[str, ...]
    shape: tuple[int, int]
    sparsity: float

    @property
    def kept(self) -> int:
        """Exact number of weights the layer keeps."""
        return kept_count(self.shape[0] * self.shape[1], self.sparsity)


def sparse_layers(
    shapes: Mapping[str, Sequence[int]], sparsity: float, allocation: str
) -> list[Layer]:
    """The sparse layers of one network.

    Args:
        shapes: ``{parameter name: shape}`` of the whole network; weight matrices are picked by
            name and ``len(shape) >= 2`` (a GRU cell's two are in), biases stay dense.
        sparsity: total sparsity of the network's weight matrices, 0 <= sparsity < 1.
        allocation: key of :data:`ALLOCATIONS`.

    Returns:
        Layers in the network's order; an empty list for a network without weight matrices.
    """
    groups: dict[str, list[str]] = {}
    for name, shape in shapes.items():
        if is_weight_matrix(name, shape):
            groups.setdefault(layer_name(name), []).append(name)
    if not groups:
        return []
    stacked = {layer: _stacked_shape([shapes[m] for m in g]) for layer, g in groups.items()}
    sparsities = ALLOCATIONS[allocation](stacked, sparsity)
    return [Layer(n, tuple(groups[n]), stacked[n], sparsities[n]) for n in groups]


def is_weight_matrix(name: str, shape: Sequence[int]) -> bool:
    """Whether a parameter is a matrix that can be sparse: named ``weight*``, 2 or more axes."""
    return name.rpartition(".")[2].startswith("weight") and len(shape) >= 2


def layer_name(parameter: str) -> str:
    """Name of the layer a parameter belongs to."""
    match = _PER_AGENT.fullmatch(parameter)
    return f"{match['head']}.*.{match['tail']}" if match else parameter


def agent_index(parameter: str) -> int | None:
    """Which agent's own network a parameter is in; None for a shared network."""
    match = _PER_AGENT.fullmatch(parameter)
    return int(match["agent"]) if match else None


def stack(layer: Layer, tensors: Mapping[str, Tensor]) -> Tensor:
    """The layer's tensors as one (out, in) matrix."""
    return torch.cat([tensors[name].reshape(len(tensors[name]), -1) for name in layer.members])


def unstack(layer: Layer, matrix: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`stack`: ``{member: its part, in the shape it has in like}``."""
    parts = torch.split(matrix, [len(like[name]) for name in layer.members])
    return {n: part.reshape(like[n].shape) for n, part in zip(layer.members, parts, strict=True)}


def _stacked_shape(shapes: Sequence[Sequence[int]]) -> tuple[int, int]:
    return sum(shape[0] for shape in shapes), int(torch.Size(shapes[0][1:]).numel())
