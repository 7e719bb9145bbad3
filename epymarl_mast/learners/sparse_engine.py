"""The engine that touches kept weights only, on the CPU, and gives the gradient at their positions.

Legend: B episodes, T steps, N agents, U actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from epymarl_mast import targets
from epymarl_mast.learners.engines import HostEngine, MaskedEngine, Vectors
from epymarl_mast.learners.trained import networks_in
from epymarl_mast.sparse import kernels
from epymarl_mast.sparse.kernels import (
    AgentInputs,
    Fit,
    SparseAgent,
    SparseFeedForward,
    SparseMatrix,
    SparseMixer,
)

Named = TypeVar("Named")

# Weights. Torch's dense products are as fast from 256 hidden units on; at 64 these take two thirds.
_ALL_KEPT_UP_TO = 200_000


class SparseEngine(HostEngine):
    """Compiled kernels on the kept weights (:mod:`epymarl_mast.sparse.kernels`)."""

    name = "sparse"
    needs_inputs = True
    gradient_is_masked = True

    def __init__(self) -> None:
        self._patterns: dict[str, dict[str, SparseMatrix]] = {}
        self._vectors: Vectors = {}
        self._agents: dict[nn.Module, list[SparseAgent]] = {}
        self._mixers: dict[nn.Module, SparseMixer | None] = {}
        self._unrestricted: dict[nn.Module, SparseFeedForward] = {}

    def follow(self, masks: Mapping[str, Tensor], vectors: Vectors) -> None:
        self._vectors = vectors
        self._patterns = {"agent": {}, "mixer": {}, "central_mixer": {}}
        for name, mask in masks.items():
            network, _, parameter = name.partition(".")
            self._patterns[network][parameter] = SparseMatrix.from_mask(mask)
        self._agents.clear()
        self._mixers.clear()
        self._unrestricted.clear()

    def of_dense_gradients(self, vectors: Vectors) -> HostEngine:
        if sum(vector.tensor.numel() for vector in vectors.values()) > _ALL_KEPT_UP_TO:
            return MaskedEngine()
        return _DenseGradients(vectors)

    def unroll(self, mac: Any, batch: Any, inputs: AgentInputs | None) -> Tensor:
        assert inputs is not None
        if mac.agent not in self._agents:
            self._agents[mac.agent] = self._compress(mac.agent)
        networks = self._agents[mac.agent]
        if len(networks) == 1:
            return networks[0](inputs)
        own = [network(inputs.of_agent(i)) for i, network in enumerate(networks)]
        return torch.cat(own, dim=2)

    def values_of_actions(self, values: Tensor, actions: Tensor) -> Tensor:
        return kernels.values_of_actions(values, actions)

    def mix(self, mixer: Any, agent_values: Tensor, state: Tensor) -> Tensor:
        kept = self._mixer(mixer)
        if kept is None:
            return super().mix(mixer, agent_values, state)
        return kept(agent_values, state)

    def mix_unrestricted(self, mixer: Any, utilities: Tensor, state: Tensor) -> Tensor:
        patterns = self._patterns["central_mixer"]
        if not patterns:
            return super().mix_unrestricted(mixer, utilities, state)
        if mixer not in self._unrestricted:
            weights, vector = dict(mixer.named_parameters()), self._vectors.get(mixer)
            self._unrestricted[mixer] = SparseFeedForward(weights, patterns, vector)
        return self._unrestricted[mixer](utilities.flatten(2), state)

    def value_of_actions(
        self, mixer: Any, values: Tensor, actions: Tensor, state: Tensor
    ) -> Tensor:
        kept = self._mixer(mixer)
        if kept is None:
            return super().value_of_actions(mixer, values, actions, state)
        return kept.of_actions(values, actions, state)

    def greedy_values(self, values: Tensor, chooser: Tensor, available: Tensor) -> Tensor:
        return kernels.greedy_values(values, chooser, available)

    def soft_mellowmax(self, q: Tensor, available: Tensor, alpha: float, omega: float) -> Tensor:
        return kernels.soft_mellowmax(q, available, alpha, omega)

    def copy_episodes(
        self, indices: Sequence[Tensor], fields: Sequence[tuple[Sequence[Tensor], Tensor]]
    ) -> None:
        kernels.copy_episodes(indices, fields)

    def real_steps(self, filled: Tensor, ended: Tensor, *, as_host: bool) -> tuple[Tensor, Tensor]:
        return kernels.real_steps(filled, ended, as_host=as_host)

    def standardise(self, rewards: Tensor, mask: Tensor | None, statistics: Any) -> Tensor:
        if rewards.dtype != torch.float32:
            return super().standardise(rewards, mask, statistics)
        return kernels.standardise(rewards, mask, statistics)

    def returns(self, kind: str, step: targets.Step, gamma: float, lam: float, n: int) -> Tensor:
        rewards, *_, next_values = step
        fits = rewards.stride(2) == 0 or rewards.shape[2] in (1, next_values.shape[2])
        if not fits or any(part.dtype != torch.float32 for part in step):
            return super().returns(kind, step, gamma, lam, n)
        return kernels.returns(
            *step, gamma, lam if kind == "td_lambda" else 0.0, n if kind == "n_step" else 1
        )

    def masked_error(self, values: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        if values.shape != target.shape:
            return super().masked_error(values, target, mask)
        return kernels.masked_error(values, target, mask)

    def mean_square(self, errors: Tensor, mask: Tensor) -> Tensor:
        if mask.shape[2] == 1 or mask.stride(2) == 0:
            return kernels.mean_square(errors, mask[:, :, :1])
        return super().mean_square(errors, mask)

    def fit(
        self,
        mixer: Any,
        values: Tensor,
        actions: Tensor,
        state: Tensor,
        target: Tensor,
        mask: Tensor,
    ) -> Fit | None:
        kept = self._mixer(mixer)
        if kept is None or target.shape[2] != 1:
            return None
        fit = kernels.fit(kept, values, actions, state, target, mask)
        kernels.backward(values, fit.d_q_values)
        return fit

    def _mixer(self, mixer: Any) -> SparseMixer | None:
        """The compressed mixing network; None where there are no weights to mix by."""
        if mixer is None:
            return None
        if mixer not in self._mixers:
            weights = dict(mixer.named_parameters())
            patterns, vector = self._patterns["mixer"], self._vectors.get(mixer)
            self._mixers[mixer] = SparseMixer(weights, patterns, vector) if weights else None
        return self._mixers[mixer]

    def _compress(self, agent: nn.Module) -> list[SparseAgent]:
        """One network, or one of each agent."""
        patterns = self._patterns["agent"]
        networks = networks_in(agent)
        own = [patterns]
        if networks != [agent]:
            own = [_below(f"agents.{i}.", patterns) for i in range(len(networks))]
        return [
            SparseAgent(dict(network.named_parameters()), kept, self._vectors.get(network))
            for network, kept in zip(networks, own, strict=True)
        ]


class _DenseGradients(SparseEngine):
    """The same kernels, told no mask: what is absent is computed with, as a weight of 0."""

    gradient_is_masked = False

    def __init__(self, vectors: Vectors) -> None:
        super().__init__()
        self.follow({}, vectors)


def _below(prefix: str, named: Mapping[str, Named]) -> dict[str, Named]:
    return {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}
