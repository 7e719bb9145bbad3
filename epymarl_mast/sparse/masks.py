"""Mask arithmetic: pure functions with exact counts and a stated tie-break.

A mask is a bool tensor of its weight's shape, True where the weight exists. Wherever a ranking
has ties, the position with the lowest flat index wins.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kept_count(numel: int, sparsity: float) -> int:
    """Number of weights a layer of ``numel`` weights keeps at ``sparsity``; never below one.

    The number of absent weights is rounded down, with 1e-9 of slack for products such as
    0.29 * 100 that floating point puts just below an integer.
    """
    return max(1, numel - int(sparsity * numel + 1e-9))


def random_mask(shape: tuple[int, ...], kept: int, generator: torch.Generator) -> Tensor:
    """Uniformly random mask with exactly ``kept`` ones.

    Args:
        shape: shape of the mask.
        kept: number of True entries, 0 <= kept <= number of positions.
        generator: CPU generator to draw from.

    Returns:
        Bool tensor of ``shape`` on the CPU.
    """
    mask = torch.zeros(shape, dtype=torch.bool)
    chosen = torch.randperm(mask.numel(), generator=generator)[:kept]
    mask.view(-1)[chosen] = True
    return mask


def drop_and_grow(
    weight: Tensor,
    mask: Tensor,
    growth_score: Tensor,
    drop_fraction: float,
    kept: int | None = None,
) -> Tensor:
    """One topology update of one layer; the number of kept weights stays as it is, or as told.

    Drops the ``n = int(drop_fraction * kept)`` kept weights of smallest magnitude, then grows the
    ``n`` positions of largest ``|growth_score|`` among all that are not kept after the drop. A
    weight dropped in this very step competes like any other and may come back.

    Args:
        weight: (out, in) weights.
        mask: (out, in) bool, the kept positions.
        growth_score: (out, in); the dense gradient for RigL, random numbers for SET.
        drop_fraction: share of the kept weights to drop, 0 <= drop_fraction <= 1.
        kept: number of kept weights afterwards; None: as many as before. With fewer, as many more
            are dropped before the rest is done; with more, as many more are grown.

    Returns:
        New bool mask (out, in) with ``kept`` ones.

    Raises:
        ValueError: if shapes differ or ``drop_fraction`` is out of range.

    Source: MAST §2 and Alg. 1; RigL (Evci et al. 2020).
    """
    if not weight.shape == mask.shape == growth_score.shape:
        raise ValueError(
            f"shapes differ: weight {tuple(weight.shape)}, mask {tuple(mask.shape)}, "
            f"growth_score {tuple(growth_score.shape)}"
        )
    if not 0.0 <= drop_fraction <= 1.0:
        raise ValueError(f"drop_fraction={drop_fraction} is out of range: 0 <= fraction <= 1")
    mask = mask.bool()
    before = int(mask.sum())
    kept = before if kept is None else kept
    moved = min(before, kept)
    surviving = moved - int(drop_fraction * moved)
    survivors = _largest(weight.abs(), candidates=mask, count=surviving)
    grown = _largest(growth_score.abs(), candidates=~survivors, count=kept - surviving)
    return survivors | grown


def _largest(score: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Mask of the ``count`` highest scores among ``candidates``."""
    if count == 0:
        return torch.zeros_like(candidates)
    # -inf, not 0: an inactive weight is 0 and must never tie with an active weight of value 0.
    ranked = score.masked_fill(~candidates, -torch.inf).flatten()
    lowest = ranked.kthvalue(len(ranked) - count + 1).values
    above = ranked > lowest
    tied = (ranked == lowest).nonzero().flatten()[: count - int(above.sum())]
    above[tied] = True
    return above.view_as(candidates)
