"""What the evolution found: tickets (Fig. 10) and the density of each agent's network (Fig. 12)."""

from __future__ import annotations

from matplotlib import rc_context

from epymarl_mast.report.pictures import STYLE
from sections.drawing import (
    PALETTE,
    draw_interval,
    learning_curves,
    legend_below,
    panels,
    title,
)
from sections.shares import paired_difference
from sections.study import AT, FIRST_ALPHA, NOT_YET, Section, Study, caption, of_same_seeds, qmix
from sections.wording import mean, mean_interval, table

# As summary.csv has them, and as Fig. 10 does.
TICKETS = {
    "mast": "cheating (MAST itself)",
    "mast winning ticket": "winning (its last masks, from the same first weights)",
    "mast no_topology_evolution": "random (a random mask)",
}
PER_AGENT = f"mast per_agent{FIRST_ALPHA}"
NAMES = {"SimpleSpeakerListener-v0": ("speaker", "listener")}  # of agents that are unlike


def tickets(study: Study) -> Section:
    """Training with the masks a run ended with, beside that run and random masks."""
    own = qmix(study.runs)
    own = own[own.method.isin(TICKETS) & (own.sparsity == AT)]
    for method in TICKETS:
        own = of_same_seeds(own, own[own.method == method])
    if own.empty:
        return Section(NOT_YET)
    tasks = sorted(own.task.unique())
    rows = []
    for task in tasks:
        for method, ticket in TICKETS.items():
            cell = own[(own.task == task) & (own.method == method)]
            if len(cell):
                mast = own[(own.task == task) & (own.method == "mast")]
                beside = "–" if method == "mast" else paired_difference(cell, mast)
                rows.append({
                    "task": task, "ticket": ticket, "score [95 %]": mean_interval(cell.final),
                    "it minus MAST, of dense [95 %]": beside, "runs": str(len(cell)),
                })  # fmt: skip
    names = {method: ticket.partition(" (")[0] for method, ticket in TICKETS.items()}
    figure = learning_curves(study.curves_of(own), names, 2.6)
    return Section.of(
        table(rows), caption(own, "main.yaml", "results/tickets.yaml"),
        study_tickets=("Learning curves of tickets", figure),
    )  # fmt: skip


def agents(study: Study) -> Section:
    """Density of each agent's own network at the end."""
    found = qmix(study.densities)
    found = found[found.method == PER_AGENT]
    if found.empty:
        return Section(NOT_YET)
    own = qmix(study.runs)
    own = own[own.method == PER_AGENT]
    tasks = sorted(found.task.unique())
    rows = [
        {"task": task, "agent": _name(task, agent), "density": mean(cell.density),
         "runs": str(len(cell))}
        for (task, agent), cell in found.groupby(["task", "agent"])
    ]  # fmt: skip
    with rc_context(STYLE):
        figure, [axes] = panels(1, len(tasks), 3.4, 2.6, sharey=True)
        for task, axis in zip(tasks, axes, strict=True):
            here = found[found.task == task]
            for agent, cell in here.groupby("agent"):
                draw_interval(axis, float(str(agent)), cell.density, PALETTE[0])
            axis.axhline(here.density.mean(), color="k", linestyle=":", label="mean over agents")
            shown = sorted(here.agent.unique())
            axis.set_xticks(shown, [_name(task, agent) for agent in shown])
            axis.set_xlim(-0.5, here.agent.max() + 0.5)
            axis.set_xlabel("agent")
            title(axis, task)
        axes[0].set_ylabel("density at the end")
        legend_below(figure, axes)
    return Section.of(
        table(rows), caption(own, "agents.yaml"),
        study_agents=("Density of each agent's network", figure),
    )  # fmt: skip


def _name(task: object, agent: object) -> str:
    names = NAMES.get(str(task))
    return names[int(str(agent))] if names else str(agent)
