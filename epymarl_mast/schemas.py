"""The ``mast:`` block of each learner: which schema it has, and those with options of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from epymarl_mast.errors import OptionError
from epymarl_mast.options import Fraction, MastOptions, NotNegative, PositiveInt, Sparsity


class WqmixOptions(MastOptions):
    """Options of OW-QMIX and CW-QMIX beside the common ones."""

    mixers: ClassVar[tuple[str | None, ...]] = ("qmix", "vdn")
    without_target: ClassVar[frozenset[str]] = frozenset({"agent", "mixer"})

    central_agent_sparsity: Sparsity | None
    central_mixer_sparsity: Sparsity | None
    weighting: Literal["ow", "cw"]
    small_weight: Fraction

    def passes(self, n_agents: int, n_actions: int) -> Mapping[str, int]:
        return {"agent": 3, "mixer": 3, "central_agent": 4, "central_mixer": 4}

    def check_with(self, config: Mapping[str, Any]) -> None:
        mixer = config.get("central_mixer")
        if mixer not in ("ff", "atten"):
            raise OptionError(
                f"central_mixer={mixer!r} is not known to WQMIX: allowed are 'ff' and 'atten'"
            )
        embed = config.get("central_action_embed", 1)
        greedy_online = self.operator == "max" and config.get("double_q", True)
        if embed != 1 and not greedy_online:
            raise OptionError(
                f"central_action_embed={embed} gives an action no single value to operate on: "
                "allowed is 1, or mast.operator=max with double_q=True"
            )


class ResOptions(MastOptions):
    """Options of RES beside the common ones."""

    mixers: ClassVar[tuple[str | None, ...]] = ("qmix", "vdn")

    res_operator: Literal["available", "all", "none"]
    res_beta: NotNegative
    res_lambda: NotNegative

    def passes(self, n_agents: int, n_actions: int) -> Mapping[str, int]:
        if self.res_operator == "none":
            return super().passes(n_agents, n_actions)
        return {"agent": 4, "mixer": 3 + 2 * n_agents * n_actions}


class FacmacOptions(MastOptions):
    """Options of FACMAC beside the common ones."""

    mixers: ClassVar[tuple[str | None, ...]] = ("qmix", "vdn")

    critic_sparsity: Sparsity | None
    actor_lr: Annotated[float, Field(gt=0.0)] | None
    logit_penalty: NotNegative
    gumbel_temperature: Annotated[float, Field(gt=0.0)]

    def passes(self, n_agents: int, n_actions: int) -> Mapping[str, int]:
        """The policies' gradient passes through the mixing network once more, forth and back."""
        return {"agent": 4, "critic": 4, "mixer": 4 + 3}


class ComixOptions(MastOptions):
    """Options of COMIX beside the common ones."""

    mixers: ClassVar[tuple[str | None, ...]] = ("qmix", "vdn")

    cem_samples: Annotated[int, Field(ge=2)]
    cem_elites: Annotated[int, Field(ge=2)]
    cem_iterations: PositiveInt
    action_noise: NotNegative

    def passes(self, n_agents: int, n_actions: int) -> Mapping[str, int]:
        """The target agents are computed for every sampled action, the online ones for one."""
        return {"agent": 3 + self.decision_passes, "mixer": 4}

    @property
    def decision_passes(self) -> int:
        return self.cem_samples * self.cem_iterations

    def check_with(self, config: Mapping[str, Any]) -> None:
        if self.cem_elites > self.cem_samples:
            raise OptionError(
                f"mast.cem_elites={self.cem_elites} is not allowed: at most mast.cem_samples="
                f"{self.cem_samples} is"
            )
        for name in ("log_value_estimates", "log_policy_distance"):
            if getattr(self, name):
                raise OptionError(
                    f"mast.{name}=True is not known to COMIX, whose greedy action is drawn by "
                    "sampling: allowed is False"
                )
        if self.engine == "host":
            raise OptionError(
                "mast.engine='host' cannot compute values of continuous actions: allowed are "
                "'auto', 'masked', 'sparse'"
            )
        for key, allowed in COMIX_NEEDS.items():
            if key in config and config[key] not in allowed:
                names = ", ".join(map(repr, allowed))
                raise OptionError(
                    f"{key}={config[key]!r} is not known to COMIX: allowed is {names}"
                )


# Environments whose actions are continuous (epymarl_mast/environments).
CONTINUOUS = ("mast_mamujoco",)
COMIX_NEEDS: dict[str, tuple[Any, ...]] = {
    "env": CONTINUOUS,
    "mac": ("mast_cem_mac",),
    "runner": ("mast_episode",),
    "use_rnn": (False,),
    "obs_last_action": (False,),
}

# By the learner's name in the host's registry.
SCHEMAS: dict[str, type[MastOptions]] = {
    "mast_q_learner": MastOptions,
    "mast_wqmix_learner": WqmixOptions,
    "mast_res_learner": ResOptions,
    "mast_facmac_learner": FacmacOptions,
    "mast_comix_learner": ComixOptions,
}
