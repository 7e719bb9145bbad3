"""The unroll equals the plain network, forward and backward, on kept weights."""

import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)


def unroll(weights, patterns, inputs, lengths=None):
    return kernels.SparseAgent(weights, patterns)(kernels.AgentInputs(inputs), lengths)


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

    q = unroll(weights, patterns, inputs, lengths)
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

    q = unroll(dict(agent.named_parameters()), {}, torch.randn(64, 9, 1, 12), lengths)

    assert q[:, :4].all()
    assert not q[:, 4:].any()


def test_many_kept_weights_are_summed_the_other_way(sparsify, assert_close):
    agent = ReferenceAgent(50, 128, 9)  # 105 000 weights
    masks = sparsify(agent, 0.6)
    assert not kernels.SparseAgent(dict(agent.named_parameters()), {}).network.spread

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

    q = unroll(dict(agent.named_parameters()), patterns, inputs)
    gradients = torch.autograd.grad(q.sum(), parameters)

    for (name, _), ours, reference in zip(
        agent.named_parameters(), gradients, expected, strict=True
    ):
        assert_close(ours, reference * masks.get(name, True))


def test_without_gradients_nothing_is_saved():
    agent = ReferenceAgent(9, 16, 4)
    inputs, weights = torch.randn(3, 6, 5, 9), dict(agent.named_parameters())
    expected = unroll(weights, {}, inputs)

    with torch.no_grad():
        q = unroll(weights, {}, inputs)

    assert q.grad_fn is None
    assert torch.equal(q, expected)


def test_two_unrolls_at_once_do_not_share_memory(assert_close):
    agent = ReferenceAgent(9, 16, 4)
    weights = dict(agent.named_parameters())
    first, second = torch.randn(2, 3, 6, 5, 9)
    expected = torch.autograd.grad(agent(first).square().sum(), agent.fc1.weight)[0]

    one = unroll(weights, {}, first)
    other = unroll(weights, {}, second)
    gc.collect()

    assert_close(torch.autograd.grad(one.square().sum(), agent.fc1.weight)[0], expected)
    assert other.isfinite().all()


def test_nan_stays_nan():
    agent = ReferenceAgent(9, 16, 4)
    inputs = torch.zeros(1, 2, 2, 9)
    inputs[0, 0, 1] = torch.nan

    q = unroll(dict(agent.named_parameters()), {}, inputs)

    assert q[0, :, 1].isnan().all()
    assert q[0, :, 0].isfinite().all()


