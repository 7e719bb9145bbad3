"""Targets, errors and their gradients equal those of torch, on any memory layout."""

from types import SimpleNamespace

import pytest
import torch

from epymarl_mast import targets
from epymarl_mast.learners.engines import HostEngine
from epymarl_mast.learners.sparse_engine import SparseEngine

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)

SHAPES = [(1, 1, 1), (3, 7, 1), (4, 50, 3), (1, 9, 5), (6, 2, 1)]
TORCH, OURS = HostEngine(), SparseEngine()


class Statistics:
    """A host's RunningMeanStd, by its definition."""

    def __init__(self, columns):
        self.mean, self.var, self.count = torch.zeros(columns), torch.ones(columns), 1e-4

    def update(self, x):
        x = x.reshape(-1, x.shape[-1])
        n, both = len(x), self.count + len(x)
        delta = x.mean(dim=0) - self.mean
        scatter = self.var * self.count + x.var(dim=0) * n + delta**2 * self.count * n / both
        self.mean, self.var, self.count = self.mean + delta * n / both, scatter / both, both


def episodes(shape, *, longer=0):
    """filled and terminated (B, T+1, 1): some end early, some of those by a terminal step."""
    batch, time, _ = shape
    filled = torch.zeros(batch, time + 1 + longer, 1, dtype=torch.int64)
    ended = torch.zeros(batch, time + 1 + longer, 1, dtype=torch.uint8)
    for episode in range(batch):
        steps = time - episode % (time + 1) if episode % 3 else time
        filled[episode, : steps + 1] = 1
        if episode % 2 and steps:
            ended[episode, steps - 1] = 1
    return filled[:, : time + 1], ended[:, : time + 1]


def transitions(shape):
    """Rewards, terminated, mask and next values, not a number where they are never read."""
    generator = torch.Generator().manual_seed(4)
    terminated, mask = TORCH.real_steps(*episodes(shape), as_host=False)
    rewards = torch.randn(*shape[:2], 1, generator=generator)
    values = torch.randn(shape[0], shape[1] + 1, shape[2], generator=generator)[:, 1:]
    values[(mask * (1 - terminated)).expand(shape) == 0] = torch.nan
    return rewards, terminated, mask, values


