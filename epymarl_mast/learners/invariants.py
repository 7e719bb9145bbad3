"""What is true of a learner after every update; tests and ``benchmarks/soak.py`` ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from epymarl_mast.sparse.optimizer_state import per_weight_state


def violations(learner: Any) -> Iterator[str]:
    """What is not as it must be, in words; nothing for a sound learner.

    No weight outside a mask is ever anything but 0, in the online and the target networks and in
    the optimiser's state, and a layer keeps as many weights as it was given (METHOD.md §2).

    Args:
        learner: one of ours.
    """
    networks, states = learner.networks, learner.trained.state()
    for name, mask in networks.topology.masks.items():
        if networks.weights[name][~mask].any():
            yield f"weight {name} outside its mask"
        if name in networks.target_weights and networks.target_weights[name][~mask].any():
            yield f"target of {name} outside its mask"
        for key in per_weight_state(learner.optimiser):
            kept = states[name].get(key)
            if kept is not None and kept[~mask].any():
                yield f"{key} of {name} outside its mask"
    for layer in networks.topology.layers:
        kept = sum(int(networks.topology.masks[member].sum()) for member in layer.members)
        if kept != layer.kept:
            yield f"{layer.name} keeps {kept} weights, not {layer.kept}"
