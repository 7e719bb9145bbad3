"""``mast_mac``: the host's multi-agent controller, acting without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from epymarl_mast.controllers.actor import Actor, can_act
from epymarl_mast.controllers.first_layer import set_first_layer
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.networks import FIRST_LAYER
from epymarl_mast.sparse.kernels.decision import beats_matrices
from epymarl_mast.tiny import cut_widths


def fast_mac(host: HostModules) -> Any:
    """The factory to register: ``(scheme, groups, args) -> controller``.

    This is the first place that knows the environment's sizes: ``mast.tiny`` cuts widths here.

    The controller is the host's own, for shared networks or for a network per agent; only
    :meth:`select_actions` is another. It draws from its own seeded generator, not from torch's.
    """
    classes = {
        name: _fast(host.controllers[name], host) for name in ("basic_mac", "non_shared_mac")
    }

    def make(scheme: Any, groups: Any, args: Any) -> Any:
        cut_widths(args, scheme)
        return classes[agent_kind(args)](scheme, groups, args)

    return make


def agent_kind(args: Any) -> str:
    """Name of the host's controller for the agents of a run: shared, or one for each."""
    return "non_shared_mac" if args.agent.endswith("_ns") else "basic_mac"


def _fast(base: type[Any], host: HostModules) -> type[Any]:
    class FastMAC(base):  # type: ignore[misc]
        """Acts as its base does; same distribution of actions, other random numbers."""

        def __init__(self, scheme: Any, groups: Any, args: Any) -> None:
            super().__init__(scheme, groups, args)
            set_first_layer(self.agent, getattr(args, FIRST_LAYER, args.hidden_dim))
            self._actor: Actor | None = None
            self._viewed: torch.Tensor | None = None
            if args.action_selector == "epsilon_greedy" and can_act(self.agent):
                acting_seed = np.random.SeedSequence(args.seed).generate_state(3)[2]
                self._actor = Actor(
                    self.agent,
                    self.n_agents,
                    args.n_actions,
                    last_action=args.obs_last_action,
                    agent_id=args.obs_agent_id,
                    generator=np.random.default_rng(acting_seed),
                    compiled=_compiles(args),
                )

        def start_episodes(self, environments: int) -> Actor | None:
            """An actor with today's weights and fresh memory; None for an agent it cannot run."""
            if self._actor is not None:
                self._actor.start(environments)
            return self._actor

        def epsilon_at(self, t_env: int, test_mode: bool) -> float:
            """Exploration rate, noted on the host's selector as its own does."""
            selector = self.action_selector
            epsilon = selector.schedule.eval(t_env)
            selector.epsilon = self.args.evaluation_epsilon if test_mode else epsilon
            return float(selector.epsilon)

        def select_actions(
            self, ep_batch: Any, t_ep: int, t_env: int, bs: Any = slice(None),
            test_mode: bool = False,
        ) -> Any:  # fmt: skip
            if self._actor is None:
                return super().select_actions(ep_batch, t_ep, t_env, bs=bs, test_mode=test_mode)
            if t_ep == 0:
                self.start_episodes(ep_batch.batch_size)
            observations, available = self._seen(ep_batch, t_ep)
            epsilon = self.epsilon_at(t_env, test_mode)
            chosen = self._actor.act(observations, available, epsilon).reshape(-1, self.n_agents)
            actions = torch.from_numpy(chosen[bs].copy()).to(ep_batch.device)
            return host.selected(actions)

        def _seen(self, ep_batch: Any, t: int) -> list[Any]:
            """What the agents see at a step: observations (R, O), available actions (R, U)."""
            fields = [ep_batch["obs"], ep_batch["avail_actions"]]  # (E, T, N, .)
            if ep_batch.device != "cpu":
                return [field[:, t].flatten(0, 1).cpu().numpy() for field in fields]
            if fields[0] is not self._viewed:  # views of a batch are made once, not at each step
                self._viewed, self._views = fields[0], [field.numpy() for field in fields]
            return [view[:, t].reshape(-1, view.shape[-1]) for view in self._views]

    FastMAC.__name__ = FastMAC.__qualname__ = f"Mast{base.__name__}"
    return FastMAC


def _compiles(args: Any) -> bool:
    """Whether compiled decisions are asked for, or are faster than numpy's."""
    mast = getattr(args, "mast", {})
    own, total = mast.get("agent_sparsity"), mast.get("sparsity", 0.0)
    sparsity = total if own is None else own
    # With ``auto`` the networks start dense.
    dense = mast.get("topology") == "dense" or sparsity == "auto"
    density = 1.0 if dense else 1.0 - sparsity
    faster = beats_matrices(density, args.hidden_dim)
    return mast.get("engine", "auto") in (("auto", "sparse") if faster else ("sparse",))
