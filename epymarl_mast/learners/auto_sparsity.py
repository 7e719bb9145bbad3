"""``mast.sparsity=auto`` in a learner: what its controller sees, and when it decides."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from epymarl_mast.options import MastOptions
from epymarl_mast.replay import OnlineBuffer
from epymarl_mast.sparse.auto import Estimate, SparsityController


class AutoSparsity:
    """Feeds a :class:`SparsityController`; does nothing where the sparsity is a number.

    Args:
        options: the checked ``mast:`` block.
    """

    def __init__(self, options: MastOptions) -> None:
        self._interval = options.auto_interval
        self._controller = (
            SparsityController(
                options.auto_min,
                options.auto_max,
                options.auto_factor,
                options.auto_tolerance,
                options.auto_patience,
            )
            if options.sparsity == "auto"
            else None
        )

    def observe(self, td_error: Tensor, target: Tensor, mask: Tensor) -> None:
        """Note one update: how much of its targets is not fitted.

        Args:
            td_error: (B, T, C), 0 outside the episodes.
            target: (B, T, C) regression targets.
            mask: (B, T, C) 1 inside the episodes.
        """
        if self._controller is None:
            return
        steps = mask.sum()
        mean = (target * mask).sum() / steps
        variance = ((target - mean) ** 2 * mask).sum() / steps
        misfit = (td_error.detach() ** 2).sum() / steps / variance.clamp_min(1e-8)
        self._controller.observe(float(misfit))

    def decide(self, evolutions: int, newest: OnlineBuffer) -> float | None:
        """The sparsity that topology update number ``evolutions`` brings; None: as it is.

        Args:
            evolutions: topology updates so far, with the one that is about to be made.
            newest: the second buffer, whose episodes' returns count.
        """
        if self._controller is None:
            return None
        self._controller.end_part()
        if evolutions % self._interval:
            return None
        return self._controller.decide(Estimate.of(newest.returns()))

    def metrics(self) -> dict[str, float]:
        """``{metric: number}`` to log."""
        if self._controller is None:
            return {}
        return {
            "mast_auto_sparsity": self._controller.sparsity,
            "mast_auto_decision": float(self._controller.decision),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes; empty where the sparsity is a number."""
        return {} if self._controller is None else self._controller.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> float | None:
        """Take over what :meth:`state_dict` gave; returns the sparsity, or None for a number."""
        if self._controller is None or not state:
            return None
        self._controller.load_state_dict(state)
        return self._controller.sparsity
