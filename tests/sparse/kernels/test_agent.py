"""The unroll equals the plain network, forward and backward, on kept weights."""

import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)


class ReferenceAgent(nn.Module):
    """RNNAgent, unrolled step by step from hidden states 0."""

    def __init__(self, inputs, hidden, actions, recurrent=True):
        super().__init__()
        self.hidden = hidden
        self.fc1 = nn.Linear(inputs, hidden)
        self.rnn = nn.GRUCell(hidden, hidden) if recurrent else nn.Linear(hidden, hidden)
        self.fc2 = nn.Linear(hidden, actions)

    def forward(self, inputs):
        batch, time, agents, _ = inputs.shape
        h, out = inputs.new_zeros(batch * agents, self.hidden), []
        for t in range(time):
            z = F.relu(self.fc1(inputs[:, t].reshape(batch * agents, -1)))
            h = self.rnn(z, h) if isinstance(self.rnn, nn.GRUCell) else F.relu(self.rnn(z))
            out.append(self.fc2(h).view(batch, agents, -1))
        return torch.stack(out, dim=1)


def compare(agent, masks, inputs, assert_close, lengths=None):
    weights = dict(agent.named_parameters())
    patterns = {n: kernels.SparseMatrix.from_mask(m) for n, m in masks.items()}
    expected = agent(inputs)
    outer = torch.randn_like(expected)
    if lengths is not None:
        within = torch.arange(inputs.shape[1]) < lengths[:, None]
        outer = outer * within[:, :, None, None]
    expected_gradients = torch.autograd.grad(expected, list(weights.values()), outer)

    q = kernels.agent_unroll(inputs, weights, patterns, lengths)
    gradients = torch.autograd.grad(q, list(weights.values()), outer)

    if lengths is not None:
        expected, q = (values * within[:, :, None, None] for values in (expected, q))
    assert_close(q, expected)
    for name, ours, reference in zip(weights, gradients, expected_gradients, strict=True):
        mask = masks.get(name)
        if mask is not None:
            assert not ours[~mask].any(), f"{name} has a gradient outside its mask"
            reference = reference * mask
        assert_close(ours, reference)


SHAPES = [  # B, T, N, I, H, U
    (1, 1, 1, 1, 16, 1),
    (3, 5, 2, 7, 16, 5),
    (5, 9, 13, 31, 24, 14),
    (2, 4, 17, 33, 19, 17),
    (1, 6, 70, 16, 32, 6),
    (8, 3, 8, 150, 64, 14),
    (33, 7, 2, 23, 64, 6),
    (1, 3, 3, 20, 257, 3),
]


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("density", [0, 0.02, 0.1, 0.5, 1])
def test_equals_the_plain_network(recurrent, shape, density, sparsify, assert_close):
    *batch, inputs, hidden, actions = shape
    agent = ReferenceAgent(inputs, hidden, actions, recurrent)
    masks = sparsify(agent, density)

    compare(agent, masks, torch.randn(*batch, inputs), assert_close)


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
def test_empty_rows_and_columns(recurrent, sparsify, assert_close):
    def edit(mask):
        mask[::2] = False
        mask[:, 1::3] = False

    agent = ReferenceAgent(21, 40, 7, recurrent)
    masks = sparsify(agent, 0.5, edit)

    compare(agent, masks, torch.randn(4, 5, 3, 21), assert_close)


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
def test_nothing_kept_at_all(recurrent, sparsify, assert_close):
    agent = ReferenceAgent(21, 40, 7, recurrent)
    masks = sparsify(agent, 0.5, lambda mask: mask.fill_(False))

    compare(agent, masks, torch.randn(4, 5, 3, 21), assert_close)


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
@pytest.mark.parametrize("agents", [1, 3, 70])
def test_lengths(recurrent, agents, sparsify, assert_close):
    agent = ReferenceAgent(12, 32, 5, recurrent)
    masks = sparsify(agent, 0.2)
    lengths = torch.tensor([0, 3, 11, 1, 7] * 20)

    compare(agent, masks, torch.randn(100, 11, agents, 12), assert_close, lengths)


