"""A Python program in a process that starts with the hosts' libraries loaded.

Each test of a run would spend most of its time on importing them. The process is a fork of one
that has imported libraries and nothing of ours or of a host, so what a run does to it stays there.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

LIBRARIES = (
    "torch", "torch._dynamo", "numba", "sacred", "scipy.stats", "matplotlib.pyplot", "seaborn",
    "sklearn.neighbors", "gymnasium", "lbforaging", "pymongo", "yaml", "typer", "git",
)  # fmt: skip

_server = get_context("forkserver")
_server.set_forkserver_preload([name for name in LIBRARIES if importlib.util.find_spec(name)])


def run_python(
    program: str | Path,
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    out: Path,
    err: Path,
) -> int:
    """Run ``python -m program …``, or ``python program …`` for a path, in a folder.

    Returns:
        The exit code.

    Raises:
        TimeoutError: after five minutes.
    """
    work = (program, list(arguments), str(folder), dict(environment), str(out), str(err))
    process = _server.Process(target=_run, args=work)
    process.start()
    process.join(300)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{program} {' '.join(arguments)}")
    return process.exitcode


def _run(
    program: str | Path,
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    out: str,
    err: str,
) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [str(program), *arguments]
    first = folder if isinstance(program, str) else str(program.resolve().parent)
    sys.path[:0] = [first, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    try:
        if isinstance(program, str):
            runpy.run_module(program, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(program), run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing leaves out
