"""The mixing network equals the plain one, forward and backward, on kept weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)


class ReferenceMixer(nn.Module):
    """QMixer."""

    def __init__(self, agents, state, embed=32, hypernet=None):
        super().__init__()
        self.agents, self.embed = agents, embed

        def weights(rows):
            if hypernet is None:
                return nn.Linear(state, rows)
            return nn.Sequential(nn.Linear(state, hypernet), nn.ReLU(), nn.Linear(hypernet, rows))

        self.hyper_w_1 = weights(embed * agents)
        self.hyper_w_final = weights(embed)
        self.hyper_b_1 = nn.Linear(state, embed)
        self.V = nn.Sequential(nn.Linear(state, embed), nn.ReLU(), nn.Linear(embed, 1))

    def forward(self, agent_values, state):
        batch, time, _ = agent_values.shape
        q, s = agent_values.reshape(-1, 1, self.agents), state.reshape(batch * time, -1)
        w_1 = self.hyper_w_1(s).abs().view(-1, self.agents, self.embed)
        hidden = F.elu(torch.bmm(q, w_1) + self.hyper_b_1(s).view(-1, 1, self.embed))
        w_final = self.hyper_w_final(s).abs().view(-1, self.embed, 1)
        y = torch.bmm(hidden, w_final) + self.V(s).view(-1, 1, 1)
        return y.view(batch, time, 1)


def compare(mixer, masks, batch, time, state, assert_close, lengths=None):
    weights = dict(mixer.named_parameters())
    patterns = {n: kernels.SparseMatrix.from_mask(m) for n, m in masks.items()}
    values = torch.randn(batch, time, mixer.agents, requires_grad=True)
    states = torch.randn(batch, time, state)
    wanted = [values, *weights.values()]
    expected, outer = mixer(values, states), torch.randn(batch, time, 1)
    if lengths is not None:
        within = (torch.arange(time) < lengths[:, None])[:, :, None]
        expected, outer = expected * within, outer * within
    expected_gradients = torch.autograd.grad(expected, wanted, outer)

    y = kernels.SparseMixer(weights, patterns)(values, states, lengths)
    gradients = torch.autograd.grad(y, wanted, outer)

    assert_close(y, expected)
    # One number of gradient (V's last bias) is a sum that may cancel: measured by its addends.
    largest = {"V.2.bias": float(outer.abs().sum())}
    for name, ours, reference in zip(
        ["agent_values", *weights], gradients, expected_gradients, strict=True
    ):
        mask = masks.get(name)
        if mask is not None:
            assert not ours[~mask].any(), f"{name} has a gradient outside its mask"
            reference = reference * mask
        assert_close(ours, reference, scale=largest.get(name))


@pytest.mark.parametrize("hypernet", [None, 24, 64], ids=["one layer", "two layers", "wide"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1, 8), (3, 5, 2, 30, 32), (4, 33, 8, 216, 32), (2, 9, 27, 50, 19)], ids=str
)
@pytest.mark.parametrize("density", [0, 0.02, 0.1, 1])
def test_equals_the_plain_network(hypernet, shape, density, sparsify, assert_close):
    batch, time, agents, state, embed = shape
    mixer = ReferenceMixer(agents, state, embed, hypernet)
    masks = sparsify(mixer, density)

    compare(mixer, masks, batch, time, state, assert_close)


@pytest.mark.parametrize("hypernet", [None, 24])
def test_empty_rows_and_columns(hypernet, sparsify, assert_close):
    def edit(mask):
        mask[1::2] = False
        mask[:, 1::3] = False

    mixer = ReferenceMixer(3, 40, 32, hypernet)
    masks = sparsify(mixer, 0.5, edit)

    compare(mixer, masks, 7, 11, 40, assert_close)


@pytest.mark.parametrize("lengths", [[0, 3, 11, 1, 7], [0, 0, 0, 0, 0], [11, 11, 11, 11, 11]])
def test_lengths(lengths, sparsify, assert_close):
    mixer = ReferenceMixer(3, 20, 16, 24)
    masks = sparsify(mixer, 0.2)

    compare(mixer, masks, 5, 11, 20, assert_close, torch.tensor(lengths))


def test_many_kept_weights_are_summed_the_other_way(sparsify, assert_close):
    mixer = ReferenceMixer(10, 300, 32, 64)
    masks = sparsify(mixer, 0.6)
    assert not kernels.SparseMixer(dict(mixer.named_parameters()), {}).network.spread

    compare(mixer, masks, 4, 20, 300, assert_close)


def test_slices_in_time():
    mixer = ReferenceMixer(3, 20, 16, 24)
    weights = dict(mixer.named_parameters())
    values, state = torch.randn(4, 9, 3), torch.randn(4, 9, 20)

    y = kernels.SparseMixer(weights, {})(values[:, 1:], state[:, 1:])

    torch.testing.assert_close(y, mixer(values[:, 1:], state[:, 1:]), rtol=1e-4, atol=1e-5)


def test_without_gradients_nothing_is_saved():
    mixer = ReferenceMixer(3, 20, 16, 24)
    values, state = torch.randn(4, 9, 3), torch.randn(4, 9, 20)
    expected = kernels.SparseMixer(dict(mixer.named_parameters()), {})(values, state)

    with torch.no_grad():
        y = kernels.SparseMixer(dict(mixer.named_parameters()), {})(values, state)

    assert y.grad_fn is None
    assert torch.equal(y, expected)


@pytest.mark.parametrize("hypernet", [None, 24], ids=["one layer", "two layers"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (4, 16, 8), (5, 13, 3)], ids=str)
def test_fit_is_the_mean_square_of_the_errors_and_its_gradient(
    hypernet, shape, sparsify, assert_close
):
    batch, time, agents = shape
    mixer = ReferenceMixer(agents, 30, 32, hypernet)
    masks = sparsify(mixer, 0.2)
    q_values = torch.randn(batch, time + 1, agents, 6, requires_grad=True)
    actions = torch.randint(6, (batch, time, agents, 1))
    state, target = torch.randn(batch, time + 1, 30)[:, 1:], torch.randn(batch, time, 1)
    mask = torch.ones(batch, time, 1)
    mask[-1, time // 2 + 1 :] = 0
    weights = dict(mixer.named_parameters())
    taken = q_values[:, :-1].gather(3, actions).squeeze(3)
    errors = (mixer(taken, state) - target) * mask
    loss = (errors**2).sum() / mask.sum()
    expected = torch.autograd.grad(loss, [q_values, *weights.values()])

    patterns = {n: kernels.SparseMatrix.from_mask(m) for n, m in masks.items()}
    ours = kernels.SparseMixer(weights, patterns)
    fit = kernels.fit(ours, q_values, actions, state, target, mask)

    assert_close(fit.errors, errors)
    assert_close((fit.values - target) * mask, errors)
    assert_close(fit.loss, loss)
    assert_close(fit.d_q_values, expected[0])
    for (name, weight), reference in zip(weights.items(), expected[1:], strict=True):
        reference = reference * masks.get(name, 1)
        assert_close(weight.grad, reference, scale=None if name != "V.2.bias" else 1.0)


@pytest.mark.parametrize("hypernet", [None, 24], ids=["one layer", "two layers"])
def test_wrong_shapes_are_errors(hypernet):
    mixer = ReferenceMixer(2, 30, 32, hypernet)
    ours = kernels.SparseMixer(dict(mixer.named_parameters()), {})
    state = torch.zeros(3, 4, 30)
    q_values, actions = torch.zeros(3, 5, 2, 6), torch.zeros(3, 4, 2, 1, dtype=torch.int64)
    target = torch.zeros(3, 4, 1)

    for wrong in (torch.zeros(3, 4, 29), torch.zeros(3, 5, 30), torch.zeros(2, 4, 30)):
        message = rf"states of the shape \(3, 4, 30\) are needed, not \({wrong.shape[0]}"
        with pytest.raises(ValueError, match=message):
            ours(torch.zeros(3, 4, 2), wrong)
        with pytest.raises(ValueError, match=message):
            ours.of_actions(q_values, actions, wrong)
        with pytest.raises(ValueError, match=message):
            kernels.fit(ours, q_values, actions, wrong, target, target)
    with pytest.raises(ValueError, match=r"agents' values of the shape \(3, 4, 2\)"):
        ours(torch.zeros(3, 4, 3), state)
    with pytest.raises(ValueError, match="values of 3 agents, not 2"):
        ours.of_actions(torch.zeros(3, 5, 3, 6), actions, state)
    with pytest.raises(ValueError, match="actions of the shape"):
        ours.of_actions(q_values[:, :3], actions, state)
    with pytest.raises(ValueError, match="targets of the shape"):
        kernels.fit(ours, q_values, actions, state, target[:1], target)
    with pytest.raises(ValueError, match="masks of the shape"):
        kernels.fit(ours, q_values, actions, state, target, target[:, :1])


def test_weights_that_changed_since_are_an_error():
    mixer = ReferenceMixer(2, 30, 32)
    ours = kernels.SparseMixer(dict(mixer.named_parameters()), {})
    mixed = ours(torch.zeros(1, 2, 2), torch.zeros(1, 2, 30))
    with torch.no_grad():
        mixer.hyper_b_1.bias.mul_(2.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        mixed.sum().backward()
