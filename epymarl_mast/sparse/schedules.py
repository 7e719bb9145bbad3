"""When the topology is updated, and what fraction of each layer moves."""

from __future__ import annotations

import math
from dataclasses import dataclass


def cosine_drop_fraction(step: float, end: float, initial: float) -> float:
    """Drop fraction ``initial / 2 * (1 + cos(pi * step / end))``.

    Args:
        step: position in the schedule, any unit.
        end: last position, same unit; the fraction is 0 there and beyond.
        initial: fraction at step 0.

    Source: MAST §2 (RigL's cosine annealing).
    """
    if step >= end:
        return 0.0
    return initial / 2.0 * (1.0 + math.cos(math.pi * step / end))


@dataclass(frozen=True)
class UpdateSchedule:
    """When to evolve the topology.

    Attributes:
        interval: gradient updates between two topology updates (Δ_m).
        end: environment step after which the topology rests (T_end).
        initial_drop_fraction: drop fraction at environment step 0 (ζ_0).
    """

    interval: int
    end: float
    initial_drop_fraction: float

    def due(self, update: int, t_env: int) -> bool:
        """Whether gradient update number ``update`` (counted from 1) evolves the topology."""
        return update % self.interval == 0 and t_env < self.end

    def drop_fraction(self, t_env: int) -> float:
        """Share of each layer's kept weights to drop at environment step ``t_env``."""
        return cosine_drop_fraction(t_env, self.end, self.initial_drop_fraction)
