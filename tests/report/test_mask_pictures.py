"""Pictures of masks show the masks."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from epymarl_mast.cli.app import app
from epymarl_mast.cli.masks import agents_of_types
from epymarl_mast.errors import MastError, OptionError
from epymarl_mast.report.mask_pictures import (
    agent_densities,
    connections,
    density_per_agent,
    masks_over_training,
)
from epymarl_mast.tracking.mask_history import MaskHistory, packed

FIRST = [[1, 0, 0], [1, 0, 1]]
LAST = [[0, 0, 1], [1, 1, 1]]
OWN = {f"agent.agents.{i}.fc1.weight": np.zeros((2, 2, 5), bool) for i in range(3)}


@pytest.fixture
def history():
    return MaskHistory(np.array([10, 500]), {"agent.fc1.weight": np.array([FIRST, LAST], bool)})


@pytest.fixture
def own():
    masks = {name: mask.copy() for name, mask in OWN.items()}
    masks["agent.agents.0.fc1.weight"][1, 0] = True
    masks["agent.agents.2.fc1.weight"][1] = True
    return MaskHistory(np.array([10, 500]), masks)


def test_connections_are_counted_and_in_descending_order(history):
    left, right = connections(history, "agent.fc1.weight").figure.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[2, 1, 0], [2, 1, 1]]
    assert [line.get_ydata().tolist() for line in right.lines] == [[2, 1], [3, 1]]
    assert [line.get_label() for line in left.lines] == ["step 10", "step 500"]


def test_masks_are_drawn_as_they_are(history):
    first, last = masks_over_training(history, "agent.fc1.weight").figure.axes
    assert first.images[0].get_array().tolist() == [[bool(x) for x in row] for row in FIRST]
    assert last.images[0].get_array().tolist() == [[bool(x) for x in row] for row in LAST]
    assert last.get_title() == "step 500"


def test_density_of_each_agent(own, history):
    assert {agent: d.tolist() for agent, d in agent_densities(own).items()} == {
        0: [0.0, 0.5], 1: [0.0, 0.0], 2: [0.0, 1.0],
    }  # fmt: skip
    assert density_per_agent(history, {}) is None
    figure = density_per_agent(own, agents_of_types("stalker:1,zealot:2")).figure
    curves, bars = figure.axes
    assert [line.get_label() for line in curves.lines] == ["stalker", "zealot", "zealot"]
    assert curves.lines[1].get_color() == curves.lines[2].get_color() != curves.lines[0].get_color()
    assert [bar.get_width() for bar in bars.patches] == [0.5, 0.0, 1.0]


def test_unit_types():
    assert agents_of_types("stalker:2,zealot:1,stalker:1") == {"stalker": [0, 1, 3], "zealot": [2]}
    for wrong in ("stalker", "stalker:x", ":3"):
        with pytest.raises(OptionError, match="allowed are types with counts"):
            agents_of_types(wrong)


@pytest.fixture
def invoke(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mast"])
        result = CliRunner().invoke(app, ["masks", *map(str, arguments)])
        if isinstance(result.exception, MastError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_mast_masks_writes_pictures_and_an_animation(invoke, history, tmp_path):
    for step, mask in zip(history.steps, history.masks["agent.fc1.weight"], strict=True):
        np.savez_compressed(tmp_path / f"masks_{step:012d}.npz", allow_pickle=False,
                            **packed({"agent.fc1.weight": mask, "mixer.w": mask}))  # fmt: skip
    out = tmp_path / "out"
    said = invoke(tmp_path, "--out", out)
    assert "2 snapshots of 1 layer; 3 files" in said
    assert {path.name for path in out.iterdir()} == {
        "connections-agent.fc1.weight.png",
        "masks-agent.fc1.weight.gif",
        "masks-agent.fc1.weight.png",
    }
    gif = Image.open(out / "masks-agent.fc1.weight.gif")
    assert gif.n_frames == 2
    for frame, mask in enumerate(history.masks["agent.fc1.weight"]):
        gif.seek(frame)
        pixels = np.asarray(gif.convert("RGB").crop((10, 32, gif.width - 10, gif.height - 8)))
        height, width = (size // count for size, count in zip(pixels.shape, (2, 3), strict=False))
        centres = pixels[height // 2 :: height, width // 2 :: width][:2, :3]
        assert ((centres.sum(axis=2) < 600) == mask).all()
    with pytest.raises(OptionError, match=r"allowed are agent\.fc1\.weight, mixer\.w"):
        invoke(tmp_path, "--layer", "critic.*", "--out", out)
