"""Model size and FLOPs, by the paper's own formulas (MAST App. B.4) and nothing else.

Biases, activation functions, topology updates, target copies and acting are left out, as the
paper does. Legend: I inputs, O outputs, h hidden units, S_l sparsity of a layer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from epymarl_mast.sparse.layers import Layer, is_weight_matrix


@dataclass(frozen=True)
class NetworkCost:
    """What one network costs.

    Attributes:
        size: number of kept weights.
        dense_size: number of weights of the same network without sparsity.
        flops: floating-point operations of one forward pass.
        dense_flops: the same without sparsity.
    """

    size: int
    dense_size: int
    flops: float
    dense_flops: float


@dataclass(frozen=True)
class TrainingCost:
    """What a value-decomposition learner costs, sparse and dense.

    Attributes:
        networks: cost per network (``agent``, ``mixer``, …).
        size: kept weights while training, all online and target networks together.
        dense_size: the same without sparsity.
        train_flops: FLOPs of one training update.
        dense_train_flops: the same without sparsity.
        test_flops: FLOPs of one decision (one forward pass of the agent network).
        dense_test_flops: the same without sparsity.
    """

    networks: Mapping[str, NetworkCost]
    size: int
    dense_size: int
    train_flops: float
    dense_train_flops: float
    test_flops: float
    dense_test_flops: float

    @property
    def size_ratio(self) -> float:
        """Size as a share of the dense learner's."""
        return self.size / self.dense_size

    @property
    def train_flops_ratio(self) -> float:
        """FLOPs of an update as a share of the dense learner's."""
        return self.train_flops / self.dense_train_flops

    @property
    def test_flops_ratio(self) -> float:
        """FLOPs of a decision as a share of the dense learner's."""
        return self.test_flops / self.dense_test_flops


def network_cost(shapes: Mapping[str, Sequence[int]], layers: Sequence[Layer]) -> NetworkCost:
    """Cost of one network.

    A linear layer has (1-S_l)*I*O weights and (1-S_l)*(2*I-1)*O FLOPs; a GRU, whose two matrices
    count as one layer, (1-S_l)*3*h*(h+I) weights and (1-S_l)*3*h*(2*(h+I)-1) FLOPs.

    Args:
        shapes: ``{parameter name: shape}`` of the network; networks of several agents add up.
        layers: its sparse layers; weight matrices in none of them count as dense.

    Source: MAST App. B.4.
    """
    kept_share = {
        member: layer.kept / prod(layer.shape) for layer in layers for member in layer.members
    }
    size = dense_size = flops = dense_flops = 0.0
    for parts in _cells(shapes).values():
        inputs = sum(prod(shapes[name][1:]) for name in parts)
        outputs = shapes[parts[0]][0]
        weights = float(sum(prod(shapes[name]) for name in parts))
        kept = sum(prod(shapes[name]) * kept_share.get(name, 1.0) for name in parts)
        cell_flops = float((2 * inputs - 1) * outputs)
        size += kept
        dense_size += weights
        flops += cell_flops * kept / weights
        dense_flops += cell_flops
    return NetworkCost(round(size), round(dense_size), flops, dense_flops)


def q_learning_cost(
    networks: Mapping[str, NetworkCost],
    batch_size: int,
    passes: Mapping[str, int] = MappingProxyType({"agent": 4, "mixer": 4}),
    without_target: Collection[str] = (),
    decision_passes: int = 1,
) -> TrainingCost:
    """Cost of a value-decomposition learner: B·Σ passes·F FLOPs an update, A a decision.

    Args:
        networks: cost of ``agent`` and of every other network that has weights.
        batch_size: B, episodes in one update's batch.
        passes: forward passes of each network in one update, where a backward pass counts as two;
            4 for one that is not named: once online, once its target, one backward pass. The
            default is QMIX, VDN and IQL: 4·B·(A+M).
        without_target: networks that have no target network.
        decision_passes: forward passes of the agent network for one decision.

    Source: MAST App. B.4.
    """
    times = {name: batch_size * passes.get(name, 4) for name in networks}
    copies = {name: 1 if name in without_target else 2 for name in networks}
    return TrainingCost(
        networks=dict(networks),
        size=sum(copies[name] * cost.size for name, cost in networks.items()),
        dense_size=sum(copies[name] * cost.dense_size for name, cost in networks.items()),
        train_flops=sum(times[name] * cost.flops for name, cost in networks.items()),
        dense_train_flops=sum(times[name] * cost.dense_flops for name, cost in networks.items()),
        test_flops=decision_passes * networks["agent"].flops,
        dense_test_flops=decision_passes * networks["agent"].dense_flops,
    )


def _cells(shapes: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """Weight matrices by cell: a GRU's weight_ih and weight_hh together, others alone."""
    cells: dict[str, list[str]] = {}
    for name, shape in shapes.items():
        if is_weight_matrix(name, shape):
            cell = name.rpartition(".")[0] if name.endswith(("weight_ih", "weight_hh")) else name
            cells.setdefault(cell, []).append(name)
    return cells
