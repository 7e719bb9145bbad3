"""``python -m epymarl_mast.sweep FILE ID``: one run of a sweep, as ``mast sweep FILE --only ID``.

What a sweep starts for each run. It imports neither torch nor the command line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from epymarl_mast.errors import exits_cleanly
from epymarl_mast.sweep.one_run import execute
from epymarl_mast.sweep.plan import read_sweep


@exits_cleanly
def main(file: str, identity: str) -> None:
    """Execute the run ``identity`` of ``file``; its exit code is this program's."""
    raise SystemExit(execute(read_sweep(Path(file)).run(identity)))


if __name__ == "__main__":
    main(*sys.argv[1:])
