"""``mast.sparsity=auto``: how sparse the networks can be, found while training.

Sparser as long as nothing gets worse, denser when both of two signs say that it was too much. A
rule of ours; no paper has it. It decides by what a run sees of itself: the returns of its newest
episodes, and how much of its regression targets it cannot fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class _State:
    """All that changes.

    Attributes:
        sparsity: total sparsity now.
        decision: the last one: 1 sparser, 0 as it is, -1 denser.
        best, worst: highest and lowest return of a window so far.
        misfit: mean misfit of the last window.
        windows: windows so far.
        misfit_sum, updates: of the window that is open.
    """

    sparsity: float
    decision: int = 0
    best: float = 0.0
    worst: float = 0.0
    misfit: float = 0.0
    windows: int = 0
    misfit_sum: float = 0.0
    updates: int = 0


class SparsityController:
    """Sparser or denser after each window of updates.

    The return is worse if it is below the best window's by more than ``tolerance`` of the range of
    all windows' returns. The fit is worse if the mean misfit is above the last window's by more
    than ``tolerance`` of it. Neither is worse: sparser; both are: denser; one is: as it is. The
    first window is only looked at.

    Args:
        lowest: sparsity at the start, and the lowest there is.
        highest: the highest there is, ``lowest <= highest < 1``.
        factor: number of kept weights of a sparsity over that of the next sparser one, > 1.
        tolerance: what does not count as worse, >= 0.

    Raises:
        ValueError: if the bounds are out of order.
    """

    def __init__(self, lowest: float, highest: float, factor: float, tolerance: float) -> None:
        if not 0.0 <= lowest <= highest < 1.0:
            raise ValueError(f"0 <= lowest={lowest} <= highest={highest} < 1 does not hold")
        self._bounds = (lowest, highest)
        self._factor = factor
        self._tolerance = tolerance
        self._state = _State(lowest)

    @property
    def sparsity(self) -> float:
        """Total sparsity now."""
        return self._state.sparsity

    @property
    def decision(self) -> int:
        """The last decision: 1 sparser, 0 as it is, -1 denser."""
        return self._state.decision

    def observe(self, misfit: float) -> None:
        """Note the misfit of one update: squared TD error over the variance of the targets."""
        self._state.misfit_sum += misfit
        self._state.updates += 1

    def decide(self, mean_return: float) -> float:
        """End a window.

        Args:
            mean_return: mean return of the newest episodes.

        Returns:
            The sparsity from now on.

        Raises:
            ValueError: if no update was observed in the window.
        """
        state = self._state
        if state.updates == 0:
            raise ValueError("no update was observed since the last decision")
        misfit = state.misfit_sum / state.updates
        if state.windows == 0:
            state.best = state.worst = mean_return
            state.decision = 0
        else:
            margin = self._tolerance * (state.best - state.worst)
            worse_return = mean_return < state.best - margin
            worse_fit = misfit > state.misfit * (1.0 + self._tolerance)
            state.decision = {0: 1, 1: 0, 2: -1}[worse_return + worse_fit]
            state.best = max(state.best, mean_return)
            state.worst = min(state.worst, mean_return)
        state.sparsity = self._moved(state.decision)
        state.misfit, state.misfit_sum, state.updates = misfit, 0.0, 0
        state.windows += 1
        return state.sparsity

    def state_dict(self) -> dict[str, float]:
        """Everything that changes, as numbers."""
        return asdict(self._state)

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self._state = _State(**state)  # type: ignore[arg-type]

    def _moved(self, decision: int) -> float:
        density = (1.0 - self._state.sparsity) / self._factor**decision
        lowest, highest = self._bounds
        return min(max(1.0 - density, lowest), highest)
