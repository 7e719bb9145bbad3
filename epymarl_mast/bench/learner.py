"""Time and memory of one learner update: stock, ours sparse and nothing else, ours as shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from epymarl_mast.bench.memory import peak_of_update
from epymarl_mast.bench.plan import Plan
from epymarl_mast.bench.timing import Ratio, Timing, interleave
from epymarl_mast.bench.workplace import T_ENV, Workplace, configurations


@dataclass(frozen=True)
class LearnerResult:
    """Figures of ``mast bench learner``; a sample is one update.

    Attributes:
        timings: by side, see :func:`epymarl_mast.bench.workplace.configurations`.
        ratio: stock over ours, both without any of MAST's parts but sparsity.
        topology_interval: updates from one topology update to the next, None without evolution.
        peak_mib: most memory that one update takes beyond what the learner holds before its first,
            by side; MiB, None where it could not be read.
        mast: the ``mast:`` block of each of our sides.
        engines: what computes each of our sides, where a learner says so.
    """

    timings: dict[str, Timing]
    ratio: Ratio
    topology_interval: int | None
    peak_mib: dict[str, float | None]
    mast: dict[str, Any]
    engines: dict[str, str | None]

    @property
    def mast_update_ms(self) -> float:
        """An update of MAST as configured, with its share of a topology update; milliseconds."""
        usual = self.timings["mast"].median_ms
        if self.topology_interval is None:
            return usual
        due = self.timings["mast_topology_update"].median_ms
        return usual + (due - usual) / self.topology_interval

    @property
    def overhead_of_mast(self) -> float:
        """What all of MAST's parts add to an update of the plain sparse learner; 0.1 is 10 %."""
        return self.mast_update_ms / self.timings["ours"].median_ms - 1.0

    def as_record(self) -> dict[str, Any]:
        """All figures as plain numbers."""
        sides = {
            side: {**timing.as_record(), "peak_mib": self.peak_mib.get(side)}
            for side, timing in self.timings.items()
        }
        return {
            "sample": "one update",
            **sides,
            "ratio_median": self.ratio.median,
            "ratio_quartiles": list(self.ratio.quartiles),
            "overhead_of_mast": self.overhead_of_mast,
            "topology_interval": self.topology_interval,
            "mast_options": self.mast,
            "engines": self.engines,
        }


def bench_learner(plan: Plan, repeats: int, *, memory: bool = True) -> LearnerResult:
    """Measure.

    Only ``learner.train`` is timed. Drawing its batch from the host's buffer is not, for no side;
    drawing the newest episodes from our second buffer is, because our ``train`` does it.

    Args:
        plan: what to measure.
        repeats: updates of each side, after the first and one more.
        memory: whether to measure memory too, in a fresh process per side.
    """
    host, sides = configurations(plan)
    workplace = Workplace(host, plan.sizes, plan.device)
    learners = {side: workplace.learner(config) for side, config in sides.items()}
    updates = {side: updater(workplace, sides[side], learners[side]) for side in sides}
    timings = interleave(updates, repeats, device=plan.device)
    evolves = "mast_topology_update" in sides
    return LearnerResult(
        timings=timings,
        ratio=Ratio.of(timings["stock"], timings["ours"]),
        topology_interval=sides["mast"]["mast"]["topology_interval"] if evolves else None,
        peak_mib={side: peak_of_update(plan, side) if memory else None for side in sides},
        mast={side: config["mast"] for side, config in sides.items() if side != "stock"},
        engines={side: _engine(learner) for side, learner in learners.items() if side != "stock"},
    )


def updater(workplace: Workplace, config: dict[str, Any], learner: Any) -> Callable[[], None]:
    """One update of a learner, on one batch that is the same for every configuration.

    The newest episodes of our second buffer are those of that batch.
    """
    dims = workplace.dims
    batch = workplace.batch(dims.episodes, dims.steps, seed=2)
    newest = getattr(learner.mac, "online_buffer", None)
    if newest is not None:
        newest.insert(batch.data.transition_data)
    batch = batch[: config["batch_size"]]

    def update() -> None:
        learner.train(batch, T_ENV, 1)

    return update


def _engine(learner: Any) -> str | None:
    return getattr(getattr(learner, "engine", None), "name", None)
