"""``mast.tiny``: dense networks as narrow as gives them the size of the sparse ones.

Size is the number of weights, as everywhere (MAST App. B.4). Widths are whole numbers, and an agent
network of the hosts has one alone, so with VDN and independent learners the nearest can be far off.
Where that is so, the first layer gets a width of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from epymarl_mast.checks import check_run, uses_mast
from epymarl_mast.networks import FIRST_LAYER, Shapes, Task, layers_of, network_shapes
from epymarl_mast.options import MastOptions

TOLERANCE = 0.02
_NO_MISS = TOLERANCE / 2  # misses below it count alike: the more even cut is taken

Groups = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

# Widths that are searched together, in this order, and the networks that they shape.
_GROUPS: Groups = (
    (("hidden_dim", FIRST_LAYER), ("agent", "central_agent")),
    (("mixing_embed_dim", "hypernet_embed"), ("mixer",)),
    (("central_mixing_embed_dim",), ("central_mixer",)),
    (("critic_hidden_dim",), ("critic",)),
)
_CANDIDATES = {1: 3, 2: 40}  # by number of widths in a group
_LARGEST_SKEW = 2.0  # between the cuts of two widths of one network

Config = Mapping[str, Any]
Sizes = dict[str, int]


@dataclass(frozen=True)
class Cut:
    """What was cut, kept as ``args.mast_tiny``.

    Attributes:
        full: ``{option: width}`` before.
        said: one line on what it is now.
    """

    full: dict[str, int]
    said: str


def cut_widths(args: Any, scheme: Config) -> None:
    """With ``mast.tiny``, set the widths in a run's configuration before its networks are built.

    Args:
        args: the run's configuration with the environment's sizes in it.
        scheme: the replay buffer's scheme.
    """
    config = dict(vars(args))
    if not uses_mast(config) or "mast_tiny" in config:
        return
    options = check_run(config)
    if not options.tiny:
        return
    task = Task(args.n_agents, scheme["obs"]["vshape"], args.state_shape, args.n_actions)
    widths = tiny_widths(config, options, task)
    wanted = sum(sparse_sizes(config, options, task).values())
    size = sum(_sizes({**config, **widths}, options, task).values())
    said = ", ".join(f"{name}={width}" for name, width in widths.items())
    said += f"; {size:,} weights, {size / wanted - 1:+.1%} against the sparse networks"
    full = {name: config[name if name in config else "hidden_dim"] for name in widths}
    vars(args).update(widths, mast_tiny=Cut(full, said))


def tiny_widths(config: Config, options: MastOptions, task: Task) -> dict[str, int]:
    """Widths whose dense networks have the size of the sparse ones at full width.

    The total is within 2 % where whole widths allow it, and each network is as near as that lets
    it; otherwise the total is as near as possible. The agents' first layer has a width of its own
    only if the total is not within 2 % without.

    Args:
        config: the run's configuration, with the full widths.
        options: the checked ``mast:`` block.
        task: what the environment fixes.

    Returns:
        ``{option: width}`` of every width that shapes a network of the run.
    """
    wanted = sparse_sizes(config, options, task)

    def errors(widths: dict[str, int]) -> tuple[bool, float]:
        sizes = _sizes({**config, **widths}, options, task)
        total = abs(sum(sizes.values()) / sum(wanted.values()) - 1)
        worst = max(abs(sizes[network] / wanted[network] - 1) for network in wanted)
        return (False, max(worst, _NO_MISS)) if total <= TOLERANCE else (True, total)

    def nearest(start: Config) -> dict[str, int]:
        return min(_search(start, options, task, wanted, _GROUPS), key=errors)

    widths = nearest(config)
    if errors(widths)[0]:
        widths = nearest({**config, FIRST_LAYER: config["hidden_dim"]})
    return widths


def sparse_sizes(config: Config, options: MastOptions, task: Task) -> Sizes:
    """``{network: kept weights}`` with the run's sparsity."""
    sparse = options.model_copy(update={"topology": "static"})
    return {
        network: sum(layer.kept for layer in layers_of(network, shapes, sparse))
        for network, shapes in network_shapes(config, options, task).items()
    }


def _search(
    config: Config,
    options: MastOptions,
    task: Task,
    wanted: Sizes,
    groups: Groups,
) -> Iterator[dict[str, int]]:
    """All combinations of the candidates of each group, those of earlier groups set."""
    if not groups:
        yield {}
        return
    (widths, networks), *rest = groups
    present = [network for network in networks if network in wanted]
    free = [name for name in widths if name in config] if present else []
    target = sum(wanted[network] for network in present)

    def miss(chosen: dict[str, int]) -> float:
        sizes = _sizes({**config, **chosen}, options, task)
        return abs(sum(sizes[network] for network in present) / max(target, 1) - 1)

    ranges = [range(1, config[name] + 1) for name in free]
    candidates = [dict(zip(free, values, strict=True)) for values in product(*ranges)]
    even = [c for c in candidates if _skew(c, config) <= _LARGEST_SKEW]
    even.sort(key=lambda chosen: (max(miss(chosen), _NO_MISS), _skew(chosen, config)))
    for chosen in even[: _CANDIDATES.get(len(free), 1)]:
        for others in _search({**config, **chosen}, options, task, wanted, tuple(rest)):
            yield {**chosen, **others}


def _skew(chosen: Mapping[str, int], config: Config) -> float:
    shares = [width / config[name] for name, width in chosen.items()]
    return max(shares) / min(shares) if shares else 1.0


def _sizes(config: Config, options: MastOptions, task: Task) -> Sizes:
    shapes: dict[str, Shapes] = network_shapes(config, options, task)
    return {network: sum(map(prod, own.values())) for network, own in shapes.items()}
