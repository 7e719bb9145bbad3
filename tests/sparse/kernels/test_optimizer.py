"""The optimisers' steps equal those of torch, over many of them; their state is torch's."""

import copy
import math

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, RMSprop

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)

OPTIMIZERS = {
    "adam": lambda p: Adam(p, lr=5e-4, fused=True),
    "adam, decayed": lambda p: Adam(p, lr=1e-2, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1),
    "adamw": lambda p: AdamW(p, lr=1e-2, fused=True),
    "rmsprop": lambda p: RMSprop(p, lr=5e-4, alpha=0.99, eps=1e-5),
    "rmsprop, decayed": lambda p: RMSprop(p, lr=5e-3, weight_decay=0.1),
    "sgd": lambda p: SGD(p, lr=0.1, fused=True),
    "sgd, decayed": lambda p: SGD(p, lr=0.1, weight_decay=0.1),
}
WITHOUT_KERNEL = {
    "amsgrad": lambda p: Adam(p, lr=1e-2, amsgrad=True),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "centered": lambda p: RMSprop(p, lr=1e-2, centered=True),
}


def by_torch(optimizer):
    return optimizer.step


def parameters(generator):
    """Two tensors, one of a size that no vector width divides."""
    return [
        torch.nn.Parameter(torch.randn(n, generator=generator)) for n in (1, 1003)
    ]  # fmt: skip


def steps(make, step, count):
    generator = torch.Generator().manual_seed(1)
    tensors = parameters(generator)
    optimizer = make([{"params": tensors[:1]}, {"params": tensors[1:], "lr": 0.003}])
    step = step(optimizer)
    for _ in range(count):
        for tensor in tensors:
            tensor.grad = torch.randn(tensor.shape, generator=generator) * 10.0
            tensor.grad[500:600] = 0.0
        step()
    return tensors, optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_many_steps_equal_torch(name):
    ours, state = steps(OPTIMIZERS[name], kernels.OptimizerStep, 300)
    theirs, expected = steps(OPTIMIZERS[name], by_torch, 300)

    for mine, reference in zip(ours, theirs, strict=True):
        allowed = 2e-5 * reference.abs() + 2e-6
        if name == "rmsprop, decayed":  # those without gradients dither about 0, as rounding has it
            allowed[500:600] = 0.003
        assert ((mine - reference).abs() <= allowed).all()
        for key, value in expected.state[reference].items():
            torch.testing.assert_close(state.state[mine][key], value, rtol=1e-5, atol=1e-6)
    assert state.state_dict().keys() == expected.state_dict().keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_step_equals_torch_to_rounding(name):
    ours, _ = steps(OPTIMIZERS[name], kernels.OptimizerStep, 2)
    theirs, _ = steps(OPTIMIZERS[name], by_torch, 2)

    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=3e-7, atol=3e-8)


@pytest.mark.parametrize("name", WITHOUT_KERNEL)
def test_torch_steps_where_there_is_no_kernel(name):
    ours, _ = steps(WITHOUT_KERNEL[name], kernels.OptimizerStep, 5)
    theirs, _ = steps(WITHOUT_KERNEL[name], by_torch, 5)

    assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def test_torch_and_kernels_may_take_turns():
    turns = iter([True, False] * 10)

    def step(optimizer):
        own = kernels.OptimizerStep(optimizer)
        return lambda: own() if next(turns) else optimizer.step()

    ours, _ = steps(OPTIMIZERS["adam"], step, 20)
    theirs, _ = steps(OPTIMIZERS["adam"], by_torch, 20)

    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-6, atol=1e-7)


def test_a_parameter_without_a_gradient_is_left_alone():
    first, second = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    step = kernels.OptimizerStep(Adam([first, second], lr=0.1))
    for _ in range(2):
        first.grad = torch.ones(4)
        step()

    assert torch.equal(second, torch.ones(4))
    assert not torch.equal(first, torch.ones(4))


def test_a_loaded_state_is_taken_over():
    generator = torch.Generator().manual_seed(1)
    (first,), (second,) = ([torch.nn.Parameter(torch.ones(5))] for _ in range(2))
    ours, theirs = Adam([first], lr=0.1), Adam([second], lr=0.1)
    step = kernels.OptimizerStep(ours)
    for i in range(6):
        first.grad = second.grad = torch.randn(5, generator=generator)
        step()
        theirs.step()
        if i == 2:
            ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
            first.data = first.data.clone()  # elsewhere in memory

    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-7)
    assert ours.state[first]["step"] == 6


def test_gradient_norm():
    assert kernels.gradient_norm([torch.tensor([3.0]), torch.tensor([[0.0, 4.0]])]) == 5.0
    many = torch.full((1_000_003,), 0.1)
    assert kernels.gradient_norm([many]) == pytest.approx(0.1 * math.sqrt(1_000_003), rel=1e-7)
    assert math.isnan(kernels.gradient_norm([torch.tensor([1.0, math.nan])]))
    large = [torch.tensor([1e18]), torch.tensor([1e30])]
    assert kernels.gradient_norm(large[:1]) == pytest.approx(1e18)
    assert kernels.gradient_norm(large) == math.inf == torch.linalg.vector_norm(torch.cat(large))
