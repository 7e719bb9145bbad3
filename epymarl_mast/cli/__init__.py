"""The command line: ``mast …``, one file a command.

Commands import inside their functions what needs torch, which takes two seconds: ``mast --help``,
``attach`` and ``doctor`` do without.
"""

from __future__ import annotations

import sys

from epymarl_mast.errors import MastError


def main() -> None:
    """Entry point of the console script; errors a user can mend are one line and exit code 2."""
    try:
        from epymarl_mast.cli.app import app

        app()
    except MastError as error:
        print(f"mast: error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("mast: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
