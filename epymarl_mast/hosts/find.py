"""Which host to use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from epymarl_mast.errors import HostError
from epymarl_mast.hosts.base import Host
from epymarl_mast.hosts.epymarl import EPyMARL
from epymarl_mast.hosts.pymarlzooplus import PyMARLzooPlus
from epymarl_mast.overrides import user_path

GET_A_HOST = (
    "get one with: pip install --no-deps pymarlzooplus==1.1.0 && pip install 'epymarl-mast[host]', "
    "or clone uoe-agents/epymarl and pass --host PATH"
)


def find_host(wanted: str | None = None) -> Host:
    """The host to run on.

    Looks at ``wanted`` (a path of a checkout, or ``pymarlzooplus``), else ``$EPYMARL_HOME``, else
    the working directory if it is a checkout, else the installed ``pymarlzooplus``.

    Raises:
        HostError: if the one asked for is not there, or there is none at all.
    """
    if wanted == PyMARLzooPlus.name:
        return _installed() or _fail("--host=pymarlzooplus: the package is not installed")
    if wanted is not None:
        return _checkout(wanted, f"--host={wanted}")
    if home := os.environ.get("EPYMARL_HOME"):
        return _checkout(home, f"EPYMARL_HOME={home}")
    if EPyMARL.is_checkout(Path.cwd()):
        return EPyMARL(Path.cwd())
    return _installed() or _fail(
        "no host found: not in --host, not in EPYMARL_HOME, the working directory is no EPyMARL "
        "checkout, and pymarlzooplus is not installed"
    )


def running_host() -> EPyMARL | None:
    """The checkout whose ``main.py`` is the running program, or None."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is None:
        return None
    root = Path(main).resolve().parent.parent
    is_main = Path(main).name == "main.py" and Path(main).resolve().parent.name == "src"
    return EPyMARL(root) if is_main and EPyMARL.is_checkout(root) else None


def _installed() -> Host | None:
    return PyMARLzooPlus.installed()


def _checkout(path: str, said: str) -> Host:
    root = user_path(path).resolve()
    if not EPyMARL.is_checkout(root):
        raise HostError(f"{said} is not an EPyMARL checkout (no src/main.py with its config there)")
    return EPyMARL(root)


def _fail(message: str) -> Host:
    raise HostError(f"{message}; {GET_A_HOST}")