def test_steps_beyond_a_blocks_longest_episode_are_zero(sparsify):
    agent = ReferenceAgent(12, 32, 5)
    sparsify(agent, 0.2)
    lengths = torch.tensor([4] * 64)

    q = kernels.agent_unroll(torch.randn(64, 9, 1, 12), dict(agent.named_parameters()), {}, lengths)

    assert q[:, :4].all()
    assert not q[:, 4:].any()


def test_many_kept_weights_are_summed_the_other_way(sparsify, assert_close):
    agent = ReferenceAgent(50, 128, 9)  # 105 000 weights
    masks = sparsify(agent, 0.6)

    compare(agent, masks, torch.randn(5, 10, 3, 50), assert_close)


def test_matrices_without_a_pattern_are_dense(assert_close):
    agent = ReferenceAgent(9, 16, 4)

    compare(agent, {}, torch.randn(3, 4, 2, 9), assert_close)


def test_one_agents_slice_of_the_inputs(sparsify, assert_close):
    agent = ReferenceAgent(9, 16, 4)
    masks = sparsify(agent, 0.3)

    compare(agent, masks, torch.randn(3, 6, 5, 9)[:, :, 2:3], assert_close)


def test_a_gradient_that_is_one_number_everywhere(sparsify, assert_close):
    agent = ReferenceAgent(9, 16, 4)
    masks = sparsify(agent, 0.3)
    patterns = {n: kernels.SparseMatrix.from_mask(m) for n, m in masks.items()}
    inputs, parameters = torch.randn(3, 6, 5, 9), list(agent.parameters())
    expected = torch.autograd.grad(agent(inputs).sum(), parameters)

    q = kernels.agent_unroll(inputs, dict(agent.named_parameters()), patterns)
    gradients = torch.autograd.grad(q.sum(), parameters)

    for (name, _), ours, reference in zip(
        agent.named_parameters(), gradients, expected, strict=True
    ):
        assert_close(ours, reference * masks.get(name, True))


def test_without_gradients_nothing_is_saved():
    agent = ReferenceAgent(9, 16, 4)
    inputs, weights = torch.randn(3, 6, 5, 9), dict(agent.named_parameters())
    expected = kernels.agent_unroll(inputs, weights, {})

    with torch.no_grad():
        q = kernels.agent_unroll(inputs, weights, {})

    assert q.grad_fn is None
    assert torch.equal(q, expected)


def test_two_unrolls_at_once_do_not_share_memory(assert_close):
    agent = ReferenceAgent(9, 16, 4)
    weights = dict(agent.named_parameters())
    first, second = torch.randn(2, 3, 6, 5, 9)
    expected = torch.autograd.grad(agent(first).square().sum(), agent.fc1.weight)[0]

    one = kernels.agent_unroll(first, weights, {})
    other = kernels.agent_unroll(second, weights, {})
    gc.collect()

    assert_close(torch.autograd.grad(one.square().sum(), agent.fc1.weight)[0], expected)
    assert other.isfinite().all()


def test_nan_stays_nan():
    agent = ReferenceAgent(9, 16, 4)
    inputs = torch.zeros(1, 2, 2, 9)
    inputs[0, 0, 1] = torch.nan

    q = kernels.agent_unroll(inputs, dict(agent.named_parameters()), {})

    assert q[0, :, 1].isnan().all()
    assert q[0, :, 0].isfinite().all()


def test_wrong_shapes_and_types_are_errors():
    agent = ReferenceAgent(9, 16, 4)
    weights = dict(agent.named_parameters())
    pattern = kernels.SparseMatrix.from_mask(torch.ones(9, 16, dtype=torch.bool))

    with pytest.raises(ValueError, match="8 inputs"):
        kernels.agent_unroll(torch.zeros(1, 1, 1, 8), weights, {})
    with pytest.raises(ValueError, match="float32"):
        kernels.agent_unroll(torch.zeros(1, 1, 1, 9, dtype=torch.float64), weights, {})
    with pytest.raises(ValueError, match=r"fc1\.weight"):
        kernels.agent_unroll(torch.zeros(1, 1, 1, 9), weights, {"fc1.weight": pattern})
