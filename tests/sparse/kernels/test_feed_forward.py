"""The unrestricted mixing network equals the plain one, forward and backward, on kept weights."""

from types import SimpleNamespace

import pytest
import torch

from epymarl_mast.learners.central import FeedForwardMixer

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)


def make(agents, embed, state, width):
    args = SimpleNamespace(
        state_shape=state, n_agents=agents, central_action_embed=embed,
        central_mixing_embed_dim=width,
    )  # fmt: skip
    return FeedForwardMixer(args)


def compress(mixer, masks):
    patterns = {name: kernels.SparseMatrix.from_mask(mask) for name, mask in masks.items()}
    return kernels.SparseFeedForward(dict(mixer.named_parameters()), patterns)


def compare(mixer, masks, utilities, state, assert_close):
    names = [name for name, _ in mixer.named_parameters()]
    wanted = [utilities, *mixer.parameters()]
    expected = mixer(utilities, state)
    outer = torch.randn_like(expected)
    references = torch.autograd.grad(expected, wanted, outer)

    y = compress(mixer, masks)(utilities.flatten(2), state)
    gradients = torch.autograd.grad(y, wanted, outer)

    assert_close(y, expected)
    # One number of gradient (the last biases) is a sum that may cancel: measured by its addends.
    largest = dict.fromkeys(("net.6.bias", "V.2.bias"), float(outer.abs().sum()))
    for name, ours, reference in zip(["utilities", *names], gradients, references, strict=True):
        if (mask := masks.get(name)) is not None:
            assert not ours[~mask].any(), f"{name} has a gradient outside its mask"
            reference = reference * mask
        assert_close(ours, reference, scale=largest.get(name))


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1, 1, 1, 8),
        (2, 32, 2, 1, 12, 20),
        (3, 5, 2, 1, 30, 32),
        (4, 33, 8, 3, 216, 64),
        (2, 9, 27, 1, 50, 19),
    ],
    ids=str,
)
@pytest.mark.parametrize("density", [0, 0.02, 0.1, 1])
def test_equals_the_plain_network(shape, density, sparsify, assert_close):
    batch, time, agents, embed, state, width = shape
    mixer = make(agents, embed, state, width)
    masks = sparsify(mixer, density)
    utilities = torch.randn(batch, time, agents, embed, requires_grad=True)

    compare(mixer, masks, utilities, torch.randn(batch, time, state), assert_close)


def test_empty_rows_and_columns(sparsify, assert_close):
    def edit(mask):
        if len(mask) > 1:
            mask[1::2] = False
        mask[:, 1::3] = False

    mixer = make(3, 1, 40, 32)
    masks = sparsify(mixer, 0.5, edit)
    utilities = torch.randn(7, 11, 3, 1, requires_grad=True)

    compare(mixer, masks, utilities, torch.randn(7, 11, 40), assert_close)


def test_a_layer_without_a_mask_is_dense(sparsify, assert_close):
    mixer = make(3, 1, 20, 32)
    masks = sparsify(mixer, 0.1)
    mixer.net[2].reset_parameters()
    del masks["net.2.weight"]
    utilities = torch.randn(4, 16, 3, 1, requires_grad=True)

    compare(mixer, masks, utilities, torch.randn(4, 16, 20), assert_close)


def test_many_kept_weights_are_summed_the_other_way(sparsify, assert_close):
    mixer = make(10, 1, 300, 128)
    masks = sparsify(mixer, 0.6)
    assert not compress(mixer, masks)._network.spread
    utilities = torch.randn(4, 20, 10, 1, requires_grad=True)

    compare(mixer, masks, utilities, torch.randn(4, 20, 300), assert_close)


def test_slices_in_time(sparsify, assert_close):
    mixer = make(3, 1, 20, 16)
    masks = sparsify(mixer, 0.3)
    utilities, state = torch.randn(4, 9, 3, 1), torch.randn(4, 9, 20)

    compare(mixer, masks, utilities[:, 1:].requires_grad_(), state[:, 1:], assert_close)


def test_without_gradients_nothing_is_saved():
    mixer = make(3, 1, 20, 16)
    utilities, state = torch.randn(4, 9, 3), torch.randn(4, 9, 20)
    expected = compress(mixer, {})(utilities, state)

    with torch.no_grad():
        y = compress(mixer, {})(utilities, state)

    assert y.grad_fn is None
    assert torch.equal(y, expected)


def test_wrong_shapes_are_errors():
    ours = compress(make(2, 1, 30, 32), {})

    with pytest.raises(ValueError, match=r"states of the shape \(3, 4, 30\) are needed"):
        ours(torch.zeros(3, 4, 2), torch.zeros(3, 4, 29))
    with pytest.raises(ValueError, match=r"states of the shape \(3, 4, 30\) are needed"):
        ours(torch.zeros(3, 4, 2), torch.zeros(3, 5, 30))
    with pytest.raises(ValueError, match=r"utilities of the shape \(3, 4, 2\) are needed"):
        ours(torch.zeros(3, 4, 3), torch.zeros(3, 4, 30))


@pytest.mark.parametrize("changed", ["weight", "utilities", "state"])
def test_what_changed_since_is_an_error(changed):
    mixer = make(2, 1, 30, 32)
    utilities, state = torch.zeros(1, 2, 2), torch.zeros(1, 2, 30)
    mixed = compress(mixer, {})(utilities, state)
    with torch.no_grad():
        {"weight": mixer.V[0].bias, "utilities": utilities, "state": state}[changed].add_(1.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        mixed.sum().backward()
