"""The parameters that a learner trains, and their optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from epymarl_mast.options import MastOptions
from epymarl_mast.sparse import (
    OPTIMIZERS,
    ParameterVector,
    per_weight_state,
    reset_optimizer_state,
)


class TrainedParameters:
    """Parameters of networks with their optimiser, which sees each network as one vector.

    Dense networks' parameters are left as they are: then an update is the host's own to the last
    bit, whose norm of gradients is a sum in the order of the parameters.

    Args:
        networks: ``{network: module}``; one that holds a network per agent has a vector for each.
        options: the checked ``mast:`` block.
        args: the run's configuration.

    Attributes:
        vectors: of each module that is one network; none for dense networks.
        optimiser: over the vectors, or the parameters.
    """

    def __init__(self, networks: Mapping[str, nn.Module], options: MastOptions, args: Any) -> None:
        self._parameters = {
            f"{network}.{name}": parameter
            for network, module in networks.items()
            for name, parameter in module.named_parameters()
        }
        parts = [part for module in networks.values() for part in networks_in(module)]
        self.vectors: dict[nn.Module, ParameterVector] = {}
        if options.topology != "dense":
            named = ((part, dict(part.named_parameters())) for part in parts)
            self.vectors = {part: ParameterVector(own) for part, own in named if own}
        self.tensors: list[Tensor] = [vector.tensor for vector in self.vectors.values()]
        self.tensors = self.tensors or list(self._parameters.values())
        self.optimiser = _optimiser(self.tensors, options, args)

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
            if vector.tensor.grad is None:
                vector.gather_gradient()
            if into_parameters:
                vector.share_gradient()

    def step(self, max_norm: float) -> Tensor:
        """Clip the gradients and step; returns their norm before clipping."""
        norm = self._norm_within(max_norm)
        if norm is None:
            norm = torch.nn.utils.clip_grad_norm_(self.tensors, max_norm)
        self.optimiser.step()
        return norm

    def _norm_within(self, max_norm: float) -> Tensor | None:
        """The gradients' norm if there is nothing to clip; to look is free on the CPU only."""
        if not self.vectors or self.tensors[0].is_cuda:
            return None
        gradients = [tensor.grad for tensor in self.tensors if tensor.grad is not None]
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
        )
        return norm if float(norm) <= max_norm else None

    def forget(self, survivors: Mapping[str, Tensor]) -> None:
        """Zero the optimiser's state where weights did not survive a topology update.

        Args:
            survivors: ``{weight: bool mask}``.
        """
        masks: dict[Tensor, Tensor] = {self._parameters[n]: m for n, m in survivors.items()}
        pairs = [(v.tensor, _survivors_of(v, masks)) for v in self.vectors.values()]
        reset_optimizer_state(self.optimiser, pairs)

    def state(self) -> list[dict[str, Any]]:
        """What the optimiser keeps of each parameter, by its keys; tensors are views of it."""
        if not self.vectors:
            return [dict(self.optimiser.state.get(tensor, {})) for tensor in self.tensors]
        return [own for vector in self.vectors.values() for own in self._split_state(vector)]

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's state, in the form of one over the parameters themselves."""
        [group] = self.optimiser.state_dict()["param_groups"]
        state = self.state()
        return {
            "state": {i: own for i, own in enumerate(state) if own},
            "param_groups": [{**group, "params": list(range(len(state)))}],
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            ValueError: if it is not of these parameters.
        """
        [group] = saved["param_groups"]
        parameters = list(self._parameters.values())
        if len(group["params"]) != len(parameters):
            raise ValueError(
                f"an optimiser of {len(group['params'])} parameters, not of {len(parameters)}"
            )
        if self.vectors:
            group = {**group, "params": list(range(len(self.tensors)))}
            saved = {"state": self._joined_state(saved["state"]), "param_groups": [group]}
        self.optimiser.load_state_dict(saved)  # type: ignore[arg-type]

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


def networks_in(module: nn.Module) -> list[nn.Module]:
    """The module itself, or its networks where each agent has its own (``rnn_ns``)."""
    agents = getattr(module, "agents", None)
    return list(agents) if isinstance(agents, nn.ModuleList) else [module]


def _is_per_weight(value: Any, vector: ParameterVector) -> bool:
    return isinstance(value, Tensor) and value.shape == vector.tensor.shape


def _survivors_of(vector: ParameterVector, masks: Mapping[Tensor, Tensor]) -> Tensor:
    """(P,) bool: False for a weight that did not survive."""
    return vector.join([masks.get(p, p.new_ones(p.shape).bool()) for p in vector.parameters])


def _optimiser(tensors: list[Tensor], options: MastOptions, args: Any) -> torch.optim.Optimizer:
    """The optimiser of ``mast.optimizer`` with the host's learning rate."""
    # One kernel for all weights; without sparsity it is the host's own, to the last bit.
    named: dict[str, Any] = {"lr": args.lr, "fused": options.topology != "dense"}
    if options.optimizer == "rmsprop":
        named = {"lr": args.lr, "alpha": args.optim_alpha, "eps": args.optim_eps}
    return OPTIMIZERS[options.optimizer](tensors, **named)
