"""``mast masks``: pictures of a run's masks."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Optional

import typer

from epymarl_mast.cli.report import picture_formats
from epymarl_mast.errors import OptionError, needs_package
from epymarl_mast.tracking.mask_history import MaskHistory
from epymarl_mast.wording import counted


def masks(
    run: Annotated[Path, typer.Argument(help="The run's Sacred directory.")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("masks"),
    layer: Annotated[
        str, typer.Option(help="Layers to draw, a pattern: 'mixer.*', '*.fc1.weight'.")
    ] = "agent.*",
    types: Annotated[
        Optional[str],
        typer.Option(help="Unit types in the order of the agents: stalker:3,zealot:5."),
    ] = None,
    formats: Annotated[str, typer.Option(help="Of the pictures: png, svg, pdf.")] = "png",
    animation: Annotated[bool, typer.Option(help="A GIF of each layer too.")] = True,
) -> None:
    """Masks over training, connections per neuron and density per agent, as pictures."""
    with needs_package("mast masks", extra="report"):
        from epymarl_mast.report import mask_pictures as draw

    kinds = picture_formats(formats)
    history = MaskHistory.of_run(run)
    layers = [name for name in history.masks if fnmatch(name, layer)]
    if not layers:
        raise OptionError(
            f"--layer={layer} fits no layer of this run: allowed are {', '.join(history.masks)}"
        )
    densities = draw.density_per_agent(history, agents_of_types(types))
    out.mkdir(parents=True, exist_ok=True)
    pictures = [densities] if densities is not None else []
    written: list[Path] = []
    for name in layers:
        pictures += [draw.masks_over_training(history, name), draw.connections(history, name)]
        if animation:
            written.append(out / f"masks-{name}.gif")
            draw.write_animation(history, name, written[-1])
    for picture in pictures:
        written += picture.write(out, kinds)
    typer.echo(
        f"{counted(len(history.steps), 'snapshot')} of {counted(len(layers), 'layer')}; "
        f"{counted(len(written), 'file')} in {out}"
    )


def agents_of_types(text: str | None) -> dict[str, list[int]]:
    """``stalker:3,zealot:5`` as ``{stalker: [0, 1, 2], zealot: [3, …]}``.

    Raises:
        OptionError: for other text.
    """
    found: dict[str, list[int]] = {}
    first = 0
    for part in text.split(",") if text else []:
        name, _, count = part.partition(":")
        if not name or not count.isdigit():
            raise OptionError(f"--types={text}: allowed are types with counts, stalker:3,zealot:5")
        found[name] = [*found.get(name, []), *range(first, first + int(count))]
        first += int(count)
    return found
