"""Tickets and densities of agents, from made-up runs."""

from __future__ import annotations

from study_page import lines_of, rows_of
from study_records import FIRST


def test_tickets_are_compared_by_the_seeds_that_have_one(modules, make_study):
    runs = [("a", "mast", 0.95, seed, 0.9) for seed in (1, 2)]
    runs += [("a", "mast", 0.9, 1, 0.1), ("b", "mast", 0.95, 1, 0.1)]
    runs += [("a", "mast winning ticket", 0.95, 1, 0.8)]
    runs += [("a", "mast no_topology_evolution", 0.95, seed, 0.3) for seed in (1, 2)]
    section = modules["networks"].tickets(make_study(runs))
    assert [(r["task"], r["ticket"].split()[0], r["score [95 %]"], r["runs"])
            for r in rows_of(section)] == [
        ("a", "cheating", "0.900", "1"), ("a", "winning", "0.800", "1"),
        ("a", "random", "0.300", "1"),
    ]  # fmt: skip
    assert "3 runs, code of commit `abc`" in section.text
    [axis] = section.figures["study_tickets"].axes
    drawn = {label: value for label, (_, value) in lines_of(axis).items()}
    assert drawn == {"cheating": 0.9, "winning": 0.8, "random": 0.3}


def test_the_density_of_each_agent_is_a_mean_over_runs(modules, make_study):
    runs = [("a", f"mast per_agent{FIRST}", 0.9, seed, 0.9) for seed in (1, 2)]
    densities = [("a", 1, 0, 0.05), ("a", 2, 0, 0.07), ("a", 1, 1, 0.15), ("a", 2, 1, 0.13)]
    section = modules["networks"].agents(make_study(runs, densities))
    assert [(r["agent"], r["density"], r["runs"]) for r in rows_of(section)] == [
        ("0", "0.060 ± 0.014", "2"), ("1", "0.140 ± 0.014", "2"),
    ]  # fmt: skip
    assert "2 runs, code of commit `abc`" in section.text
    assert "study_agents" in section.figures
