"""``mast export``: a checkpoint's agent as one file that acts without a host and without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from epymarl_mast.errors import ExportError
from epymarl_mast.wording import counted

SUFFIXES = (".safetensors", ".onnx")


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(help="Folder of a checkpoint, or the folder of numbered ones: the last."),
    ],
    out: Annotated[Path, typer.Argument(help="File to write: *.safetensors or *.onnx.")],
) -> None:
    """Write a checkpoint's agent as one small file; epymarl_mast.export.load_agent acts with it.

    An .onnx file holds the same agent as dense matrices, for other runtimes.
    """
    from epymarl_mast.export.checkpoint import checkpoint_folder, read_checkpoint
    from epymarl_mast.export.file import write_agent
    from epymarl_mast.export.onnx import write_onnx

    if out.suffix not in SUFFIXES:
        raise ExportError(f"OUT={out}: allowed are names that end in {' or '.join(SUFFIXES)}")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ExportError(f"OUT={out}: no file can be written there")
    folder = checkpoint_folder(checkpoint)
    model = read_checkpoint(folder)
    write = write_onnx if out.suffix == ".onnx" else write_agent
    write(out, model.header, model.networks)

    size = out.stat().st_size
    table = Table(title=f"Exported {folder}", show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for what, value in (
        ("file", str(out)),
        ("networks", f"{len(model.networks)} for {counted(model.header.n_agents, 'agent')}"),
        ("weights that are not 0", f"{model.kept:,}"),
        ("dead neurons left out", f"{model.header.removed_units:,}"),
        ("size", f"{size:,} bytes"),
        ("size of the checkpoint's agent", f"{model.dense_bytes:,} bytes"),
        ("smaller by", f"{model.dense_bytes / size:.1f}x"),
    ):
        table.add_row(what, value)
    Console().print(table)
