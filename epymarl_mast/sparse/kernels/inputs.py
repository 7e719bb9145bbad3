"""What an agent network reads, where it lies.

Legend: B episodes, T steps, N agents, O observation, I inputs, U actions, F features of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.lanes import Lanes
from epymarl_mast.sparse.kernels.memory import place


@dataclass(frozen=True, eq=False)
class Scattered:
    """Episodes of one batch that lie in several tensors, read there and not copied.

    Attributes:
        parts: tensors (·, >= T, N, F) float32, with the indices (·,) of the episodes in each, in
            the order of the batch.
        steps: T.
        join: makes them one tensor (B, T, N, F).
    """

    parts: Sequence[tuple[Tensor, Tensor]]
    steps: int
    join: Callable[[], Tensor]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, T, N, F)."""
        _, _, agents, features = self.parts[0][0].shape
        return sum(len(indices) for _, indices in self.parts), self.steps, agents, features

    @property
    def alike(self) -> bool:
        """Whether from one step, and agent, to the next is the same in all parts."""
        first = self.parts[0][0].stride()[1:3]
        return all(tensor.stride()[1:] == (*first, 1) for tensor, _ in self.parts)

    def of_agent(self, agent: int) -> Scattered:
        """Those of one agent, N = 1."""
        here = slice(agent, agent + 1)
        own = [(tensor[:, :, here], indices) for tensor, indices in self.parts]
        return Scattered(own, self.steps, lambda: self.join()[:, :, here])

    def rows(self, lanes: Lanes) -> tuple[Any, ...]:
        """As :func:`_rows`; places in other tensors than the first are counted from its address."""
        first = self.parts[0][0]
        where, (_, by_time, by_agent, _) = place(first)
        parts = []
        for tensor, indices in self.parts:
            away = (tensor.data_ptr() - where) // first.element_size()
            parts.append((away, tensor.stride(0), indices.data_ptr(), len(indices)))
        rows = np.empty(lanes.pairs.shape[1], np.int64)
        call(loops().rows_of_episodes, np.array(parts, np.int64), lanes.pairs, by_agent, rows)
        return where, rows, by_time, first.shape[-1]


@dataclass(eq=False)
class AgentInputs:
    """What an agent network reads at each step, left in the pieces that it comes in.

    Attributes:
        observations: (B, T, N, O) float32.
        last_actions: (B, T, N, U) float32 or None: one-hot actions of each step, of which the
            network reads those of the step before; 0 at the first.
        ids: how many one-hot agent ids the network reads, 0 for none.
        first_id: id of the agent at index 0 of N.

    Raises:
        ValueError: for actions of other steps than the observations', or fewer ids than agents.
    """

    observations: Tensor | Scattered
    last_actions: Tensor | Scattered | None = None
    ids: int = 0
    first_id: int = 0
    _placed: tuple[Lanes, tuple[Any, ...]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.observations = _with_dense_rows(self.observations)
        if self.last_actions is not None:
            self.last_actions = _with_dense_rows(self.last_actions)
            if self.last_actions.shape[:3] != self.observations.shape[:3]:
                shapes = tuple(self.last_actions.shape), tuple(self.observations.shape)
                raise ValueError(f"last actions {shapes[0]} do not fit observations {shapes[1]}")
        if self.ids and self.first_id + self.observations.shape[2] > self.ids:
            agents = f"{self.observations.shape[2]} agents from {self.first_id}"
            raise ValueError(f"{self.ids} ids are not enough for {agents}")

    @property
    def features(self) -> int:
        """I."""
        actions = 0 if self.last_actions is None else self.last_actions.shape[-1]
        return int(self.observations.shape[-1]) + actions + self.ids

    def of_agent(self, agent: int) -> AgentInputs:
        """Those of one agent, N = 1."""
        actions = None if self.last_actions is None else _of_agent(self.last_actions, agent)
        own = _of_agent(self.observations, agent)
        return AgentInputs(own, actions, self.ids, self.first_id + agent)

    def dense(self) -> Tensor:
        """All in one tensor, (B, T, N, I)."""
        observations = _joined(self.observations)
        parts = [observations]
        if self.last_actions is not None:
            actions = _joined(self.last_actions)
            parts.append(torch.cat([torch.zeros_like(actions[:, :1]), actions[:, :-1]], dim=1))
        if self.ids:
            agents = observations.shape[2]
            rows = torch.eye(self.ids, device=observations.device)
            rows = rows[self.first_id : self.first_id + agents]
            parts.append(rows.expand(*observations.shape[:2], -1, -1))
        return torch.cat(parts, dim=3)

    def placed(self, lanes: Lanes) -> tuple[Any, ...]:
        """The inputs as the kernels read them: addresses, the place of each lane's row, strides."""
        if self._placed is None or self._placed[0] is not lanes:
            pieces = _rows(self.observations, lanes)
            # Without last actions, the observations stand in for them with a size of 0.
            actions = self.last_actions
            pieces += (*pieces[:2], 0, 0) if actions is None else _rows(actions, lanes)
            self._placed = lanes, (*pieces, lanes.pairs[1], self.ids, self.first_id)
        return self._placed[1]


def _of_agent(piece: Tensor | Scattered, agent: int) -> Tensor | Scattered:
    if isinstance(piece, Scattered):
        return piece.of_agent(agent)
    return piece[:, :, agent : agent + 1]


def _with_dense_rows(piece: Tensor | Scattered) -> Tensor | Scattered:
    """The features of an agent in a step follow each other; a copy where they do not."""
    if isinstance(piece, Scattered):
        return piece if piece.alike else piece.join()
    return piece if piece.stride(-1) == 1 or piece.shape[-1] == 1 else piece.contiguous()


def _joined(piece: Tensor | Scattered) -> Tensor:
    return piece.join() if isinstance(piece, Scattered) else piece


def _rows(piece: Tensor | Scattered, lanes: Lanes) -> tuple[Any, ...]:
    """Address of (B, T, N, ·), the place of each lane's row, the stride of steps, row size."""
    if isinstance(piece, Scattered):
        return piece.rows(lanes)
    where, (by_batch, by_time, by_agent, _) = place(piece)
    return where, lanes.offsets(by_batch, by_agent), by_time, piece.shape[-1]
