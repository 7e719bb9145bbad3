"""Which rows of a batch go to which lanes of which block.

Legend: B episodes, T steps, N agents; a lane is an (episode, agent) pair in an agent's unroll,
and an (episode, step) pair in a mixer.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.patterns import LANES, Floats, Indices


class Lanes:
    """Lanes of the blocks of one batch.

    Attributes:
        pairs: (2, blocks * LANES) int64, the two indices of each lane's row. Lanes that only
            fill the last block up repeat its first one: what they compute is the same number.
        steps: (blocks,) int64, steps each block is run for.
        in_last: how many lanes of the last block are rows of the batch.
    """

    def __init__(self, pairs: Indices, steps: Indices, in_last: int) -> None:
        self.pairs = pairs
        self.steps = steps
        self.in_last = in_last
        self._offsets: dict[tuple[int, int], Indices] = {}

    def offsets(self, first: int, second: int) -> Indices:
        """Place of each lane's row in an array with these two strides."""
        if (first, second) not in self._offsets:
            self._offsets[first, second] = self.pairs[0] * first + self.pairs[1] * second
        return self._offsets[first, second]


def agent_lanes(batch: int, time: int, agents: int, lengths: Tensor | None) -> Lanes:
    """Lanes of B * N rows, longest episodes first, so that blocks end early together."""
    if lengths is None:
        return _all_agents(batch, time, agents)
    clipped = lengths.detach().cpu().reshape(-1).numpy().astype(np.int64).clip(0, time)
    order = np.argsort(-clipped, kind="stable")
    return _fill(np.repeat(order, agents), np.tile(np.arange(agents), batch), clipped)


@lru_cache(maxsize=16)
def _all_agents(batch: int, time: int, agents: int) -> Lanes:
    episodes = np.repeat(np.arange(batch), agents)
    return _fill(episodes, np.tile(np.arange(agents), batch), np.full(batch, time))


def mixer_lanes(batch: int, time: int, lengths: Tensor | None) -> Lanes:
    """Lanes of the steps that episodes have."""
    if lengths is None:
        return row_lanes(batch, time)
    clipped = lengths.detach().cpu().reshape(-1, 1).numpy()
    episodes, steps = np.nonzero(np.arange(time) < clipped)
    return _fill(episodes, steps, np.ones(batch, np.int64))


@lru_cache(maxsize=16)
def row_lanes(batch: int, time: int) -> Lanes:
    """Lanes of all rows of a batch, ``time`` of each episode."""
    episodes, steps = np.divmod(np.arange(batch * time), time)
    return _fill(episodes, steps, np.ones(batch, np.int64))


def _fill(first: Indices, second: Indices, steps: Indices) -> Lanes:
    lanes = len(first)
    blocks = -(-lanes // LANES)
    filled = np.arange(blocks * LANES)
    filled[lanes:] = (blocks - 1) * LANES
    pairs = np.stack([first[filled], second[filled]]) if lanes else np.zeros((2, 0), np.int64)
    longest = steps[pairs[0]].reshape(blocks, LANES).max(axis=1, initial=0)
    return Lanes(pairs, longest, lanes - (blocks - 1) * LANES if lanes else 0)


def flat(tensor: Tensor) -> tuple[Floats, tuple[int, ...]]:
    """A float32 tensor's memory as one array, and its strides; copied if rows are not dense."""
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        raise ValueError(f"float32 on the CPU is needed, not {tensor.dtype} on {tensor.device}")
    if tensor.stride(-1) != 1 and tensor.shape[-1] != 1:
        tensor = tensor.contiguous()
    strides = tensor.stride()
    if tensor.is_contiguous():
        array: Floats = tensor.detach().numpy()
        return array.reshape(-1), strides
    extent = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, strides, strict=True))
    return tensor.detach().as_strided((extent if tensor.numel() else 0,), (1,)).numpy(), strides


def rounded(features: int) -> int:
    """Features of a block that vectors of 16 features can be moved to and from."""
    return -(-features // 16) * 16
