"""How the networks are computed over an episode batch. The result is the same for every engine.

``masked`` computes on dense tensors whose absent weights are zero, on any device, and gives the
gradient at every position, the whole sequence at once. ``host`` does the same by the host's own
steps, for any agent network. ``sparse`` touches kept weights only, on the CPU, and gives the
gradient at their positions.

Legend: B episodes, T steps, N agents, O observation, I inputs, H hidden units, U actions, S state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from epymarl_mast.controllers.actor import can_act
from epymarl_mast.errors import OptionError
from epymarl_mast.hosts.base import HostModules
from epymarl_mast.sparse import kernels


class HostEngine:
    """The host's own steps, one by one: any agent network, to the last bit."""

    name = "host"
    needs_inputs = False  # whether unroll() reads ``inputs``
    gradient_is_masked = False  # whether it is zero outside the masks by itself

    def unroll(self, mac: Any, batch: Any, inputs: Tensor | None) -> Tensor:
        """Action values of every step of a batch.

        Args:
            mac: the host's multi-agent controller.
            batch: the host's episode batch.
            inputs: (B, T, N, I) from :func:`agent_inputs`, where the engine needs them.

        Returns:
            (B, T, N, U).
        """
        mac.init_hidden(batch.batch_size)
        steps = [mac.forward(batch, t=t) for t in range(batch.max_seq_length)]
        return torch.stack(steps, dim=1)

    def mix(self, mixer: Any, agent_values: Tensor, state: Tensor) -> Tensor:
        """Joint value (B, T, 1) of agent values (B, T, N); those themselves without a mixer."""
        mixed: Tensor = agent_values if mixer is None else mixer(agent_values, state)
        return mixed

    def follow(self, masks: Mapping[str, Tensor]) -> None:
        """Take over the masks as they are now.

        Args:
            masks: ``{name: bool mask}``, named ``agent.…`` and ``mixer.…``; a weight matrix in none
                of them is dense.
        """


class MaskedEngine(HostEngine):
    """Torch on masked dense tensors, the whole sequence at once."""

    name = "masked"
    needs_inputs = True

    def unroll(self, mac: Any, batch: Any, inputs: Tensor | None) -> Tensor:
        assert inputs is not None
        agents = getattr(mac.agent, "agents", None)
        if agents is None:
            return _sequence(mac.agent, inputs)
        return torch.cat([_sequence(agent, inputs[:, :, [i]]) for i, agent in enumerate(agents)], 2)


class SparseEngine(HostEngine):
    """Compiled kernels on the kept weights (:mod:`epymarl_mast.sparse.kernels`)."""

    name = "sparse"
    needs_inputs = True
    gradient_is_masked = True

    def __init__(self) -> None:
        self._patterns: dict[str, dict[str, kernels.SparseMatrix]] = {}
        self._weights: dict[nn.Module, dict[str, Tensor]] = {}  # walking a module takes long

    def follow(self, masks: Mapping[str, Tensor]) -> None:
        self._patterns = {"agent": {}, "mixer": {}}
        for name, mask in masks.items():
            network, _, parameter = name.partition(".")
            self._patterns[network][parameter] = kernels.SparseMatrix.from_mask(mask)

    def unroll(self, mac: Any, batch: Any, inputs: Tensor | None) -> Tensor:
        assert inputs is not None
        weights = self._weights_of(mac.agent)
        patterns = self._patterns["agent"]
        if "fc1.weight" in weights:
            return kernels.agent_unroll(inputs, weights, patterns)
        return torch.cat(
            [
                kernels.agent_unroll(inputs[:, :, [i]], _own(weights, i), _own(patterns, i))
                for i in range(inputs.shape[2])
            ],
            dim=2,
        )

    def mix(self, mixer: Any, agent_values: Tensor, state: Tensor) -> Tensor:
        if mixer is None or not self._weights_of(mixer):
            return super().mix(mixer, agent_values, state)
        weights = self._weights_of(mixer)
        return kernels.qmix(agent_values, state, weights, self._patterns["mixer"])

    def _weights_of(self, network: nn.Module) -> dict[str, Tensor]:
        if network not in self._weights:
            self._weights[network] = dict(network.named_parameters())
        return self._weights[network]


