"""EPyMARL's RNNAgent over a whole episode batch.

Legend: B episodes, T steps, N agents, I inputs, H hidden units, U actions. R = LANES rows of a
block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from epymarl_mast.sparse.kernels.host import call, kernels
from epymarl_mast.sparse.kernels.lanes import Lanes, agent_lanes, flat, numbers, rounded
from epymarl_mast.sparse.kernels.patterns import (
    LANES,
    Floats,
    Gradients,
    JoinedMatrix,
    SparseMatrix,
    gru_cell,
    matrix_of,
    stacked,
)
from epymarl_mast.sparse.kernels.workspace import Lease, Scratch

_GRU = ("rnn.weight_ih", "rnn.weight_hh", "rnn.bias_ih", "rnn.bias_hh")
_LINEAR = ("rnn.weight", "rnn.bias")


def agent_unroll(
    inputs: Tensor,
    weights: Mapping[str, Tensor],
    patterns: Mapping[str, SparseMatrix],
    lengths: Tensor | None = None,
) -> Tensor:
    """Values of all actions at all steps, from hidden states that start at 0.

    Args:
        inputs: (B, T, N, I) float32; no gradient is computed for it.
        weights: one network's parameters by their names in RNNAgent (``fc1.weight``,
            ``rnn.weight_ih``, …). With a ``rnn.weight_ih`` the network is recurrent.
        patterns: the kept weights of each matrix, by the same names; a matrix that is missing
            here is dense. Absent weights are never read, and their gradient is 0.
        lengths: (B,) int, steps that matter of each episode. Values of later steps are 0 or as
            computed, and a gradient given for them is ignored or not, depending on the block.

    Returns:
        (B, T, N, U) float32.
    """
    core = _GRU if _GRU[0] in weights else _LINEAR
    names = ("fc1.weight", "fc1.bias", *core, "fc2.weight", "fc2.bias")
    tensors = [weights[name] for name in names]
    first, *middle, last = (
        matrix_of(name, weights, patterns) for name in names if weights[name].dim() == 2
    )
    recurrent = core == _GRU
    joined = gru_cell(*middle) if recurrent else stacked(*middle)
    network = _Network(stacked(first), joined, stacked(last), recurrent)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _AgentUnroll.apply(inputs, lengths, network, *tensors)  # type: ignore[no-untyped-call, no-any-return]
    return _forward(inputs, lengths, network, tensors, save=False)[0]


class _Network(NamedTuple):
    """The matrices of an agent network; ``core`` is (4H, 2H) of a GRU or (H, H)."""

    first: JoinedMatrix
    core: JoinedMatrix
    last: JoinedMatrix
    recurrent: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(I, H, U)."""
        hidden, inputs = self.first.shape
        return inputs, hidden, self.last.shape[0]


class _Saved(NamedTuple):
    """What the backward needs of a forward."""

    lanes: Lanes
    zh: Lease
    gates: Lease
    kept: tuple[Floats, Floats, Floats]


