"""What is asked for: sizes of the task, density, device and options."""

from __future__ import annotations

from dataclasses import dataclass

from epymarl_mast.cores import usable_cores
from epymarl_mast.errors import OptionError, nearest


@dataclass(frozen=True)
class Dims:
    """Sizes of a task and of the batch that a learner sees.

    Attributes:
        episodes: B, episodes of a batch.
        steps: T, transitions of an episode.
        n_agents: N.
        obs: size of one agent's observation, without last action and agent id.
        state: size of the global state.
        n_actions: U.
    """

    episodes: int
    steps: int
    n_agents: int
    obs: int
    state: int
    n_actions: int


DIMS = {
    "3s5z": Dims(episodes=32, steps=100, n_agents=8, obs=128, state=216, n_actions=14),
    "lbf": Dims(episodes=32, steps=50, n_agents=2, obs=15, state=30, n_actions=6),
}
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class Plan:
    """One measurement.

    Attributes:
        host: ``pymarlzooplus`` or the path of an EPyMARL checkout.
        dims: a name in :data:`DIMS`.
        density: share of kept weights of our networks, 0 < density <= 1.
        hidden: hidden units of the agent network of both learners.
        device: ``cpu`` or ``cuda``.
        threads: threads of torch, OpenMP and numba.
        options: ``key=value`` and YAML files, as after ``with`` in ``mast train``.

    Raises:
        OptionError: naming the first value that is not allowed.
    """

    host: str
    dims: str = "lbf"
    density: float = 0.1
    hidden: int = 64
    device: str = "cpu"
    threads: int = 1
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.threads > (cores := usable_cores()):
            raise OptionError(
                f"--threads={self.threads} is too many: this process has {cores} cores"
            )
        if self.dims not in DIMS:
            raise OptionError(
                f"--dims={self.dims} is not known{nearest(self.dims, DIMS)}: "
                f"allowed are {', '.join(DIMS)}"
            )
        if not 0.0 < self.density <= 1.0:
            raise OptionError(
                f"--density={self.density:g} is not allowed: a number > 0 and <= 1 is"
            )
        if self.device not in DEVICES:
            raise OptionError(f"--device={self.device}: allowed are {', '.join(DEVICES)}")
        if self.device == "cuda" and not _has_cuda():
            raise OptionError("--device=cuda: torch finds no CUDA device here; allowed is cpu")

    @property
    def sizes(self) -> Dims:
        """The sizes that ``dims`` names."""
        return DIMS[self.dims]

    @property
    def sparsity(self) -> float:
        """Share of absent weights, without the rounding noise of ``1 - density``."""
        return round(1.0 - self.density, 9)


def stock_options(options: tuple[str, ...]) -> list[str]:
    """The options that stock gets too: all but files and what names a part of this package."""
    kept = []
    for option in options:
        key, equals, value = option.partition("=")
        ours = key.partition(".")[0] == "mast" or value.strip("'\"").startswith("mast_")
        if equals and not ours:
            kept.append(option)
    return kept


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
