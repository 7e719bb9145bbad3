"""Programs that send themselves a signal while they write a checkpoint."""

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
