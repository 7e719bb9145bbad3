"""The parameters that a learner trains, and their optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from epymarl_mast.options import MastOptions
from epymarl_mast.sparse import (
    OPTIMIZERS,
    ParameterVector,
    kernels,
    per_weight_state,
    reset_optimizer_state,
)


@dataclass(frozen=True)
class ParameterGroup:
    """Networks that take a step together, with one clipping of their gradient.

    Attributes:
        networks: their names.
        lr: learning rate, None for the host's.
    """

    networks: tuple[str, ...]
    lr: float | None = None


class TrainedParameters:
    """Parameters of networks with their optimiser, which sees each network as one vector.

    Dense networks' parameters are left as they are: then an update is the host's own to the last
    bit, whose norm of gradients is a sum in the order of the parameters.

    Args:
        networks: ``{network: module}``; one that holds a network per agent has a vector for each.
        groups: every network is in one of them.
        options: the checked ``mast:`` block.
        args: the run's configuration.

    Attributes:
        vectors: of each module that is one network; none for dense networks.
        optimiser: over the vectors, or the parameters.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        groups: Sequence[ParameterGroup],
        options: MastOptions,
        args: Any,
    ) -> None:
        self._parameters: dict[str, nn.Parameter] = {}  # in the order of the optimiser
        self.vectors: dict[nn.Module, ParameterVector] = {}
        for name in (name for group in groups for name in group.networks):
            own = networks[name].named_parameters()
            self._parameters.update({f"{name}.{key}": parameter for key, parameter in own})
            if options.topology != "dense":
                self.vectors.update(_vectors(networks[name]))
        self._groups = [
            [tensor for name in group.networks for tensor in self._tensors_of(networks[name])]
            for group in groups
        ]
        self.optimiser = _optimiser(
            [
                {"params": tensors, "lr": args.lr if group.lr is None else group.lr}
                for group, tensors in zip(groups, self._groups, strict=True)
                if tensors
            ],
            options,
            args,
        )
        self._groups = [tensors for tensors in self._groups if tensors]
        self._norm: Callable[[Sequence[Tensor]], float] = _norm
        self._step: Callable[[], Any] = self.optimiser.step

    @property
    def tensors(self) -> list[Tensor]:
        """What the optimiser sees: the vectors, or the parameters."""
        return [tensor for group in self._groups for tensor in group]

    def _tensors_of(self, network: nn.Module) -> list[Tensor]:
        if not self.vectors:
            return list(network.parameters())
        return [self.vectors[p].tensor for p in networks_in(network) if p in self.vectors]

    def zero_grad(self) -> None:
        """Forget the last update's gradients."""
        for tensor in (*self.tensors, *self._parameters.values()):
            tensor.grad = None

    def gather_gradients(self, *, into_parameters: bool) -> None:
        """After the backward pass: bring all gradients to where the optimiser looks.

        Args:
            into_parameters: whether the parameters get theirs too, as views.
        """
        for vector in self.vectors.values():
            vector.gather_gradient()
            if into_parameters:
                vector.share_gradient()

    def clip(self, max_norm: float) -> float:
        """Clip each group's gradient; returns the norm of all before clipping."""
        return math.hypot(*(self._clip(group, max_norm) for group in self._groups))

    def step(self) -> None:
        """One step of the optimiser."""
        self._step()

    def use_kernels(self) -> None:
        """From now on, clip and step by compiled calls; with vectors on the CPU only."""
        self._norm = kernels.gradient_norm
        self._step = kernels.OptimizerStep(self.optimiser)

    def _clip(self, group: list[Tensor], max_norm: float) -> float:
        """Clip, but not without need where it is free to look: on the CPU."""
        if not self.vectors or group[0].is_cuda:
            return float(torch.nn.utils.clip_grad_norm_(group, max_norm))
        gradients = [tensor.grad for tensor in group if tensor.grad is not None]
        norm = self._norm(gradients)
        if norm > max_norm:
            for gradient in gradients:
                gradient.mul_(max_norm / (norm + 1e-6))  # as torch's own
        return norm

    def forget(self, survivors: Mapping[str, Tensor]) -> None:
        """Zero the optimiser's state where weights did not survive a topology update.

        Args:
            survivors: ``{weight: bool mask}``.
        """
        masks: dict[Tensor, Tensor] = {self._parameters[n]: m for n, m in survivors.items()}
        pairs = [(v.tensor, _survivors_of(v, masks)) for v in self.vectors.values()]
        reset_optimizer_state(self.optimiser, pairs)

    def state(self) -> dict[str, dict[str, Any]]:
        """``{parameter: {key: value}}``: what the optimiser keeps; tensors are views of it."""
        states: list[dict[str, Any]]
        if self.vectors:
            states = [own for vector in self.vectors.values() for own in self._split_state(vector)]
        else:
            states = [dict(self.optimiser.state.get(tensor, {})) for tensor in self.tensors]
        return dict(zip(self._parameters, states, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state, in the form of one over the parameters themselves."""
        groups = self.optimiser.state_dict()["param_groups"]
        return {
            "state": {i: own for i, own in enumerate(self.state().values()) if own},
            "param_groups": _numbered(groups, self._sizes()),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            ValueError: if it is not of these parameters.
        """
        groups, sizes = saved["param_groups"], self._sizes()
        if [len(group["params"]) for group in groups] != sizes:
            raise ValueError(f"the optimiser's groups are not of {sizes} parameters")
        state = saved["state"]
        if self.vectors:
            groups = _numbered(groups, [len(group) for group in self._groups])
            state = self._joined_state(state)
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})

    def _sizes(self) -> list[int]:
        """Parameters of each group."""
        members = {id(v.tensor): len(v.parameters) for v in self.vectors.values()}
        return [sum(members.get(id(tensor), 1) for tensor in group) for group in self._groups]

    def renew(self) -> None:
        """After the networks were moved to another device."""
        for vector in self.vectors.values():
            vector.renew()

    def _split_state(self, vector: ParameterVector) -> Iterator[dict[str, Any]]:
        """The state of each of a vector's parameters."""
        state = self.optimiser.state.get(vector.tensor, {})
        per_weight = {
            key: vector.split(value)
            for key, value in state.items()
            if _is_per_weight(value, vector)
        }
        for i in range(len(vector.parameters)):
            yield {k: per_weight[k][i] if k in per_weight else v for k, v in state.items()}

    def _joined_state(self, saved: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        """The state of each vector, from that of each parameter."""
        joined: dict[int, dict[str, Any]] = {}
        first = 0
        for i, vector in enumerate(self.vectors.values()):
            numbers = range(first, first + len(vector.parameters))
            own = [saved[number] for number in numbers if number in saved]
            first = numbers.stop
            if not own:
                continue
            joined[i] = {**own[0]}
            for key in set(per_weight_state(self.optimiser)) & own[0].keys():
                joined[i][key] = vector.join([state[key] for state in own])
        return joined


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(
        torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))
    )


