"""Shapes of the hosts' networks from the configuration alone, for accounting without a host.

A test holds them equal to the modules the hosts build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from epymarl_mast.errors import OptionError
from epymarl_mast.options import MastOptions
from epymarl_mast.schemas import ComixOptions, FacmacOptions, WqmixOptions
from epymarl_mast.sparse import Layer, sparse_layers

Shapes = dict[str, tuple[int, ...]]

# Width of an agent network's first layer where it is not ``hidden_dim``: set by mast.tiny alone.
FIRST_LAYER = "first_layer_dim"


@dataclass(frozen=True)
class Task:
    """What the environment fixes.

    Attributes:
        n_agents: N.
        obs: size of one agent's observation, without last action and agent id.
        state: size of the global state.
        n_actions: U; numbers in a continuous action.
    """

    n_agents: int
    obs: int
    state: int
    n_actions: int


def agent_shapes(config: Mapping[str, Any], task: Task) -> Shapes:
    """``{parameter: shape}`` of the weight matrices of the agent network(s)."""
    inputs = task.obs
    inputs += task.n_actions if config["obs_last_action"] else 0
    inputs += task.n_agents if config["obs_agent_id"] else 0
    hidden = config["hidden_dim"]
    first = config.get(FIRST_LAYER, hidden)
    recurrent: Shapes = (
        {"rnn.weight_ih": (3 * hidden, first), "rnn.weight_hh": (3 * hidden, hidden)}
        if config["use_rnn"]
        else {"rnn.weight": (hidden, first)}
    )
    one: Shapes = {
        "fc1.weight": (first, inputs),
        **recurrent,
        "fc2.weight": (task.n_actions, hidden),
    }
    kind = config.get("agent", "rnn")
    if kind == "rnn":
        return one
    if kind == "rnn_ns":
        return {
            f"agents.{agent}.{name}": shape
            for agent in range(task.n_agents)
            for name, shape in one.items()
        }
    raise OptionError(f"agent={kind!r}: sizes are known for 'rnn' and 'rnn_ns' only")


def mixer_shapes(config: Mapping[str, Any], task: Task) -> Shapes:
    """``{parameter: shape}`` of the weight matrices of the mixing network; none for VDN, IQL."""
    if config["mixer"] != "qmix":
        return {}
    embed, state = config["mixing_embed_dim"], task.state
    shapes: Shapes = {}
    for name, outputs in (("hyper_w_1", embed * task.n_agents), ("hyper_w_final", embed)):
        if config.get("hypernet_layers", 1) == 1:
            shapes[f"{name}.weight"] = (outputs, state)
        else:
            shapes[f"{name}.0.weight"] = (config["hypernet_embed"], state)
            shapes[f"{name}.2.weight"] = (outputs, config["hypernet_embed"])
    shapes["hyper_b_1.weight"] = (embed, state)
    shapes["V.0.weight"] = (embed, state)
    shapes["V.2.weight"] = (1, embed)
    return shapes


def central_mixer_shapes(config: Mapping[str, Any], task: Task) -> Shapes:
    """``{parameter: shape}`` of the weight matrices of WQMIX's unrestricted mixing network."""
    width, utilities = config["central_mixing_embed_dim"], config["central_action_embed"]
    attention: Shapes = {}
    sizes: tuple[int, ...] = (task.state + task.n_agents * utilities, width, width, width, 1)
    if config["central_mixer"] == "atten":
        heads = (task.state, config["hypernet_embed"], task.n_agents * width)
        attention = _linear_shapes("atten_layer", heads)
        sizes = (width * utilities, width, width, 1)
    return {
        **attention,
        **_linear_shapes("net", sizes),
        **_linear_shapes("V", (task.state, width, 1)),
    }


def critic_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """FACMAC's ``critic_*`` options under the names of an agent network's."""
    hidden = config["critic_hidden_dim"]
    return {"hidden_dim": hidden, FIRST_LAYER: hidden, "use_rnn": config["critic_use_rnn"]}


def _linear_shapes(name: str, sizes: Sequence[int]) -> Shapes:
    """Linear layers with something without weights between them."""
    layers = enumerate(pairwise(sizes))
    return {f"{name}.{2 * i}.weight": (outputs, inputs) for i, (inputs, outputs) in layers}


def network_shapes(
    config: Mapping[str, Any], options: MastOptions, task: Task
) -> dict[str, Shapes]:
    """``{network: shapes}`` of every network of a learner that has weights."""
    shapes = {"agent": agent_shapes(config, task), "mixer": mixer_shapes(config, task)}
    if isinstance(options, WqmixOptions):
        utilities = task.n_actions * config["central_action_embed"]
        shapes["central_agent"] = {
            name: (utilities, shape[1]) if name.endswith("fc2.weight") else shape
            for name, shape in shapes["agent"].items()
        }
        shapes["central_mixer"] = central_mixer_shapes(config, task)
    if isinstance(options, FacmacOptions):
        shapes["critic"] = agent_shapes({**config, **critic_config(config)}, task)
    if isinstance(options, ComixOptions):  # an action is an input, its value the one output
        wider = agent_shapes({**config, "obs_last_action": True}, task)
        shapes["agent"] = {
            name: (1, shape[1]) if name.endswith("fc2.weight") else shape
            for name, shape in wider.items()
        }
    return {network: own for network, own in shapes.items() if own}


def layers_of(
    network: str, shapes: Mapping[str, Sequence[int]], options: MastOptions
) -> list[Layer]:
    """The sparse layers of a network, such as ``agent`` or ``mixer``; none for dense training."""
    if options.topology == "dense":
        return []
    return sparse_layers(shapes, options.network_sparsity(network), options.allocation)
