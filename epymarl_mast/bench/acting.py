"""Time of a decision, and of a whole step of the runner on an environment that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from epymarl_mast.bench.plan import Plan
from epymarl_mast.bench.timing import Ratio, Timing, interleave
from epymarl_mast.bench.workplace import T_ENV, Workplace, configurations


@dataclass(frozen=True)
class ActingResult:
    """Figures of ``mast bench acting``; ``{"stock" | "ours": timing}`` each.

    Attributes:
        decision: ``mac.select_actions`` for all agents of one environment.
        step: a step of ``runner.run``: decision, storage of the step and bookkeeping.
        parts: names of the classes that were measured.
    """

    decision: dict[str, Timing]
    step: dict[str, Timing]
    parts: dict[str, list[str]]

    def as_record(self) -> dict[str, Any]:
        """All figures as plain numbers."""
        ratio = Ratio.of(self.decision["stock"], self.decision["ours"])
        step_ratio = Ratio.of(self.step["stock"], self.step["ours"])
        return {
            "sample": "one decision of all agents, mean of an episode",
            **{side: timing.as_record() for side, timing in self.decision.items()},
            "ratio_median": ratio.median,
            "ratio_quartiles": list(ratio.quartiles),
            "runner_step": {
                "sample": "one step of the runner without the environment, mean of an episode",
                **{side: timing.as_record() for side, timing in self.step.items()},
                "ratio_median": step_ratio.median,
                "ratio_quartiles": list(step_ratio.quartiles),
            },
            "parts": self.parts,
        }


def bench_acting(plan: Plan, repeats: int) -> ActingResult:
    """Measure whole episodes of one environment, epsilon at its final value.

    Args:
        plan: what to measure.
        repeats: episodes of each side, after the first and one more.
    """
    host, sides = configurations(plan)
    workplace = Workplace(host, plan.sizes, plan.device)
    batch = workplace.batch(1, plan.sizes.steps, seed=3)
    chosen = {"stock": sides["stock"], "ours": sides["mast"]}
    macs = {side: workplace.learner(config).mac for side, config in chosen.items()}
    runners = {side: workplace.runner(chosen[side], mac) for side, mac in macs.items()}
    steps = plan.sizes.steps
    decision = interleave(
        {side: _decisions(mac, batch, steps) for side, mac in macs.items()},
        repeats, device=plan.device, parts=steps,
    )  # fmt: skip
    step = interleave(
        {side: runner.run for side, runner in runners.items()},
        repeats, device=plan.device, parts=steps,
    )  # fmt: skip
    parts = {side: [type(macs[side]).__name__, type(runners[side]).__name__] for side in macs}
    return ActingResult(decision, step, parts)


def _decisions(mac: Any, batch: Any, steps: int) -> Callable[[], None]:
    """An episode's worth of decisions, called as the hosts' runners do."""

    def episode() -> None:
        mac.init_hidden(batch_size=1)
        for t in range(steps):
            mac.select_actions(batch, t_ep=t, t_env=T_ENV, test_mode=False)

    return episode