def choose_engine(wanted: str, *, known: bool, dense: bool, device: str) -> tuple[HostEngine, str]:
    """The engine for ``mast.engine``, and why it is that one.

    Args:
        wanted: ``auto``, ``host``, ``masked`` or ``sparse``.
        known: whether the agent network and its controller are ones we know (:func:`knows`).
        dense: whether there are no masks at all; ``auto`` is the host itself then.
        device: where the networks are.

    Raises:
        OptionError: if ``sparse`` or ``masked`` is asked for and cannot be had.
    """
    stranger = "the agent network or its controller is not one of the hosts' own"
    if wanted == "host" or (wanted == "auto" and dense):
        return HostEngine(), "asked for" if wanted == "host" else "dense networks"
    missing = None
    if not known:
        missing = stranger
    elif device != "cpu":
        missing = f"the networks are on {device}"
    elif not kernels.available():
        missing = "numba or an x86-64 CPU with AVX2 is missing"
    if wanted == "sparse" and missing is None:
        return SparseEngine(), "asked for"
    if wanted == "sparse" or (wanted == "masked" and not known):
        raise OptionError(f"mast.engine={wanted!r} cannot be had: {missing}; allowed is 'auto'")
    if not known:
        return HostEngine(), stranger
    return MaskedEngine(), "asked for" if wanted == "masked" else "known networks"


Named = TypeVar("Named")


def _own(named: Mapping[str, Named], agent: int) -> dict[str, Named]:
    prefix = f"agents.{agent}."
    return {n.removeprefix(prefix): v for n, v in named.items() if n.startswith(prefix)}


def knows(mac: Any, host: HostModules) -> bool:
    """Whether a controller feeds its agents as the hosts' own do, and has a known agent network.

    Others, a user's own for instance, are computed step by step through their own ``forward``.
    """
    build = getattr(type(mac), "_build_inputs", None)
    own = [host.controllers[name]._build_inputs for name in ("basic_mac", "non_shared_mac")]
    return build in own and can_act(mac.agent)


def agent_inputs(mac: Any, batch: Any) -> Tensor:
    """What the hosts' controllers feed their agents, for all steps at once.

    Returns:
        (B, T, N, I): observation, last action and agent id, as the options say.
    """
    parts = [batch["obs"]]
    if mac.args.obs_last_action:
        onehot = batch["actions_onehot"]
        parts.append(torch.cat([torch.zeros_like(onehot[:, :1]), onehot[:, :-1]], dim=1))
    if mac.args.obs_agent_id:
        shape = (*batch["obs"].shape[:2], -1, -1)
        parts.append(torch.eye(mac.n_agents, device=batch["obs"].device).expand(shape))
    return torch.cat(parts, dim=3)


def _sequence(agent: Any, inputs: Tensor) -> Tensor:
    """(B, T, N, U) values of one agent network from (B, T, N, I)."""
    episodes, steps, agents, _ = inputs.shape
    x = torch.relu(agent.fc1(inputs))  # (B, T, N, H)
    if isinstance(agent.rnn, nn.GRUCell):
        rows = x.transpose(0, 1).reshape(steps, episodes * agents, -1)  # (T, B*N, H)
        start = rows.new_zeros(1, rows.shape[1], rows.shape[2])
        cell = agent.rnn
        weights = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        hidden, _ = torch.gru(rows, start, weights, True, 1, 0.0, agent.training, False, False)
        h = hidden.view(steps, episodes, agents, -1).transpose(0, 1)
    else:
        h = torch.relu(agent.rnn(x))
    values: Tensor = agent.fc2(h)
    return values
