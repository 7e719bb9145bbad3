"""Agent networks beside those that act: the unrestricted ones of WQMIX, the critics of FACMAC.

Legend: B episodes, T transitions, N agents, U outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from epymarl_mast.learners.engines import HostEngine, Vectors
from epymarl_mast.sparse.kernels import AgentInputs


class SecondAgents:
    """Agent networks of the same kind as the acting ones, on the same inputs, with targets.

    Args:
        name: of the networks, as in ``{name: network}`` of the learner.
        mac: the controller of the acting ones.
        scheme: the replay buffer's scheme.
        args: the run's configuration with the sizes of these networks in it.

    Attributes:
        agent, target_agent: the modules.
    """

    def __init__(self, name: str, mac: Any, scheme: Any, args: Any) -> None:
        self._prefix = f"{name}."
        self._mac = type(mac)(scheme, {"agents": args.n_agents}, args)
        self._target_mac = copy.deepcopy(self._mac)
        self._engine = HostEngine()
        self.agent = self._mac.agent
        self.target_agent = self._target_mac.agent

    def follow(self, engine: HostEngine, masks: Mapping[str, Tensor], vectors: Vectors) -> None:
        """Compute by an engine of the kind of ``engine``, with these networks' own masks."""
        if type(self._engine) is not type(engine):
            self._engine = type(engine)()
        own = {n: mask for n, mask in masks.items() if n.startswith(self._prefix)}
        masks = {f"agent.{n.removeprefix(self._prefix)}": mask for n, mask in own.items()}
        self._engine.follow(masks, vectors)

    def unroll(self, engine: HostEngine, batch: Any, inputs: AgentInputs | None) -> Tensor:
        """(B, T+1, N, U) of the online networks; ``engine`` is that of this update."""
        own = self._engine if type(engine) is type(self._engine) else engine
        return own.unroll(self._mac, batch, inputs)

    def unroll_target(self, batch: Any, inputs: AgentInputs | None) -> Tensor:
        """(B, T+1, N, U) of the target networks."""
        return self._engine.unroll(self._target_mac, batch, inputs)
