"""A replay buffer of ours: the second, small one (MAST §3.2), or one of dynamic capacity (RLx2).

An episode batch is a dict of tensors (B, T, ...), one per field, zero after the end of an episode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

Fields = Mapping[str, Tensor]


class OnlineBuffer:
    """First-in-first-out store of the newest episodes.

    Args:
        capacity: number of episodes it holds; 0 for a buffer that takes nothing.
        generator: CPU generator to sample with.
        device: where episodes are kept.
    """

    def __init__(
        self, capacity: int, generator: torch.Generator, device: torch.device | str = "cpu"
    ) -> None:
        self.generator = generator
        self.device = device
        self._episodes: deque[dict[str, Tensor]] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._episodes)

    def insert(self, batch: Fields) -> None:
        """Add every episode of ``batch`` (all with the same T); the oldest ones fall out."""
        stored = {key: field.detach().to(self.device) for key, field in batch.items()}
        for episode in range(len(next(iter(stored.values())))):
            self._episodes.append({key: field[episode] for key, field in stored.items()})

    def sample(self, size: int) -> dict[str, Tensor]:
        """Draw ``size`` different episodes uniformly.

        Returns:
            ``{field: (size, T, ...)}``.

        Raises:
            ValueError: if the buffer holds fewer than ``size``.
        """
        if size > len(self):
            raise ValueError(f"cannot draw {size} episodes from {len(self)}")
        return self._stack(torch.randperm(len(self), generator=self.generator)[:size].tolist())

    def mean_return(self) -> float:
        """Mean undiscounted return of its episodes, summed over agents if they have their own.

        Raises:
            ValueError: if it is empty.
        """
        if not self._episodes:
            raise ValueError("an empty buffer has no mean return")
        returns = [float(episode["reward"].sum()) for episode in self._episodes]
        return sum(returns) / len(returns)

    def drop_stale(
        self, distance: Callable[[dict[str, Tensor]], float], bound: float, group: int, minimum: int
    ) -> float:
        """Drop the oldest episodes, ``group`` at a time, while they are far from the policy.

        Args:
            distance: from ``{field: (group, T, ...)}`` to how far the policy is from it.
            bound: drop while the distance is above this.
            group: episodes to measure, and to drop, at a time.
            minimum: number of episodes to keep in any case.

        Returns:
            The distance of the oldest episodes there are now, or of those dropped last.

        Source: RLx2 (Tan et al. 2023), "dynamic-capacity buffer".
        """
        far = 0.0
        while len(self) >= minimum + group:
            far = distance(self._stack(range(group)))
            if far <= bound:
                break
            for _ in range(group):
                self._episodes.popleft()
        return far

    def _stack(self, indices: Iterable[int]) -> dict[str, Tensor]:
        episodes = [self._episodes[index] for index in indices]
        return {key: torch.stack([e[key] for e in episodes]) for key in episodes[0]}
