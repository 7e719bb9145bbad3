"""docs/ablations.md: every line of its lists is understood, and its tickets train."""

from __future__ import annotations

import functools
import re
import shlex
import sys

import pytest
import torch

from epymarl_mast.checks import check_host_options, check_run
from epymarl_mast.command import SacredCommand
from epymarl_mast.overrides import overrides_dir, read_yaml, shipped_algorithms


@pytest.fixture
def blocks(repository):
    """Lines of the page's code blocks of one kind, a list for each block."""
    page = (repository / "docs" / "ablations.md").read_text(encoding="utf-8")

    def of(kind):
        found = re.findall(rf"```{kind}\n(.+?)```", page, re.DOTALL)
        return [block.splitlines() for block in found]

    return of


@functools.cache
def parsed(line):
    return SacredCommand.parse(["with", *line.split()])


def run_of(algorithm, line):
    """The checked configuration of an algorithm with a line of a list."""
    config = read_yaml(shipped_algorithms()[algorithm], algorithm)
    parsed(line).apply_to(config)
    check_host_options(config)
    check_run(config)
    return config


@pytest.mark.parametrize("algorithm", shipped_algorithms())
def test_every_line_goes_with_every_algorithm(blocks, algorithm):
    lines = [line for block in blocks("ablation") for line in block]
    assert len(lines) > 50
    for line in lines:
        run_of(algorithm, line)


def test_lines_of_a_list_differ_and_one_sweep_is_the_default(blocks):
    default = read_yaml(shipped_algorithms()["mast_qmix"], "")
    for block in blocks("ablation"):
        configs = [run_of("mast_qmix", line) for line in block]
        assert all(a != b for i, a in enumerate(configs) for b in configs[:i]), block
        sweep = any("=" in line for line in block)
        assert configs.count(default) == int(sweep), block


def test_every_shipped_ablation_and_baseline_is_there(blocks):
    named = {line for block in blocks("ablation") for line in block if "=" not in line}
    folders = (overrides_dir() / "ablations", overrides_dir() / "baselines")
    assert named == {path.stem for folder in folders for path in folder.glob("*.yaml")}


def test_batches_of_both_buffers_are_the_papers_together(blocks):
    (batches,) = [b for b in blocks("ablation") if b[0].startswith("batch_size")]
    for line in batches:
        config = run_of("mast_qmix", line)
        assert config["batch_size"] + config["mast"]["online_batch_size"] == 32


@pytest.mark.long
def test_the_three_tickets_train(blocks, run_program, small_run, records, tmp_path):
    (commands,) = blocks("tickets")
    small = [o for o in small_run if not o.startswith("env_args")]
    options = shlex.join(
        [*small, "mast.topology_interval=1", "mast.engine=masked", "save_model=True"]
    )
    python = shlex.quote(sys.executable)
    script = [f'mast() {{ {python} -m epymarl_mast "$@" {options}; }}', *commands]
    run_program(["bash", "-e", "-c", "\n".join(script)], [], tmp_path)

    def masks(ticket, which="masks"):
        files = (tmp_path / ticket).rglob("mast.pt")
        last = max(files, key=lambda path: int(path.parent.name))
        state = torch.load(last, weights_only=True)["topology"][which]
        return torch.cat([state[name].flatten() for name in sorted(state)])

    assert torch.equal(masks("winning"), masks("cheating"))
    assert torch.equal(masks("random"), masks("cheating", "initial_masks"))
    assert not torch.equal(masks("winning"), masks("random"))
    ran = {config["local_results_path"]: metrics for _, config, metrics in records(tmp_path)}
    assert ran.keys() == {"cheating", "winning", "random"}
    updates = {ticket: metrics["mast_topology_updates"][-1] for ticket, metrics in ran.items()}
    assert updates["cheating"] > updates["winning"] == updates["random"] == 0
