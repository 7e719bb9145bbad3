"""``mast.sparsity=auto``: how sparse the networks can be, found while training.

Sparser step by step, as long as returns and fit stay within a band of what the windows at the same
or a lower sparsity gave; back to a denser step when they stay outside. A rule of ours; no paper has
it. It decides by what a run sees of itself: the returns of its newest episodes, and how much of its
regression targets it cannot fit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

_IN_A_ROW = 3


class Estimate(NamedTuple):
    """A mean and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Estimate:
        """From independent samples; the error of a single one is not known and taken as 0."""
        error = statistics.stdev(samples) / math.sqrt(len(samples)) if len(samples) > 1 else 0.0
        return cls(statistics.fmean(samples), error)


class Window(NamedTuple):
    """What was seen between two decisions at one step of sparsity."""

    step: int
    mean_return: float
    return_error: float
    misfit: float
    misfit_error: float


@dataclass
class _State:
    """All that changes.

    Attributes:
        step: of sparsity, 0 the densest.
        decision: the last one: 1 sparser, 0 as it is, -1 denser.
        good, bad: windows in a row at this step.
        failures: ``{step: how often it was left for a denser one}``.
        windows: all so far.
        parts: mean misfits of the parts of the window that is open.
        misfit_sum, updates: of the part that is open.
    """

    step: int = 0
    decision: int = 0
    good: int = 0
    bad: int = 0
    failures: dict[int, int] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    parts: list[float] = field(default_factory=list)
    misfit_sum: float = 0.0
    updates: int = 0


class SparsityController:
    """Sparser, as it is or denser after each window of updates.

    A window is held against all earlier ones of its own or a denser step. Their ``best`` is the
    highest mean return of three in a row: the highest of many single ones is high by chance. SE is
    a standard error, ``tolerance`` a share. The window is bad if

    - its return is below ``best`` by more than tolerance · (highest - lowest return so far)
      + 2 · SE of the difference, or
    - its misfit is above their median by more than tolerance · median + 2 · its SE, while its
      return is no better than ``best``.

    ``patience`` bad windows in a row: one step denser. Good windows: one step sparser, after one of
    them, or after 2^f in a row if the sparser step has failed f times. The first window is only
    looked at.

    Args:
        lowest: sparsity at the start, and the lowest there is.
        highest: the highest there is, ``lowest <= highest < 1``.
        factor: number of kept weights of a step over that of the next sparser one, > 1.
        tolerance: what does not count as worse, >= 0.
        patience: bad windows in a row before a step back, >= 1.

    Raises:
        ValueError: if the bounds are out of order.
    """

    def __init__(
        self, lowest: float, highest: float, factor: float, tolerance: float, patience: int
    ) -> None:
        if not 0.0 <= lowest <= highest < 1.0:
            raise ValueError(f"0 <= lowest={lowest} <= highest={highest} < 1 does not hold")
        steps = math.ceil(math.log((1.0 - lowest) / (1.0 - highest)) / math.log(factor) - 1e-9)
        self._sparsities = [1.0 - (1.0 - lowest) / factor**step for step in range(steps)]
        self._sparsities.append(highest)
        self._tolerance = tolerance
        self._patience = patience
        self._state = _State()

    @property
    def sparsity(self) -> float:
        """Total sparsity now."""
        return self._sparsities[self._state.step]

    @property
    def decision(self) -> int:
        """The last decision: 1 sparser, 0 as it is, -1 denser."""
        return self._state.decision

    def observe(self, misfit: float) -> None:
        """Note the misfit of one update: squared TD error over the variance of the targets."""
        self._state.misfit_sum += misfit
        self._state.updates += 1

    def end_part(self) -> None:
        """End one of a window's parts, whose mean misfits tell how far apart means lie by chance.

        Raises:
            ValueError: if no update was observed in it.
        """
        state = self._state
        if state.updates == 0:
            raise ValueError("no update was observed in this part of the window")
        state.parts.append(state.misfit_sum / state.updates)
        state.misfit_sum, state.updates = 0.0, 0

    def decide(self, returns: Estimate) -> float:
        """End a window.

        Args:
            returns: mean return of the newest episodes.

        Returns:
            The sparsity from now on.

        Raises:
            ValueError: if no part of the window has ended.
        """
        state = self._state
        if not state.parts:
            raise ValueError("no part of this window has ended")
        window = Window(state.step, *returns, *Estimate.of(state.parts))
        if self._is_bad(window):
            state.good, state.bad = 0, state.bad + 1
        else:
            state.good, state.bad = state.good + 1, 0
        state.windows.append(window)
        state.parts = []
        self._move()
        return self.sparsity

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as numbers, lists and dictionaries."""
        state = asdict(self._state)
        return {**state, "windows": [list(window) for window in self._state.windows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        windows = [Window(*window) for window in state["windows"]]
        failures = {int(step): count for step, count in state["failures"].items()}
        self._state = _State(**{**state, "windows": windows, "failures": failures})

    def _is_bad(self, window: Window) -> bool:
        earlier = [other for other in self._state.windows if other.step <= window.step]
        if not earlier:
            return False
        best = _best_return(earlier)
        returns = [other.mean_return for other in self._state.windows]
        by_chance = 2.0 * math.hypot(best.error, window.return_error)
        band = self._tolerance * (max(returns) - min(returns)) + by_chance
        median = statistics.median(other.misfit for other in earlier)
        unfitted = window.misfit > median * (1.0 + self._tolerance) + 2.0 * window.misfit_error
        return window.mean_return < best.mean - band or (
            unfitted and window.mean_return <= best.mean
        )

    def _move(self) -> None:
        """One step, or none, by the windows at this one."""
        state, sparser = self._state, self._state.step + 1
        state.decision = 0
        if state.bad >= self._patience and state.step > 0:
            state.failures[state.step] = state.failures.get(state.step, 0) + 1
            state.decision = -1
        elif (
            len(state.windows) > 1
            and sparser < len(self._sparsities)
            and state.good >= 2 ** state.failures.get(sparser, 0)
        ):
            state.decision = 1
        if state.decision:
            state.step += state.decision
            state.good = state.bad = 0


def _best_return(windows: Sequence[Window]) -> Estimate:
    """The highest mean return of some windows in a row; of all, where there are fewer."""
    starts = range(max(1, len(windows) - _IN_A_ROW + 1))
    in_a_row = [windows[start : start + _IN_A_ROW] for start in starts]
    best = max(in_a_row, key=lambda some: statistics.fmean(w.mean_return for w in some))
    error = math.hypot(*(w.return_error for w in best)) / len(best)
    return Estimate(statistics.fmean(w.mean_return for w in best), error)
