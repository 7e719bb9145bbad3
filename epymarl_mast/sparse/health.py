"""How a sparse network is doing: plain functions from masks to numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from epymarl_mast.sparse.layers import agent_index

Masks = Mapping[str, Tensor]


def sparsity(masks: Iterable[Tensor]) -> float:
    """Share of absent weights over all ``masks``; 0 if there are none."""
    return 1.0 - _share(masks) if (masks := list(masks)) else 0.0


def explored(ever_kept: Masks) -> float:
    """Share of weight positions that were kept at any time so far; 1 for a dense network."""
    return _share(ever_kept.values()) if ever_kept else 1.0


def overlap(masks: Masks, earlier: Masks) -> float:
    """Share of the kept weights that were kept in ``earlier`` too; 1 for a dense network."""
    kept = sum(int(mask.sum()) for mask in masks.values())
    both = sum(int((mask & earlier[name]).sum()) for name, mask in masks.items())
    return both / kept if kept else 1.0


def dead_neurons(masks: Masks) -> int:
    """Number of units that no kept weight leads into.

    A linear unit is one row of its matrix. A GRU unit j owns the rows j, h+j and 2h+j of both
    ``weight_ih`` and ``weight_hh``, and is dead when all six are empty.
    """
    dead = 0
    for name, mask in masks.items():
        fed = mask.flatten(1).any(dim=1)
        if name.endswith("weight_ih"):
            fed = fed | masks[name.removesuffix("ih") + "hh"].any(dim=1)
            fed = fed.view(3, -1).any(dim=0)
        elif name.endswith("weight_hh"):
            continue
        dead += int((~fed).sum())
    return dead


def density_per_agent(masks: Masks) -> dict[int, float]:
    """``{agent: share of kept weights in its own network}``; empty for shared networks."""
    own: dict[int, list[Tensor]] = {}
    for name, mask in masks.items():
        agent = agent_index(name)
        if agent is not None:
            own.setdefault(agent, []).append(mask)
    return {agent: _share(parts) for agent, parts in sorted(own.items())}


def _share(masks: Iterable[Tensor]) -> float:
    return float(torch.cat([mask.flatten() for mask in masks]).float().mean())