def test_wrong_shapes_and_types_are_errors():
    agent = ReferenceAgent(9, 16, 4)
    weights = dict(agent.named_parameters())
    pattern = kernels.SparseMatrix.from_mask(torch.ones(9, 16, dtype=torch.bool))

    with pytest.raises(ValueError, match="8 inputs"):
        unroll(weights, {}, torch.zeros(1, 1, 1, 8))
    with pytest.raises(ValueError, match="float32"):
        unroll(weights, {}, torch.zeros(1, 1, 1, 9, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"fc1\.weight"):
        unroll(weights, {"fc1.weight": pattern}, torch.zeros(1, 1, 1, 9))


def test_inputs_that_do_not_fit_each_other_are_errors():
    observations = torch.zeros(2, 5, 3, 9)

    with pytest.raises(ValueError, match=r"last actions \(2, 4, 3, 6\) do not fit"):
        kernels.AgentInputs(observations, torch.zeros(2, 4, 3, 6))
    with pytest.raises(ValueError, match="2 ids are not enough for 3 agents from 0"):
        kernels.AgentInputs(observations, ids=2)
    with pytest.raises(ValueError, match="5 ids are not enough for 3 agents from 3"):
        kernels.AgentInputs(observations, ids=5, first_id=3)


@pytest.mark.parametrize("backward", [kernels.backward, torch.Tensor.backward])
def test_weights_that_changed_since_are_an_error(backward):
    agent = ReferenceAgent(9, 16, 4)
    q = unroll(dict(agent.named_parameters()), {}, torch.randn(2, 5, 3, 9))
    with torch.no_grad():
        agent.fc2.weight.mul_(-3.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        backward(q, torch.ones_like(q))


@pytest.mark.parametrize("sizes", [(9, 4), (17, 17), (128, 14), (1, 1)], ids=str)
def test_inputs_in_pieces_are_the_same_as_in_one(sizes, sparsify):
    size, actions = sizes
    agent = ReferenceAgent(size + actions + 5, 16, actions)
    weights, last = dict(agent.named_parameters()), torch.randn(3, 6, 5, actions)
    sparsify(agent, 0.4)
    pieces = kernels.AgentInputs(torch.randn(3, 6, 5, size), last, ids=5)
    outer = torch.randn(3, 6, 5, actions)
    network = kernels.SparseAgent(weights, {})

    whole = network(kernels.AgentInputs(pieces.dense()))
    q = network(pieces)
    one = network(pieces.of_agent(3))

    assert torch.equal(q, whole)
    assert torch.equal(one, whole[:, :, 3:4])
    ours = torch.autograd.grad(q, list(weights.values()), outer)
    for gradient, expected in zip(
        ours, torch.autograd.grad(whole, list(weights.values()), outer), strict=True
    ):
        assert torch.equal(gradient, expected)


def scattered(whole, store_agents=5):
    """Episodes of a batch in two tensors: one longer, one with others between them."""
    batch, time, _, features = whole.shape
    first = torch.randn(batch - 3, time + 2, 5, features)
    store = torch.randn(9, time + 4, store_agents, features)[:, :, :5]
    first[:, :time] = whole[:-3]
    store[[7, 0, 4], :time] = whole[-3:]
    parts = [(first, torch.arange(batch - 3)), (store, torch.tensor([7, 0, 4]))]
    return kernels.Scattered(parts, time, whole.clone)  # which nothing else keeps


@pytest.mark.parametrize("store_agents", [5, 6], ids=["in place", "other strides"])
@pytest.mark.parametrize("batch", [4, 15])
def test_episodes_in_several_tensors_are_read_in_place(sparsify, batch, store_agents):
    agent = ReferenceAgent(9 + 4 + 5, 16, 4)
    sparsify(agent, 0.4)
    weights = list(agent.parameters())
    network = kernels.SparseAgent(dict(agent.named_parameters()), {})
    pieces = torch.randn(batch, 6, 5, 9), torch.randn(batch, 6, 5, 4)
    outer = torch.randn(batch, 6, 5, 4)
    whole = kernels.AgentInputs(*pieces, ids=5)

    inputs = kernels.AgentInputs(*(scattered(p, store_agents) for p in pieces), ids=5)

    expected, ours = network(whole), network(inputs)
    assert torch.equal(ours, expected)
    assert torch.equal(network(inputs.of_agent(3)), network(whole.of_agent(3)))
    assert torch.equal(inputs.dense(), whole.dense())
    for pair in zip(
        *(torch.autograd.grad(q, weights, outer) for q in (ours, expected)), strict=True
    ):
        assert torch.equal(*pair)


def test_an_agents_own_inputs_have_its_id_without_last_actions_too(sparsify):
    agent = ReferenceAgent(9 + 5, 16, 4)
    sparsify(agent, 0.4)
    network = kernels.SparseAgent(dict(agent.named_parameters()), {})
    inputs = kernels.AgentInputs(torch.randn(3, 6, 5, 9), ids=5)

    assert torch.equal(network(inputs.of_agent(3)), network(inputs)[:, :, 3:4])


@pytest.mark.parametrize(
    "move", [nn.Module.share_memory, lambda module: module.double().float()], ids=["share", "cast"]
)
def test_parameters_that_were_moved_are_followed(move):
    agent = ReferenceAgent(9, 16, 4)
    network = kernels.SparseAgent(dict(agent.named_parameters()), {})
    inputs = torch.randn(2, 3, 2, 9)
    move(agent)
    with torch.no_grad():
        agent.fc2.weight.mul_(2.0)

    torch.testing.assert_close(network(kernels.AgentInputs(inputs)), agent(inputs))


def test_inputs_have_the_action_of_the_step_before_and_the_id():
    observations, last = torch.randn(2, 3, 2, 1), torch.randn(2, 3, 2, 2)

    dense = kernels.AgentInputs(observations, last, ids=3, first_id=1).dense()

    assert torch.equal(dense[..., :1], observations)
    assert torch.equal(dense[:, 1:, :, 1:3], last[:, :-1])
    assert not dense[:, 0, :, 1:3].any()
    assert dense[1, 2, :, 3:].tolist() == [[0, 1, 0], [0, 0, 1]]


def test_parameters_keep_their_values_and_stay_in_step(sparsify):
    agent = ReferenceAgent(9, 16, 4)
    sparsify(agent, 0.4)
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    network = kernels.SparseAgent(dict(agent.named_parameters()), {})
    inputs = torch.randn(2, 3, 2, 9)

    assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())
    agent.load_state_dict({name: value * 0.5 for name, value in before.items()})

    torch.testing.assert_close(network(kernels.AgentInputs(inputs)), agent(inputs))


@pytest.mark.parametrize("further", [False, True], ids=["its values", "computed from them"])
def test_backward_adds_the_gradient_that_torch_adds(sparsify, further):
    agent = ReferenceAgent(9, 16, 4)
    masks = sparsify(agent, 0.4)
    weights = dict(agent.named_parameters())
    patterns = {name: kernels.SparseMatrix.from_mask(mask) for name, mask in masks.items()}
    network = kernels.SparseAgent(weights, patterns)
    values = network(kernels.AgentInputs(torch.randn(3, 6, 5, 9)))
    values, outer = (2 * values if further else values), torch.randn(3, 6, 5, 4)
    expected = torch.autograd.grad(values, list(weights.values()), outer, retain_graph=True)
    agent.fc2.bias.grad = torch.ones(4)

    kernels.backward(values, outer)

    for (name, weight), gradient in zip(weights.items(), expected, strict=True):
        assert torch.equal(weight.grad, gradient + (1 if name == "fc2.bias" else 0)), name
