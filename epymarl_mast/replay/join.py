"""Two episode batches as one. Fields are (B, T, ...), zero after the end of an episode."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Fields = Mapping[str, Tensor]


def join_episodes(first: Fields, second: Fields) -> dict[str, Tensor]:
    """One batch with the episodes of both, padded with zeros to the longer of the two.

    Args:
        first: ``{field: (B1, T1, ...)}``.
        second: ``{field: (B2, T2, ...)}`` with the same fields.

    Returns:
        ``{field: (B1+B2, max(T1, T2), ...)}``; padding has ``filled`` 0, so no loss sees it.

    Raises:
        ValueError: naming a field that only one of them has.
    """
    odd = sorted(first.keys() ^ second.keys())
    if odd:
        raise ValueError(f"field {odd[0]!r} is in one of the two batches only")
    length = max(_steps(first), _steps(second))
    return {
        key: torch.cat([_pad(first[key], length), _pad(second[key].to(first[key].device), length)])
        for key in first
    }


def _steps(batch: Fields) -> int:
    return next(iter(batch.values())).shape[1]


def _pad(field: Tensor, length: int) -> Tensor:
    missing = length - field.shape[1]
    if missing == 0:
        return field
    return torch.cat([field, field.new_zeros(len(field), missing, *field.shape[2:])], dim=1)
