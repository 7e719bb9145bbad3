import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def sparsify():
    """Masks a module's matrices; returns the masks by name.

    Density 0 is one kept weight; ``edit(mask)`` changes each mask before it is applied.
    """

    def apply(module, density, edit=None):
        masks = {}
        for name, parameter in module.named_parameters():
            if parameter.dim() == 2:
                mask = torch.rand(parameter.shape) < density
                if density == 0:
                    mask.view(-1)[mask.numel() // 2] = True
                if edit is not None:
                    edit(mask)
                masks[name] = mask
                parameter.data *= mask
        return masks

    return apply


@pytest.fixture
def assert_close():
    """Largest error at most 2e-5 of the reference's largest entry."""

    def check(ours, reference, scale=None):
        ours, reference = ours.detach(), reference.detach()
        assert ours.shape == reference.shape
        if scale is None:
            scale = float(reference.abs().max()) if reference.numel() else 0.0
        error = float((ours - reference).abs().max()) if reference.numel() else 0.0
        assert error <= 2e-5 * max(scale, 1e-6), f"error {error / max(scale, 1e-6):.2e} of largest"

    return check
