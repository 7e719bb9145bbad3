"""Decisions on kept weights equal those on whole matrices, step after step."""

import numpy as np
import pytest

from epymarl_mast.controllers.act_kernel import DenseDecision

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")
if not kernels.available():
    pytest.skip("the sparse kernels do not run here", allow_module_level=True)

SHAPES = [  # E, N, O, H, U
    (1, 1, 1, 16, 2),
    (1, 2, 15, 64, 6),
    (1, 8, 128, 64, 14),
    (1, 16, 9, 24, 5),
    (1, 17, 9, 19, 17),  # more rows than lanes
    (5, 7, 3, 33, 4),
    (40, 3, 4, 16, 3),
]


class Case:
    """Random networks and what their agents see."""

    def __init__(self, shape, density, *, recurrent=True, networks=1, inputs=2, first=None, seed=0):
        self.random = np.random.default_rng(seed)
        self.environments, self.agents, self.observed, units, self.actions = shape
        last_action = self.observed if inputs > 0 else None
        agent_id = self.observed + self.actions if inputs > 1 else None
        width = self.observed + self.actions * (inputs > 0) + self.agents * (inputs > 1)
        gates, first = 3 if recurrent else 1, units if first is None else first
        names = ("rnn.weight_ih", "rnn.weight_hh") if recurrent else ("rnn.weight",)
        shapes = {"fc1.weight": (first, width), "fc2.weight": (self.actions, units)}
        shapes |= {
            name: (gates * units, inputs_of)
            for name, inputs_of in zip(names, (first, units), strict=False)
        }
        self.networks = [self._network(shapes, density) for _ in range(networks)]
        self.sparse, self.dense = (
            kind(self.networks, self.agents, last_action=last_action, agent_id=agent_id)
            for kind in (kernels.SparseDecision, DenseDecision)
        )

    def _network(self, shapes, density):
        network = {}
        for name, shape in shapes.items():
            kept = self.random.random(shape) < density
            network[name] = (0.3 * self.random.standard_normal(shape) * kept).astype(np.float32)
            bias = self.random.standard_normal(shape[0]).astype(np.float32)
            network[name.replace("weight", "bias")] = bias
        return network

    def start(self):
        for decision in (self.sparse, self.dense):
            decision.read(self.networks)
            decision.reset(self.environments)

    def check(self, steps, epsilon=0.3):
        rows = self.environments * self.agents
        for _ in range(steps):
            seen = self.random.standard_normal((rows, self.observed)).astype(np.float32)
            available = (self.random.random((rows, self.actions)) < 0.6).astype(np.int32)
            draws = self.random.random(2 * rows)
            ours = self.sparse(seen, available, epsilon, draws)
            theirs = self.dense(seen, available, epsilon, draws)
            scale = max(1.0, np.abs(self.dense.q_values).max())
            np.testing.assert_allclose(
                self.sparse.q_values / scale, self.dense.q_values / scale, rtol=0, atol=2e-5
            )
            assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
@pytest.mark.parametrize("per_agent", [False, True], ids=["shared", "per-agent"])
@pytest.mark.parametrize("density", [0, 0.1, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_whole_matrices(shape, density, per_agent, recurrent):
    case = Case(shape, density, recurrent=recurrent, networks=shape[1] if per_agent else 1)
    case.start()
    case.check(steps=4)


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
@pytest.mark.parametrize("first", [0, 5, 40])
def test_the_first_layer_may_have_another_width(first, recurrent):
    case = Case((2, 3, 5, 16, 4), 0.5, recurrent=recurrent, networks=3, first=first)
    case.start()
    case.check(steps=4)


@pytest.mark.parametrize("inputs", [0, 1], ids=["observation", "last-action"])
def test_what_the_networks_do_not_read_is_left_out(inputs):
    case = Case((2, 3, 5, 16, 4), 0.5, inputs=inputs)
    case.start()
    case.check(steps=4)


@pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "linear"])
def test_absent_weights_are_left_out(recurrent):
    case = Case((1, 3, 7, 18, 5), 0.1, recurrent=recurrent, networks=3)
    case.start()
    weights = [w for network in case.networks for n, w in network.items() if "weight" in n]

    assert case.sparse._starts[-1] == sum(map(np.count_nonzero, weights)) > 0


def test_a_new_episode_forgets_and_new_weights_count():
    case = Case((1, 3, 5, 16, 4), 0.3)
    case.start()
    case.check(steps=3)
    for weight in case.networks[0].values():
        weight *= -0.5
    case.networks[0]["fc2.weight"][1] = 0.0  # a row that keeps nothing
    case.start()
    case.check(steps=3)
    case.environments = 4
    case.start()
    case.check(steps=2)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0])
def test_the_same_draws_give_the_same_actions(epsilon):
    """Ties and rows without an available action included."""
    case = Case((30, 8, 2, 16, 5), 0)
    case.networks[0]["fc2.bias"][:] = [1.0, 2.0, 2.0, 0.0, 2.0]
    case.start()
    case.check(steps=5, epsilon=epsilon)


def test_values_that_are_not_numbers_give_an_available_action():
    case = Case((1, 2, 3, 16, 4), 1)
    case.networks[0]["fc2.bias"][:] = np.nan
    case.start()
    available = np.array([[0, 0, 1, 1], [0, 1, 0, 0]], np.int32)
    chosen = case.sparse(np.zeros((2, 3), np.float32), available, 0.0, np.zeros(4))
    assert chosen.tolist() == [2, 1]
