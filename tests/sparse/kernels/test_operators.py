"""The operators equal those of torch, on any memory layout."""

import pytest
import torch

from epymarl_mast import targets

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)

SHAPES = [(1, 1, 1, 1), (3, 5, 2, 6), (2, 33, 5, 17), (4, 7, 8, 14)]


def values_and_available(shape, kind=torch.int32):
    available = (torch.rand(shape) < 0.6).to(kind)
    available[0, 0, 0] = 0
    available[-1, -1, -1] = 1
    return torch.randn(shape), torch.randn(shape), available


@pytest.mark.parametrize("kind", [torch.int32, torch.int64, torch.float32, torch.bool], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_greedy_values(shape, kind):
    values, chooser, available = values_and_available(shape, kind)
    best = chooser.masked_fill(available == 0, -9999999).argmax(3, keepdim=True)
    expected = values.masked_fill(available == 0, -9999999).gather(3, best).squeeze(3)

    assert torch.equal(kernels.greedy_values(values, chooser, available), expected)


def test_of_equal_actions_the_first_is_greedy():
    values = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    available = torch.tensor([[[[0, 1, 1]]]], dtype=torch.int32)

    assert kernels.greedy_values(values, torch.zeros(1, 1, 1, 3), available).item() == 2.0


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FC00001, -0x3FFFFF], ids=["plain", "payload", "-"])
def test_nan_stays_nan(at, bits):
    q = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    q.view(torch.int32)[..., at] = bits
    available = torch.ones(1, 1, 1, 3, dtype=torch.int32)
    values = torch.tensor([[[[10.0, 20.0, 30.0]]]])

    assert kernels.soft_mellowmax(q, available, 1.0, 10.0).isnan().all()
    assert kernels.greedy_values(q, q, available).isnan().all()
    assert kernels.greedy_values(values, q, available).item() == values[..., at].item()
    available[..., at] = 0
    assert kernels.soft_mellowmax(q, available, 1.0, 10.0).isfinite().all()
    assert kernels.greedy_values(q, q, available).isfinite().all()


@pytest.mark.parametrize(
    "row", [(torch.inf, 1.0), (1.0, torch.inf), (-torch.inf, -torch.inf), (-torch.inf, 1.0)]
)
def test_infinite_values_are_as_in_torch(row):
    q, available = torch.tensor([[[row]]]), torch.ones(1, 1, 1, 2, dtype=torch.int32)
    expected = targets.soft_mellowmax(q, available, 1.0, 10.0)

    torch.testing.assert_close(
        kernels.soft_mellowmax(q, available, 1.0, 10.0), expected, equal_nan=True
    )


def test_wrong_shapes_are_errors():
    q, available = torch.zeros(2, 3, 4, 5), torch.ones(2, 3, 4, 5, dtype=torch.int32)

    with pytest.raises(ValueError, match=r"flags of actions of the shape \(2, 3, 4, 5\)"):
        kernels.soft_mellowmax(q, available[:1], 1.0, 10.0)
    with pytest.raises(ValueError, match=r"flags of actions of the shape \(2, 3, 4, 5\)"):
        kernels.greedy_values(q, q, available[:, :2])
    with pytest.raises(ValueError, match=r"choosing values of the shape \(2, 3, 4, 5\)"):
        kernels.greedy_values(q, q[..., :4], available)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("alpha", "omega"), [(1.0, 10.0), (0.0, 5.0), (10.0, 0.05)])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e6])
def test_soft_mellowmax(shape, alpha, omega, scale):
    q, _, available = values_and_available(shape)
    q *= scale
    q[available == 0] = torch.inf  # never read
    expected = targets.soft_mellowmax(q.double().nan_to_num(posinf=0), available, alpha, omega)

    ours = kernels.soft_mellowmax(q, available, alpha, omega)

    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-4 * max(1, scale * 1e-2))


def test_slices_in_time():
    values, chooser, available = values_and_available((3, 9, 2, 6))
    cut = [tensor[:, 1:] for tensor in (values, chooser, available)]
    whole = [tensor.contiguous() for tensor in cut]

    assert torch.equal(kernels.greedy_values(*cut), kernels.greedy_values(*whole))
    assert torch.equal(
        kernels.soft_mellowmax(cut[0], cut[2], 1.0, 10.0),
        kernels.soft_mellowmax(whole[0], whole[2], 1.0, 10.0),
    )
