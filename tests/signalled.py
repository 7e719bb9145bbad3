"""Programs that send themselves a signal while they write a checkpoint, and their records."""

from __future__ import annotations

# The so-many-th file of a checkpoint is where the signal comes, with the file half written.
SIGNALLED = """
import os
import sys
from epymarl_mast.resume import writer

calls, store = 0, writer.store

def signalled(path, content, **named):
    global calls
    calls += 1
    if calls == int(os.environ["AT_FILE"]):
        path.with_name(path.name + ".tmp").write_bytes(content[:100])
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    return store(path, content, **named)

writer.store = signalled
sys.argv[0] = "mast"
"""
MAST = f"{SIGNALLED}\nfrom epymarl_mast.cli import main\nmain()\n"
CHECKPOINTS = (
    "mast.checkpoint_interval=40", "mast.engine=masked", "mast.topology_interval=2",
    "mast.online_buffer_size=6", "mast.online_batch_size=2", "save_model=True",
    "save_model_interval=100", "seed=4",
)  # fmt: skip


def resuming(host, folder):
    """``train --resume`` of the run below a folder."""
    on = ("--host", str(host.root)) if host.name == "epymarl" else ()
    return ("train", "--resume", str(folder / "results"), *on)


def record_of(folder):
    [file] = folder.glob("results/sacred/*/*/*/run.json")
    return file.parent
