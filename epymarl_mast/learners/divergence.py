"""When learning has diverged: seen by the norm of the gradient, which clipping needs anyway."""

from __future__ import annotations

import math

from torch import Tensor

from epymarl_mast.errors import RunError


def check_converging(grad_norm: float, loss: Tensor, update: int, t_env: int) -> None:
    """Refuse a gradient that would make every weight nan.

    Args:
        grad_norm: of all gradients, before clipping.
        loss: what they are of.
        update: number of this update.
        t_env: environment steps so far.

    Raises:
        RunError: if the norm is not finite. The optimiser has not made its step.
    """
    if not math.isfinite(grad_norm):
        raise RunError(
            f"learning has diverged: at update {update} (t_env={t_env}) the loss is "
            f"{float(loss.detach()):.4g} and the norm of its gradient {grad_norm:.4g}; take "
            "a smaller lr or grad_norm_clip, smaller rewards (standardise_rewards=True), or start "
            "from an earlier checkpoint"
        )
