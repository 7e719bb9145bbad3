"""A replay buffer of ours: the second, small one (MAST §3.2), or one of dynamic capacity (RLx2).

An episode batch is a dict of tensors (B, T, ...), one per field, zero after the end of an episode.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

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
        self.capacity = capacity
        self.generator = generator
        self.device = device
        self._store: dict[str, Tensor] = {}  # of the shape (capacity, T, ...)
        self._places: deque[tuple[int, int]] = deque(maxlen=capacity)  # oldest first, with steps
        self._next = 0

    def __len__(self) -> int:
        return len(self._places)

    def insert(self, batch: Fields) -> None:
        """Add every episode of ``batch`` (all with the same T); the oldest ones fall out.

        An episode has as many steps as its ``filled`` says, or T where there is no such field.
        """
        episodes, time = next(iter(batch.values())).shape[:2]
        if self.capacity == 0:
            return
        filled = batch.get("filled")
        lengths = [time] * episodes if filled is None else filled.sum(dim=1).flatten().tolist()
        self._make_room(batch, time)
        for episode in range(episodes):
            for key, field in batch.items():
                stored = self._store[key][self._next]
                stored[:time] = field[episode].detach()
                stored[time:] = 0
            self._places.append((self._next, lengths[episode]))
            self._next = (self._next + 1) % self.capacity

    def sample(self, size: int) -> dict[str, Tensor]:
        """Draw ``size`` different episodes uniformly.

        Returns:
            ``{field: (size, T, ...)}`` with T the steps of the longest of them.

        Raises:
            ValueError: if the buffer holds fewer than ``size``.
        """
        return dict(self.draw(size))

    def draw(self, size: int) -> Drawn:
        """As :meth:`sample`, but a field is copied when it is read; until the next insertion."""
        if size > len(self):
            raise ValueError(f"cannot draw {size} episodes from {len(self)}")
        drawn = torch.randperm(len(self), generator=self.generator).numpy()[:size].tolist()
        return Drawn(self._store, [self._places[i] for i in drawn])

    def returns(self) -> list[float]:
        """Undiscounted return of each of its episodes, summed over agents if they have their own.

        Raises:
            ValueError: if it is empty.
        """
        if not self._places:
            raise ValueError("an empty buffer has no returns")
        held = [place for place, _ in self._places]
        returns: list[float] = self._store["reward"][held].sum(dim=(1, 2)).tolist()
        return returns

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
            far = distance(dict(Drawn(self._store, islice(self._places, group))))
            if far <= bound:
                break
            for _ in range(group):
                self._places.popleft()
        return far

    def slot(self, index: int) -> dict[str, Tensor]:
        """``{field: (T, ...)}`` of a place in the store; views."""
        return {key: field[index] for key, field in self._store.items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything but the episodes themselves."""
        shapes = {key: list(field.shape) for key, field in self._store.items()}
        kinds = {key: field.new_zeros(0).cpu() for key, field in self._store.items()}
        return {
            "store": shapes,
            "kinds": kinds,
            "places": [list(place) for place in self._places],
            "next": self._next,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave; the episodes are then all zero."""
        self._store = {
            key: torch.zeros(shape, dtype=state["kinds"][key].dtype, device=self.device)
            for key, shape in state["store"].items()
        }
        self._places = deque(
            ((index, steps) for index, steps in state["places"]), maxlen=self.capacity
        )
        self._next = state["next"]
        self.generator.set_state(state["generator"])

    def _make_room(self, batch: Fields, time: int) -> None:
        """Allocate at the first batch, and again for longer episodes than any before."""
        for key, field in batch.items():
            old = self._store.get(key)
            if old is None or old.shape[1] < time:
                shape = (self.capacity, time, *field.shape[2:])
                self._store[key] = torch.zeros(shape, dtype=field.dtype, device=self.device)
                if old is not None:
                    self._store[key][:, : old.shape[1]] = old


class Drawn(Mapping[str, Tensor]):
    """Episodes of a store as ``{field: (B, T, ...)}``, with T the steps of the longest of them.

    Args:
        store: ``{field: (capacity, >= T, ...)}``.
        places: index in the store, and steps, of each episode.

    Attributes:
        indices: (B,) int64 of the episodes in the store.
        steps: T.
    """

    def __init__(self, store: Fields, places: Iterable[tuple[int, int]]) -> None:
        indices, steps = zip(*places, strict=True)
        # Twice as fast as torch.tensor.
        self.indices = torch.frombuffer(array("q", indices), dtype=torch.int64)
        self.steps = int(max(steps))
        self._store = store

    def __getitem__(self, key: str) -> Tensor:
        field = self._store[key]
        return field[:, : self.steps].index_select(0, self.indices.to(field.device))

    def __iter__(self) -> Iterator[str]:
        return iter(self._store)

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, key: object) -> bool:
        return key in self._store

    def stored(self, key: str) -> Tensor:
        """The whole field of the store; zero after the end of each episode."""
        return self._store[key]
