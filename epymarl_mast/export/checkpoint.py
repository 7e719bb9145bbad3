"""From a checkpoint of a run to the header and the networks of an exported agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from epymarl_mast import __version__
from epymarl_mast.controllers.actor import is_known_agent
from epymarl_mast.errors import CheckpointError, ExportError
from epymarl_mast.export.file import Header, coded
from epymarl_mast.export.network import AgentNetwork, Array, from_rnn_agent, without_dead_units
from epymarl_mast.learners.checkpoint import load_state
from epymarl_mast.learners.checkpoint_files import read
from epymarl_mast.sparse.layers import agent_index

AGENT = "agent.th"


@dataclass(frozen=True)
class ExportedModel:
    """What is written.

    Attributes:
        header: see :class:`epymarl_mast.export.file.Header`.
        networks: one, or one for each agent; dead units are gone.
        dense_bytes: size of the checkpoint's own file of agent networks.
    """

    header: Header
    networks: list[AgentNetwork]
    dense_bytes: int

    @property
    def kept(self) -> int:
        """Weights that are not 0."""
        return sum(how.nonzeros for layers in self.header.layers for how in layers.values())


def checkpoint_folder(path: Path) -> Path:
    """A checkpoint's folder: ``path``, or in it the one with the highest step for a name.

    Raises:
        CheckpointError: if there is none.
    """
    if (path / AGENT).is_file():
        return path
    steps = [p for p in path.glob("*") if p.name.isdigit() and (p / AGENT).is_file()]
    if not steps:
        raise CheckpointError(f"{path} is no checkpoint: a folder with agent.th in it is")
    return max(steps, key=lambda step: int(step.name))


def read_checkpoint(folder: Path) -> ExportedModel:
    """Read a checkpoint of one of our learners.

    Args:
        folder: with ``agent.th`` and ``mast.pt``.

    Raises:
        CheckpointError: if it cannot be read.
        ExportError: if its agent is not the hosts' ``rnn`` or ``rnn_ns`` on vectors.
    """
    state = load_state(folder)
    run = state.get("run")
    if run is None:
        raise ExportError(
            f"{folder} was saved by an older version of this package, without a note of its run"
        )
    weights = _agent_weights(folder)
    try:
        _check_exportable(folder, weights, run)
        header, networks = as_exported(weights, run, state["options"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ExportError(f"{folder}: its weights are not of the run it notes: {reason}") from None
    return ExportedModel(header, networks, (folder / AGENT).stat().st_size)


def _check_exportable(folder: Path, weights: Mapping[str, Array], run: Mapping[str, Any]) -> None:
    if not is_known_agent(weights) or run["action_selector"] != "epsilon_greedy":
        raise ExportError(
            f"{folder}: only agents 'rnn' and 'rnn_ns' with action_selector=epsilon_greedy can be "
            f"exported, not {run['agent']!r} with {run['action_selector']!r}"
        )
    outputs = {len(bias) for name, bias in weights.items() if name.endswith("fc2.bias")}
    if outputs != {run["n_actions"]}:
        raise ExportError(
            f"{folder}: an agent with a value for each of its {run['n_actions']} actions can be "
            f"exported, not one with {min(outputs)}; COMIX's reads the action"
        )
    agents = {agent_index(name) for name in weights} - {None}
    if agents and len(agents) != run["n_agents"]:
        raise ValueError(f"networks of {len(agents)} agents, where there are {run['n_agents']}")


def as_exported(
    weights: Mapping[str, Array], run: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Header, list[AgentNetwork]]:
    """Header and networks, without dead units, of an agent's weights.

    Args:
        weights: ``{parameter: array}`` of the hosts' ``rnn`` or ``rnn_ns`` agent.
        run: what :func:`epymarl_mast.learners.checkpoint.run_record` notes.
        options: the ``mast:`` block.
    """
    whole = _networks(weights, run["n_agents"])
    networks = [without_dead_units(network) for network in whole]
    header = Header(
        written_by=__version__,
        n_agents=run["n_agents"],
        n_actions=run["n_actions"],
        observation=_observation(whole[0], run),
        last_action=run["obs_last_action"],
        agent_id=run["obs_agent_id"],
        core="linear" if networks[0].core_hidden is None else "gru",
        layers=tuple(coded(network) for network in networks),
        removed_units=sum(n.units for n in whole) - sum(n.units for n in networks),
        options=dict(options),
        run={key: run[key] for key in ("name", "task", "seed", "t_env")},
    )
    return header, networks


def _agent_weights(folder: Path) -> dict[str, Array]:
    weights = read(folder, AGENT)
    try:
        return {name: np.ascontiguousarray(w.float().numpy()) for name, w in weights.items()}
    except (AttributeError, TypeError, RuntimeError, ValueError):
        raise CheckpointError(f"{folder / AGENT} holds no weights") from None


def _networks(weights: Mapping[str, Array], n_agents: int) -> list[AgentNetwork]:
    own = any(agent_index(name) is not None for name in weights)
    prefixes = [f"agents.{i}." for i in range(n_agents)] if own else [""]
    return [from_rnn_agent({n.removeprefix(p): w for n, w in weights.items() if n.startswith(p)})
            for p in prefixes]  # fmt: skip


def _observation(network: AgentNetwork, run: Mapping[str, Any]) -> int:
    inputs = int(network.fc1.weight.shape[1])
    last_action = int(run["n_actions"]) if run["obs_last_action"] else 0
    return inputs - last_action - (int(run["n_agents"]) if run["obs_agent_id"] else 0)
