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


def sparsify(module, density, generator, edit=None):
    """Mask a module's matrices; returns its weights and {name: mask}.

    density 0 is one kept weight; ``edit(mask)`` changes each mask before it is applied.
    """
    masks = {}
    for name, parameter in module.named_parameters():
        if parameter.dim() == 2:
            mask = torch.rand(parameter.shape, generator=generator) < density
            if density == 0:
                mask.view(-1)[mask.numel() // 2] = True
            if edit is not None:
                edit(mask)
            masks[name] = mask
            parameter.data *= mask
    return dict(module.named_parameters()), masks


def patterns_of(masks):
    return {name: kernels.SparseMatrix.from_mask(mask) for name, mask in masks.items()}


def assert_close(ours, reference, tolerance=2e-5):
    scale = max(float(reference.abs().max()), 1e-6) if reference.numel() else 1.0
    error = float((ours - reference).abs().max()) / scale if reference.numel() else 0.0
    assert ours.shape == reference.shape
    assert error <= tolerance, f"error {error:.2e} of the largest entry"
