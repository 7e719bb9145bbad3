"""The paper's pictures of masks: over training, connections per neuron, density per agent.

Legend: S snapshots, N agents.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from epymarl_mast.report.pictures import COLOURS, STYLE, Picture, steps_axis
from epymarl_mast.report.record import Array
from epymarl_mast.tracking.mask_history import MaskHistory
from epymarl_mast.whole_files import write_whole

_SHOWN = 4
_MILLISECONDS = 200
_GIF_WIDTH = 480
_OWN = re.compile(r"agent\.agents\.(\d+)\.")


def masks_over_training(history: MaskHistory, layer: str) -> Picture:
    """A layer's mask at some steps from the first to the last snapshot; kept weights are dark."""
    chosen = np.unique(np.linspace(0, len(history.steps) - 1, _SHOWN).round().astype(int))
    masks = history.masks[layer][chosen]
    rows, columns = masks.shape[1:]
    tall = rows > 1.2 * columns
    width = 2.3 if tall else 3.2
    height = float(np.clip(width * rows / columns, 0.9, 6.0))
    with rc_context(STYLE):
        figure = Figure(figsize=(width * len(chosen) + 0.5, height + 1.1), layout="constrained")
        places = figure.subplots(1, len(chosen), squeeze=False)[0]
        for axes, mask, step in zip(places, masks, history.steps[chosen], strict=True):
            axes.imshow(mask, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            axes.set_title(f"step {step:,}", fontsize=9)
            axes.set_xlabel("input")
            axes.grid(visible=False)
        places[0].set_ylabel("output")
        density = masks[-1].mean()
        figure.suptitle(f"{layer}, {rows} × {columns}, density {density:.1%}", fontsize=10)
    return Picture(f"masks-{layer}", f"{layer}: masks over training", figure)


def connections(history: MaskHistory, layer: str) -> Picture:
    """Kept weights of each input and output neuron, in descending order, first and last."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.0), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, axis, what in ((left, 1, "input"), (right, 2, "output")):
            counts = -np.sort(-history.masks[layer].sum(axis=axis), axis=1)  # (S, neurons)
            step = history.steps
            axes.plot(counts[0], color=COLOURS[1], linestyle="--", label=f"step {step[0]:,}")
            axes.plot(counts[-1], color=COLOURS[0], label=f"step {step[-1]:,}")
            axes.set_xlabel(f"{what} neuron, by number of connections")
            axes.set_ylim(bottom=0)
        left.set_ylabel("connections")
        left.legend()
        figure.suptitle(layer, fontsize=10)
    return Picture(f"connections-{layer}", f"{layer}: connections per neuron", figure)


def density_per_agent(history: MaskHistory, types: Mapping[str, Sequence[int]]) -> Picture | None:
    """Density of each agent's own network over training; None for shared networks.

    Args:
        history: the masks.
        types: ``{unit type: its agents}``; a type has one colour. Empty: not told apart.
    """
    density = agent_densities(history)
    if not density:
        return None
    type_of = {agent: name for name, agents in types.items() for agent in agents}
    names = list(types) or [""]
    with rc_context(STYLE):
        figure = Figure(figsize=(7.4, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for agent, curve in density.items():
            name = type_of.get(agent, "")
            style = _style(agent, names.index(name) if name in names and types else None)
            left.plot(history.steps, curve, label=name or f"agent {agent}", **style)
            right.barh(f"{agent} {name}".strip(), curve[-1], color=style["color"], height=0.65)
        left.set_xlabel("environment steps")
        left.set_ylabel("density of the agent's network")
        steps_axis(left)
        handles, labels = left.get_legend_handles_labels()
        first = [labels.index(label) for label in dict.fromkeys(labels)]
        left.legend([handles[i] for i in first], [labels[i] for i in first], fontsize=8)
        right.invert_yaxis()
        right.grid(visible=False, axis="y")
        right.set_xlabel("density at the end")
        right.set_ylabel("agent")
    return Picture("density-per-agent", "Density per agent", figure)


def agent_densities(history: MaskHistory) -> dict[int, Array]:
    """``{agent: (S,) share of kept weights in its own network}``; empty for shared networks."""
    kept: dict[int, Array] = {}
    sizes: dict[int, int] = {}
    for name, masks in history.masks.items():
        match = _OWN.match(name)
        if match:
            agent = int(match[1])
            kept[agent] = kept.get(agent, 0) + masks.sum(axis=(1, 2))
            sizes[agent] = sizes.get(agent, 0) + masks[0].size
    return {agent: kept[agent] / sizes[agent] for agent in sorted(kept)}


def write_animation(history: MaskHistory, layer: str, path: Path) -> None:
    """A GIF of a layer's mask, a frame a snapshot; weights that are new in a frame are coloured."""
    masks = history.masks[layer]
    frames = [
        _frame(mask, masks[max(0, i - 1)], f"{layer}  step {history.steps[i]:,}")
        for i, mask in enumerate(masks)
    ]
    picture = io.BytesIO()
    frames[0].save(
        picture, format="GIF", save_all=True, append_images=frames[1:], loop=0,
        duration=[_MILLISECONDS] * (len(frames) - 1) + [5 * _MILLISECONDS],
    )  # fmt: skip
    write_whole(path, picture.getvalue())


def _frame(mask: Array, before: Array, caption: str) -> Image.Image:
    rows, columns = mask.shape
    pixels = np.full((rows, columns, 3), 255, np.uint8)
    pixels[mask] = (40, 40, 40)
    pixels[mask & ~before] = (213, 94, 0)
    scale = max(1, round(_GIF_WIDTH / columns))
    scale = max(1, min(scale, 900 // rows)) if rows * scale > 900 else scale
    large = Image.fromarray(pixels).resize(
        (columns * scale, rows * scale), Image.Resampling.NEAREST
    )
    width = max(large.width, _GIF_WIDTH)
    frame = Image.new("RGB", (width + 20, large.height + 40), "white")
    frame.paste(large, ((width + 20 - large.width) // 2, 32))
    draw = ImageDraw.Draw(frame)
    draw.text((10, 8), caption, fill="black", font=ImageFont.load_default(14))
    left = (width + 20 - large.width) // 2
    draw.rectangle((left - 1, 31, left + large.width, 32 + large.height), outline=(150, 150, 150))
    return frame


def _style(agent: int, kind: int | None) -> dict[str, Any]:
    lines = ("-", "--", "-.", ":")
    number = agent if kind is None else kind
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": lines[agent % len(lines)]}
