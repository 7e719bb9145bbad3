"""The replay buffers as rings: episodes by number, wherever a buffer keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from epymarl_mast.errors import CheckpointError
from epymarl_mast.replay import OnlineBuffer


class HostRing:
    """The host's replay buffer.

    Args:
        buffer: a host's ``ReplayBuffer``.
        inserted: tells how many training episodes there were.
    """

    name = "replay"

    def __init__(self, buffer: Any, inserted: Callable[[], int]) -> None:
        self._buffer = buffer
        self._inserted = inserted
        self.capacity: int = buffer.buffer_size

    @property
    def inserted(self) -> int:
        """Training episodes so far; the host puts each into its buffer."""
        return self._inserted()

    @property
    def first(self) -> int:
        return self.inserted - int(self._buffer.episodes_in_buffer)

    def episode(self, number: int) -> dict[str, Tensor]:
        slot = number % self.capacity
        return {key: field[slot] for key, field in self._fields().items()}

    def prepare(self, state: Mapping[str, Any]) -> None:
        self._check({key: list(field.shape[2:]) for key, field in self._fields().items()}, state)
        inserted, first = state["inserted"], state["first"]
        self._buffer.buffer_index = inserted % self.capacity
        self._buffer.episodes_in_buffer = inserted - first

    def put(self, number: int, fields: Mapping[str, Tensor]) -> None:
        _copy(fields, {key: field[number % self.capacity] for key, field in self._fields().items()})

    def state(self) -> dict[str, Any]:
        shapes = {key: list(field.shape[2:]) for key, field in self._fields().items()}
        return {"inserted": self.inserted, "first": self.first, "shapes": shapes}

    def _fields(self) -> dict[str, Tensor]:
        fields: dict[str, Tensor] = self._buffer.data.transition_data
        return fields

    @staticmethod
    def _check(shapes: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        saved = state["shapes"]
        for key in sorted(shapes.keys() | saved.keys()):
            if shapes.get(key) != saved.get(key):
                raise CheckpointError(
                    f"episodes have {key} of shape {saved.get(key)} in the checkpoint, "
                    f"{shapes.get(key)} here"
                )


class OnlineRing:
    """Our own replay buffer: the second one, or the one of dynamic capacity.

    Args:
        buffer: the learner's.
        inserted: tells how many training episodes there were.
    """

    name = "online"

    def __init__(self, buffer: OnlineBuffer, inserted: Callable[[], int]) -> None:
        self._buffer = buffer
        self._inserted = inserted
        self.capacity = buffer.capacity

    @property
    def inserted(self) -> int:
        return self._inserted()

    @property
    def first(self) -> int:
        return self.inserted - len(self._buffer)

    def episode(self, number: int) -> dict[str, Tensor]:
        return self._buffer.slot(number % self.capacity)

    def prepare(self, state: Mapping[str, Any]) -> None:
        self._buffer.load_state_dict(state)

    def put(self, number: int, fields: Mapping[str, Tensor]) -> None:
        _copy(fields, self.episode(number))

    def state(self) -> dict[str, Any]:
        own = self._buffer.state_dict()
        return {"inserted": self.inserted, "first": self.first, **own}


def _copy(fields: Mapping[str, Tensor], place: Mapping[str, Tensor]) -> None:
    """An episode ``{field: (t, ...)}`` into its place ``{field: (T, ...)}``, zero after it.

    Raises:
        CheckpointError: naming a field that does not fit.
    """
    for key, field in place.items():
        if key not in fields or fields[key].shape[1:] != field.shape[1:]:
            raise CheckpointError(f"its episodes do not have {key} as this run has")
        steps = len(fields[key])
        with torch.no_grad():
            field[:steps] = fields[key].to(field.device)
            field[steps:] = 0