@pytest.mark.parametrize("as_host", [True, False])
@pytest.mark.parametrize("longer", [0, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_real_steps(shape, longer, as_host):
    fields = episodes(shape, longer=longer)

    ours = OURS.real_steps(*fields, as_host=as_host)

    assert all(map(torch.equal, ours, TORCH.real_steps(*fields, as_host=as_host)))


def test_real_steps_by_hand():
    """One episode ended by its task at step 1, one cut after step 1, one whole."""
    filled = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])[..., None]
    ended = torch.tensor([[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)[..., None]

    terminated, mask = OURS.real_steps(filled, ended, as_host=False)
    _, as_host = OURS.real_steps(filled, ended, as_host=True)

    assert terminated[..., 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert mask[..., 0].tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert as_host[..., 0].tolist() == [[1, 1, 0], [1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("kind", ["one_step", "td_lambda", "n_step"])
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("n", [1, 3, 60])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_returns(shape, kind, lam, n):
    step = transitions(shape)
    as_double = tuple(part.double() for part in step)
    expected = TORCH.returns(kind, as_double, 0.99, lam, n)

    ours = OURS.returns(kind, step, 0.99, lam, n)

    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=1e-5)


def test_returns_of_rewards_of_each_agent():
    rewards, *rest = transitions((4, 50, 3))
    rewards = torch.randn(4, 51, 3)[:, :-1]

    ours = OURS.returns("td_lambda", (rewards, *rest), 0.9, 0.5, 1)

    expected = targets.td_lambda(rewards, *rest, 0.9, 0.5)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_rewards_of_each_agent_for_one_value_are_as_in_torch():
    _, *rest = transitions((4, 50, 1))
    rewards = torch.randn(4, 51, 3)[:, :-1]

    for columns in (rewards, rewards[..., :1].expand(-1, -1, 3)):
        ours = OURS.returns("td_lambda", (columns, *rest), 0.9, 0.5, 1)
        expected = TORCH.returns("td_lambda", (columns, *rest), 0.9, 0.5, 1)
        torch.testing.assert_close(ours.expand_as(expected), expected, rtol=1e-5, atol=1e-5)


def test_double_precision_is_left_to_torch():
    step = tuple(part.double() for part in transitions((3, 7, 1)))
    assert OURS.returns("td_lambda", step, 0.9, 0.5, 1).dtype == torch.float64


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("columns", [1, 3])
def test_standardised_rewards(columns, masked):
    generator = torch.Generator().manual_seed(5)
    ours, theirs = Statistics(columns), Statistics(columns)
    _, mask = TORCH.real_steps(*episodes((5, 12, 1)), as_host=False)
    for i in range(4):
        rewards = torch.randn(5, 13, columns, generator=generator)[:, :-1] * (i + 1) + 100.0
        seen = mask if masked else None
        standard = OURS.standardise(rewards, seen, ours)
        expected = TORCH.standardise(rewards, seen, theirs)
        torch.testing.assert_close(standard, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.mean, theirs.mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.var, theirs.var, rtol=1e-4, atol=0)
    assert ours.count == pytest.approx(theirs.count)


def test_statistics_that_were_taken_before_stay_as_they_were():
    statistics = Statistics(1)
    before = SimpleNamespace(mean=statistics.mean, var=statistics.var)
    OURS.standardise(torch.ones(2, 3, 1), None, statistics)
    assert (before.mean.item(), before.var.item()) == (0.0, 1.0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_error_and_loss_with_their_gradients(shape):
    generator = torch.Generator().manual_seed(6)
    values = torch.randn(shape, generator=generator, requires_grad=True)
    target = torch.randn(shape, generator=generator)
    _, mask = TORCH.real_steps(*episodes(shape), as_host=False)

    def computed(engine):
        error = engine.masked_error(values, target, mask)
        loss = engine.mean_square(error, mask.expand_as(error))
        # Both have other uses too: what a loss is of, and what an algorithm adds to it.
        whole = 3.0 * loss + (error.abs() * 0.1).sum()
        return error, loss, *torch.autograd.grad(whole, values)

    for ours, expected in zip(computed(OURS), computed(TORCH), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 2, 6), (2, 33, 5, 17)], ids=str)
def test_values_of_actions_and_their_gradient(shape):
    batch, time, agents, n_actions = shape
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(shape, generator=generator, requires_grad=True)
    steps = max(1, time - 1)
    actions = torch.randint(n_actions, (batch, time, agents, 1), generator=generator)[:, :steps]
    expected = values[:, :steps].gather(3, actions).squeeze(3)

    ours = kernels.values_of_actions(values, actions)

    assert torch.equal(ours, expected)
    for outer in (torch.randn(ours.shape, generator=generator), torch.ones(1).expand(ours.shape)):
        both = [
            torch.autograd.grad(v, values, outer, retain_graph=True)[0] for v in (ours, expected)
        ]
        assert torch.equal(*both)


@pytest.mark.parametrize("wrong", [-1, 6])
def test_an_action_that_is_none_is_an_error(wrong):
    actions = torch.zeros(2, 3, 4, 1, dtype=torch.int64)
    actions[1, 2, 3] = wrong

    with pytest.raises(IndexError, match="an action that is none of those with a value"):
        kernels.values_of_actions(torch.zeros(2, 3, 4, 6), actions)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, wrong: kernels.masked_error(x, x, wrong),
        lambda x, wrong: kernels.masked_error(x, wrong, x[..., :1]),
        lambda x, wrong: kernels.mean_square(x, wrong),
        lambda x, wrong: kernels.standardise(x, wrong, Statistics(2)),
        lambda x, wrong: kernels.returns(wrong, x[..., :1], x[..., :1], x, 0.9),
        lambda x, wrong: kernels.returns(x, wrong, x[..., :1], x, 0.9),
        lambda x, wrong: kernels.returns(x, x[..., :1], wrong, x, 0.9),
        lambda x, wrong: kernels.real_steps(x[..., :1], wrong, as_host=True),
    ],
)
def test_wrong_shapes_are_errors(compute):
    with pytest.raises(ValueError, match=r"of the shape \(2, 3, .\) are needed, not \(1, 3, 1\)"):
        compute(torch.zeros(2, 3, 2), torch.zeros(1, 3, 1))
