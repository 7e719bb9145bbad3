"""An array script for SLURM: one task a run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from epymarl_mast.sweep.plan import Run


def array_script(file: Path, runs: Sequence[Run], results: Path) -> str:
    """A script for ``sbatch``; every task executes one run, and none that has finished.

    A task is told two minutes before its time is up, so that its run can write a checkpoint.

    Args:
        file: the sweep's file.
        runs: those that are left.
        results: folder for the tasks' own output.
    """
    program = shlex.join([sys.executable, "-m", "epymarl_mast", "sweep", str(file), "--only"])
    output = shlex.quote(str(results / "sweep" / "slurm-%A_%a.txt"))
    return f"""#!/bin/bash
#SBATCH --job-name={shlex.quote(file.stem)}
#SBATCH --array=0-{len(runs) - 1}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --output={output}
#SBATCH --signal=B:TERM@120
runs=({" ".join(run.id for run in runs)})
cd {shlex.quote(str(Path.cwd()))} || exit 1
exec {program} "${{runs[$SLURM_ARRAY_TASK_ID]}}"
"""