def _forward(
    inputs: Tensor, lengths: Tensor | None, network: _Network, tensors: list[Tensor], save: bool
) -> tuple[Tensor, _Saved]:
    batch, time, agents, _ = inputs.shape
    n_inputs, hidden, n_outputs = network.sizes
    if inputs.shape[-1] != n_inputs:
        raise ValueError(f"{inputs.shape[-1]} inputs, but the network has {n_inputs}")
    lanes = agent_lanes(batch, time, agents, lengths)
    first_weight, first_bias, *core, last_weight, last_bias = tensors
    kept_in = network.first.gather([first_weight])
    kept_core = network.core.gather(core[: len(core) // 2])
    kept_out = network.last.gather([last_weight])
    new = inputs.new_empty if lengths is None else inputs.new_zeros
    outputs = new((batch, time, agents, n_outputs))

    slots = int(lanes.steps.sum()) + len(lanes.steps) if save else 2
    zh = Lease(slots * 2 * hidden * LANES)
    gates = Lease(slots * 4 * hidden * LANES if save and network.recurrent else 0)
    scratch = Scratch(rounded(n_inputs) * LANES, rounded(n_outputs) * LANES)
    source, (by_batch, by_time, by_agent, _) = flat(inputs)
    target, (out_batch, out_time, out_agent, _) = flat(outputs)
    call(
        kernels().agent_forward,
        source, lanes.offsets(by_batch, by_agent), by_time, lanes.steps,
        network.first.csr(kept_in), numbers(first_bias), network.recurrent,
        network.core.csr(kept_core),
        _core_bias(core[len(core) // 2 :], hidden), network.last.csr(kept_out), numbers(last_bias),
        target, lanes.offsets(out_batch, out_agent), out_time, network.sizes, save,
        zh.array, gates.array, *scratch.arrays,
    )  # fmt: skip
    return outputs, _Saved(lanes, zh, gates, (kept_in, kept_core, kept_out))


class _AgentUnroll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, lengths: Tensor | None, network: _Network, *tensors: Tensor
    ) -> Tensor:
        outputs, ctx.saved = _forward(inputs, lengths, network, list(tensors), save=True)
        ctx.network = network
        ctx.save_for_backward(inputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> Any:
        (inputs,) = ctx.saved_tensors
        network: _Network = ctx.network
        saved: _Saved = ctx.saved
        first, core, last, recurrent = network
        n_inputs, hidden, n_outputs = network.sizes
        lanes = saved.lanes
        source, (by_batch, by_time, by_agent, _) = flat(inputs)
        target, (out_batch, out_time, out_agent, _) = flat(d_outputs)
        kept_in, kept_core, kept_out = saved.kept
        d = Gradients((first, core, last))
        # Steps whose gradients are summed in registers: more pays where sums are costly.
        tile = 1 if d.spread else 2
        features = (rounded(n_inputs), rounded(n_outputs), hidden, core.shape[0])
        scratch = Scratch(*(tile * LANES * n for n in features), hidden * LANES)
        call(
            kernels().agent_backward,
            source, lanes.offsets(by_batch, by_agent), by_time, lanes.steps, lanes.in_last,
            first.csr(kept_in), recurrent, core.csr(kept_core), core.transposed(kept_core),
            last.csr(kept_out), last.transposed(kept_out),
            target, lanes.offsets(out_batch, out_agent), out_time, network.sizes, tile, d.spread,
            saved.zh.array, saved.gates.array, *scratch.arrays,
            *(array for layer in zip(d.values, d.biases, strict=True) for array in layer),
        )  # fmt: skip
        (d_first, d_first_bias), (d_core, d_core_bias), (d_last, d_last_bias) = map(
            d.sums, range(3)
        )
        return (
            None, None, None,
            *first.scatter(d_first), torch.from_numpy(d_first_bias),
            *core.scatter(d_core), *_core_bias_gradients(d_core_bias, hidden, recurrent),
            *last.scatter(d_last), torch.from_numpy(d_last_bias),
        )  # fmt: skip


def _core_bias(biases: list[Tensor], hidden: int) -> Floats:
    """A GRU's biases as its joined matrix has its rows; gates r and u need only their sum."""
    if len(biases) == 1:
        return numbers(biases[0])
    from_input, from_hidden = (numbers(bias) for bias in biases)
    apart = 2 * hidden
    both = from_input[:apart] + from_hidden[:apart]
    return np.concatenate([both, from_input[apart:], from_hidden[apart:]])


def _core_bias_gradients(gradient: Floats, hidden: int, recurrent: bool) -> list[Tensor]:
    whole = torch.from_numpy(gradient)
    if not recurrent:
        return [whole]
    return [whole[: 3 * hidden].clone(), torch.cat([whole[: 2 * hidden], whole[3 * hidden :]])]