def networks_in(module: nn.Module) -> list[nn.Module]:
    """The module itself, or its networks where each agent has its own (``rnn_ns``)."""
    agents = getattr(module, "agents", None)
    return list(agents) if isinstance(agents, nn.ModuleList) else [module]


def _is_per_weight(value: Any, vector: ParameterVector) -> bool:
    return isinstance(value, Tensor) and value.shape == vector.tensor.shape


def _survivors_of(vector: ParameterVector, masks: Mapping[Tensor, Tensor]) -> Tensor:
    """(P,) bool: False for a weight that did not survive."""
    return vector.join([masks.get(p, p.new_ones(p.shape).bool()) for p in vector.parameters])


def _vectors(network: nn.Module) -> dict[nn.Module, ParameterVector]:
    named = ((part, dict(part.named_parameters())) for part in networks_in(network))
    return {part: ParameterVector(own) for part, own in named if own}


def _numbered(groups: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """The groups with so many members each, numbered one after the other."""
    ends = list(accumulate(sizes))
    members = [list(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]
    return [{**group, "params": own} for group, own in zip(groups, members, strict=True)]


def _optimiser(
    groups: list[dict[str, Any]], options: MastOptions, args: Any
) -> torch.optim.Optimizer:
    """The optimiser of ``mast.optimizer``, with what the hosts give theirs."""
    # One kernel for all weights; without sparsity it is the host's own, to the last bit.
    named: dict[str, Any] = {"lr": args.lr, "fused": options.topology != "dense"}
    if options.optimizer == "rmsprop":
        named = {"lr": args.lr, "alpha": args.optim_alpha, "eps": args.optim_eps}
    return OPTIMIZERS[options.optimizer](groups, **named)
