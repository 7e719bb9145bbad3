"""What an environment handed over, looked at once an episode: a few sums of what is stored.

Legend: E episodes, T+1 steps with the last observation, N agents, U actions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from epymarl_mast.errors import RunError

_NUMBERS = ("reward", "obs", "state")
_MEND = "an environment has to return finite numbers: mend it, or its env_args"


def check_episodes(fields: Mapping[str, Tensor], t_env: int) -> None:
    """Refuse episodes that would spoil everything learned so far.

    Args:
        fields: a host's batch of episodes, (E, T+1, …) each.
        t_env: environment steps before them, for the message.

    Raises:
        RunError: for a number that is not finite, or an agent without any available action.
    """
    # One number for all three; it is looked closer at what is not finite, or too large to add up.
    if not math.isfinite(sum(fields[key].sum() for key in _NUMBERS)):
        _refuse_not_finite(fields, t_env)
    offered = fields["avail_actions"].amax(-1)  # (E, T+1, N)
    if int(offered.count_nonzero()) < int(fields["filled"].sum()) * offered.shape[2]:
        _refuse_no_action(offered, fields, t_env)


def _refuse_not_finite(fields: Mapping[str, Tensor], t_env: int) -> None:
    for key in _NUMBERS:
        wrong = (~torch.isfinite(fields[key])).nonzero()
        if len(wrong):
            _, step, *place = first = wrong[0].tolist()
            agent = f" of agent {place[0]}" if key == "obs" else ""
            raise RunError(
                f"the environment returned {float(fields[key][tuple(first)])} in the {key}{agent}, "
                f"step {step} of an episode after t_env={t_env}: {_MEND}"
            )


def _refuse_no_action(offered: Tensor, fields: Mapping[str, Tensor], t_env: int) -> None:
    acts = fields["filled"][..., 0].bool()  # (E, T+1)
    acts[:, 1:] &= fields["terminated"][:, :-1, 0] == 0  # what is seen last may offer none
    wrong = ((offered == 0) & acts[..., None]).nonzero()
    if len(wrong):
        _, step, agent = wrong[0].tolist()
        raise RunError(
            f"the environment offered agent {agent} no available action at step {step} of an "
            f"episode after t_env={t_env}: avail_actions needs a 1 for every agent at every step, "
            "a 'do nothing' if need be"
        )
