"""Acting with an exported agent: numpy alone, or the compiled kernels where they run.

Legend: E environments, N agents, R = E*N rows, agents of one environment together, O observation,
F units of the first layer, H of the core, U actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epymarl_mast.controllers.act_kernel import DenseDecision
from epymarl_mast.errors import ExportError
from epymarl_mast.export.file import Header, read_agent
from epymarl_mast.export.network import AgentNetwork, Array, as_rnn_agents

COMPUTE = ("auto", "numba", "numpy")


def load_agent(path: str | Path, compute: str = "auto") -> ExportedAgent:
    """Read what ``mast export`` wrote.

    Args:
        path: the file.
        compute: ``numba`` for compiled kernels on kept weights, ``numpy`` for whole matrices, or
            ``auto``: the kernels where they run and are faster.

    Raises:
        ExportError: for a file that is not one, or a ``compute`` that cannot be had.
    """
    header, networks = read_agent(Path(path))
    return ExportedAgent(header, networks, compute)


class ExportedAgent:
    """The greedy policy of all agents of a task, step by step.

    Args:
        header: what the file says.
        networks: one, or one for each agent.
        compute: as for :func:`load_agent`.

    Raises:
        ExportError: for a ``compute`` that cannot be had.
    """

    def __init__(
        self, header: Header, networks: Sequence[AgentNetwork], compute: str = "auto"
    ) -> None:
        self.header = header
        behind = header.observation + header.n_actions * header.last_action
        decision = _decision(networks, compute)
        named = as_rnn_agents(networks)
        self._decide = decision(
            named,
            header.n_agents,
            last_action=header.observation if header.last_action else None,
            agent_id=behind if header.agent_id else None,
        )
        self._decide.read(named)
        self.reset()

    def reset(self, environments: int = 1) -> None:
        """Start new episodes in E environments: zero states, no last actions."""
        rows, header = environments * self.header.n_agents, self.header
        self._shapes = (rows, header.observation), (rows, header.n_actions)
        self._no_draws = np.zeros(2 * rows)
        self._decide.reset(environments)

    def act(self, observations: Array, available: Array) -> Array:
        """One step of all agents: the available action of highest value, the lowest of equal ones.

        Args:
            observations: (R, O).
            available: (R, U), not 0 for an action that can be taken. A row without any gives 0.

        Returns:
            (R,) actions, int64.

        Raises:
            ExportError: for another shape; :meth:`reset` says how many environments there are.
        """
        observations, available = np.asarray(observations), np.asarray(available)
        wanted = self._shapes
        if (observations.shape, available.shape) != wanted:
            raise ExportError(
                f"observations {observations.shape} and available {available.shape} are not "
                f"allowed: {wanted[0]} and {wanted[1]} are"
            )
        actions: Array = self._decide(
            np.ascontiguousarray(observations, np.float32),
            np.ascontiguousarray(available != 0, np.int32),
            0.0,
            self._no_draws,
        ).copy()  # the next decision overwrites them
        return actions

    @property
    def q_values(self) -> Array:
        """(R, U) action values of the last step."""
        values: Array = self._decide.q_values
        return values


def _decision(networks: Sequence[AgentNetwork], compute: str) -> Any:
    """The class that decides: SparseDecision or DenseDecision."""
    if compute not in COMPUTE:
        raise ExportError(f"compute={compute!r} is not allowed: {', '.join(COMPUTE)} are")
    if compute == "numpy":
        return DenseDecision
    try:
        from epymarl_mast.sparse.kernels.decision import SparseDecision, beats_matrices
        from epymarl_mast.sparse.kernels.host import available

        missing = "" if available() else "numba and an x86-64 CPU with AVX2 and FMA"
    except ImportError as error:
        missing = str(error.name)
    if compute == "numba" and missing:
        raise ExportError(f"compute='numba' is not allowed here: it needs {missing}")
    if missing or (compute == "auto" and not beats_matrices(*_density(networks))):
        return DenseDecision
    return SparseDecision


def _density(networks: Sequence[AgentNetwork]) -> tuple[float, int]:
    """Share of weights that are not 0, and the units of the widest core."""
    weights = [layer.weight for network in networks for layer in network.layers.values()]
    size = sum(weight.size for weight in weights)
    kept = sum(int(np.count_nonzero(weight)) for weight in weights)
    return kept / max(size, 1), max(network.fc2.weight.shape[1] for network in networks)
