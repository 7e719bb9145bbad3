"""``mast_cem_mac``: agents whose actions are continuous, found by the cross-entropy method.

Legend: N agents, O observation, I inputs (observation, action, agent id), A numbers in an action,
K samples.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.controllers.first_layer import set_first_layer
from epymarl_mast.controllers.mac import agent_kind
from epymarl_mast.controllers.sequence import run_agents
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.networks import FIRST_LAYER
from epymarl_mast.schemas import ComixOptions
from epymarl_mast.sparse.kernels import AgentInputs
from epymarl_mast.targets import best_of, cross_entropy_method
from epymarl_mast.tiny import cut_widths


def cem_mac(host: HostModules) -> Any:
    """The factory to register: ``(scheme, groups, args) -> controller``."""
    classes = {name: _cem(host.controllers[name]) for name in ("basic_mac", "non_shared_mac")}

    def make(scheme: Any, groups: Any, args: Any) -> Any:
        cut_widths(args, scheme)
        return classes[agent_kind(args)](scheme, groups, args)

    return make


def _cem(base: type[Any]) -> type[Any]:
    class CemMAC(base):  # type: ignore[misc]
        """A host's controller whose agent network reads an action and gives its utility."""

        def __init__(self, scheme: Any, groups: Any, args: Any) -> None:
            super().__init__(scheme, groups, args)
            set_first_layer(self.agent, getattr(args, FIRST_LAYER, args.hidden_dim))
            self.id_size = args.n_agents if args.obs_agent_id else 0
            seed = int(np.random.SeedSequence(args.seed).generate_state(3)[2])
            self._actor = CemActor(
                self.agent,
                args.n_agents,
                args.n_actions,
                self.id_size,
                ComixOptions.from_config(args.mast),
                torch.Generator().manual_seed(seed),
            )

        def _get_input_shape(self, scheme: Any) -> Any:
            return super()._get_input_shape(scheme) + self.args.n_actions

        def _build_agents(self, input_shape: Any) -> None:
            args: Any = self.args
            self.args: Any = copy.copy(args)
            self.args.n_actions = 1  # outputs of the network
            super()._build_agents(input_shape)
            self.args = args

        def start_episodes(self, environments: int) -> CemActor:
            """What acts; the runner that asks for it runs one environment."""
            assert environments == 1
            return self._actor

        def epsilon_at(self, t_env: int, test_mode: bool) -> float:
            """Exploration rate, noted on the host's selector; no noise in test episodes either."""
            selector = self.action_selector
            epsilon = selector.schedule.eval(t_env)
            selector.epsilon = self.args.evaluation_epsilon if test_mode else epsilon
            self._actor.noisy = not test_mode
            return float(selector.epsilon)

    CemMAC.__name__ = CemMAC.__qualname__ = f"Cem{base.__name__}"
    return CemMAC


class CemActor:
    """Continuous actions of all agents of one environment.

    Args:
        agent: the host's agent module, shared or per agent, with one output.
        n_agents: N.
        action_size: A.
        id_size: one-hot agent ids in the input, 0 for none.
        options: how actions are sampled, and the noise on them.
        generator: CPU generator to draw from.

    Attributes:
        noisy: whether normal noise is put on the actions.
    """

    def __init__(
        self,
        agent: Any,
        n_agents: int,
        action_size: int,
        id_size: int,
        options: ComixOptions,
        generator: torch.Generator,
    ) -> None:
        self._agent = agent
        self._shape = (n_agents, action_size)
        self._id_size = id_size
        self._options = options
        self._generator = generator
        self.noisy = True

    def random_state(self) -> dict[str, Any]:
        """Where its random numbers go on from."""
        return {"generator": self._generator.get_state()}

    def set_random_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`random_state` gave."""
        self._generator.set_state(state["generator"])

    @torch.no_grad()
    def act(self, observations: Any, available: Any, epsilon: float) -> np.ndarray[Any, Any]:
        """One decision for all agents.

        Args:
            observations: (N, O) array.
            available: unused, as every action can be taken.
            epsilon: probability, for each agent, of a uniformly random action.

        Returns:
            (N, A) actions between -1 and 1, float32.
        """
        options = self._options
        device = next(self._agent.parameters()).device
        observed = torch.from_numpy(observations).float().to(device)
        seen = observed.expand(1, options.cem_samples, *observed.shape)  # (1, K, N, O)

        def utilities(actions: Tensor) -> Tensor:
            """(K, N) of (K, N, A)."""
            inputs = torch.cat([seen, actions[None]], dim=3)
            dense = AgentInputs(inputs, None, self._id_size).dense()  # (1, K, N, I)
            return run_agents(self._agent, dense)[0, ..., 0]

        actions, values = cross_entropy_method(
            utilities,
            self._shape,
            options.cem_samples,
            options.cem_elites,
            options.cem_iterations,
            self._generator,
            device,
        )
        chosen = best_of(actions, values).cpu()
        if self.noisy:
            noise = torch.randn(self._shape, generator=self._generator)
            chosen = (chosen + options.action_noise * noise).clamp(-1.0, 1.0)
        at_random = torch.rand(self._shape, generator=self._generator) * 2.0 - 1.0
        explores = torch.rand(self._shape[0], 1, generator=self._generator) < epsilon
        return torch.where(explores, at_random, chosen).numpy()
