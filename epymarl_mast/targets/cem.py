"""The cross-entropy method: good actions from a continuum, by sampling.

Legend: K samples, A numbers in an action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def cross_entropy_method(
    value_of: Callable[[Tensor], Tensor],
    shape: Sequence[int],
    samples: int,
    elites: int,
    iterations: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """Sample, keep the best, sample around them.

    Actions are the tanh of normal numbers, so they lie between -1 and 1. Mean 0 and standard
    deviation 1 at first, then those of the elites before the tanh.

    Args:
        value_of: from actions (K, ..., A) to their values (K, ...).
        shape: (..., A), of one action for each place that has one.
        samples: K.
        elites: best samples of a round that the next is drawn around, 2 <= elites <= K.
        iterations: rounds, at least 1.
        generator: CPU generator to draw from.
        device: where the actions are put.

    Returns:
        The last round: actions (K, ..., A) and values (K, ...).

    Source: Rubinstein and Kroese 2004; as in COMIX (Peng et al. 2021).
    """
    mean, deviation = torch.zeros(*shape, device=device), torch.ones(*shape, device=device)
    for _ in range(iterations):
        drawn = torch.randn(samples, *shape, generator=generator).to(device)
        normal = mean + deviation * drawn
        actions = torch.tanh(normal)
        values = value_of(actions)
        best = values.topk(elites, dim=0).indices.unsqueeze(-1).expand(elites, *shape)
        kept = normal.gather(0, best)
        mean, deviation = kept.mean(dim=0), kept.std(dim=0)
    return actions, values


def best_of(actions: Tensor, values: Tensor) -> Tensor:
    """The action (..., A) of highest value, from (K, ..., A) and (K, ...)."""
    best = values.argmax(dim=0, keepdim=True).unsqueeze(-1)
    return actions.gather(0, best.expand(1, *actions.shape[1:])).squeeze(0)
