"""Time of a decision, and of a whole step of the runner on an environment that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epymarl_mast.bench.plan import Plan
from epymarl_mast.bench.timing import Ratio, Timing, interleave
from epymarl_mast.bench.workplace import T_ENV, Workplace, configurations
from epymarl_mast.export import ExportedAgent
from epymarl_mast.export.checkpoint import as_exported
from epymarl_mast.learners.checkpoint import run_record


@dataclass(frozen=True)
class ActingResult:
    """Figures of ``mast bench acting``; ``{"stock" | "ours": timing}`` each.

    Attributes:
        decision: ``mac.select_actions`` for all agents of one environment; if our controller has
            an actor, also under ``in_runner`` one decision of that on rows of numpy, which is what
            our runner does in place of it, and under ``exported`` one of the exported agent.
        step: a step of ``runner.run``: decision, storage of the step and bookkeeping.
        parts: names of the classes that were measured.
    """

    decision: dict[str, Timing]
    step: dict[str, Timing]
    parts: dict[str, list[str]]

    def as_record(self) -> dict[str, Any]:
        """All figures as plain numbers."""
        stock = self.decision["stock"]
        record = {
            "sample": "one decision of all agents, mean of an episode",
            **_pair(stock, self.decision["ours"]),
            "runner_step": {
                "sample": "one step of the runner without the environment, mean of an episode",
                **_pair(self.step["stock"], self.step["ours"]),
            },
            "parts": self.parts,
        }
        if "in_runner" in self.decision:
            record["decision_in_runner"] = _pair(stock, self.decision["in_runner"])
            record["decision_exported"] = _pair(stock, self.decision["exported"])
        return record


def _pair(stock: Timing, ours: Timing) -> dict[str, Any]:
    ratio = Ratio.of(stock, ours)
    return {
        "stock": stock.as_record(),
        "ours": ours.as_record(),
        "ratio_median": ratio.median,
        "ratio_quartiles": list(ratio.quartiles),
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
    decisions = {side: _decisions(mac, batch, steps) for side, mac in macs.items()}
    if in_runner := _decisions_in_runner(macs["ours"], batch, steps):
        decisions["in_runner"] = in_runner
        decisions["exported"] = _decisions_of_export(macs["ours"], chosen["ours"], batch, steps)
    decision = interleave(decisions, repeats, parts=steps)
    step = interleave({side: runner.run for side, runner in runners.items()}, repeats, parts=steps)
    parts = {side: [type(macs[side]).__name__, type(runners[side]).__name__] for side in macs}
    return ActingResult(decision, step, parts)


def _decisions(mac: Any, batch: Any, steps: int) -> Callable[[], None]:
    """An episode's worth of decisions, called as the hosts' runners do."""

    def episode() -> None:
        mac.init_hidden(batch_size=1)
        for t in range(steps):
            mac.select_actions(batch, t_ep=t, t_env=T_ENV, test_mode=False)

    return episode


def _decisions_in_runner(mac: Any, batch: Any, steps: int) -> Callable[[], None] | None:
    """The same as our episode runner asks for them; None for a controller without an actor."""
    start = getattr(mac, "start_episodes", None)
    if start is None or start(1) is None:
        return None
    observations = batch["obs"][0].numpy()  # (T+1, N, O)
    available = batch["avail_actions"][0].numpy()  # (T+1, N, U)

    def episode() -> None:
        actor = start(1)
        epsilon = mac.epsilon_at(T_ENV, False)
        for t in range(steps):
            actor.act(observations[t], available[t], epsilon)

    return episode


def _decisions_of_export(
    mac: Any, config: Mapping[str, Any], batch: Any, steps: int
) -> Callable[[], None]:
    """The same by the agent that ``mast export`` would write."""
    weights = {name: w.detach().cpu().numpy() for name, w in mac.agent.state_dict().items()}
    run = run_record(mac.args, Path(str(T_ENV)))
    agent = ExportedAgent(*as_exported(weights, run, config["mast"]))
    observations = batch["obs"][0].numpy()  # (T+1, N, O)
    available = batch["avail_actions"][0].numpy()  # (T+1, N, U)

    def episode() -> None:
        agent.reset()
        for t in range(steps):
            agent.act(observations[t], available[t])

    return episode
