"""Agent networks of the hosts with a first layer of another width, for ``mast.tiny``."""

from __future__ import annotations

from typing import Any

from torch import nn


def set_first_layer(agent: Any, width: int) -> None:
    """Give an agent module, or each agent's own, a first layer of ``width`` units.

    What follows it keeps its units and takes as many inputs. Nothing happens where the width is so
    already, and nothing but this knows of it: the module's own ``forward`` works on.

    Args:
        agent: one of the hosts' ``rnn`` (``fc1``, ``rnn``, ``fc2``) or ``rnn_ns`` (``agents``).
        width: units of the first layer.
    """
    for network in getattr(agent, "agents", [agent]):
        fc1 = getattr(network, "fc1", None)
        if fc1 is None or fc1.out_features == width:
            continue
        network.fc1 = nn.Linear(fc1.in_features, width)
        core = network.rnn
        recurrent = isinstance(core, nn.GRUCell)
        units = core.hidden_size if recurrent else core.out_features
        network.rnn = (nn.GRUCell if recurrent else nn.Linear)(width, units)
