"""Which environments can be made here, and what a missing one needs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from epymarl_mast.errors import OptionError, nearest
from epymarl_mast.hosts import smaclite_maps
from epymarl_mast.hosts.base import Host


@dataclass(frozen=True)
class Package:
    """A package that brings environments.

    Attributes:
        module: what to import; a submodule where the top name alone is ambiguous.
        mend: the command that installs it.
        title: what it brings.
    """

    module: str
    mend: str
    title: str


_GITHUB = "pip install git+https://github.com/"

# PyPI's "smac" is another project (AutoML's SMAC3), so the submodule is asked for.
PACKAGES: dict[str, Package] = {
    "lbforaging": Package("lbforaging", "pip install 'lbforaging>=2.0,<3'", "level-based foraging"),
    "rware": Package("rware", "pip install 'rware>=2.0,<3'", "multi-robot warehouse"),
    "pettingzoo": Package(
        "pettingzoo.mpe", "pip install 'pettingzoo[mpe]==1.25.0'", "PettingZoo MPE"
    ),
    "vmas": Package("vmas", "pip install 'vmas[gymnasium]==1.5.2'", "VMAS"),
    "smaclite": Package(
        "smaclite.env",
        "pip install rtree pygame scikit-learn && pip install --no-deps "
        "git+https://github.com/uoe-agents/smaclite.git",
        "SMAClite",
    ),
    "mamujoco": Package(
        "gymnasium_robotics", "pip install 'gymnasium-robotics>=1.4,<2'", "Multi-Agent MuJoCo"
    ),
    "smax": Package("jaxmarl", "pip install 'jaxmarl>=0.2,<0.3'", "SMAX (JaxMARL)"),
    "sc2": Package("smac.env", f"{_GITHUB}oxwhirl/smac.git", "SMAC (StarCraft II)"),
    "sc2v2": Package("smacv2.env", f"{_GITHUB}oxwhirl/smacv2.git", "SMACv2 (StarCraft II)"),
}

_EXAMPLE_KEYS = {
    "gymma": "lbforaging:Foraging-8x8-2p-3f-v3",
    "mast_mamujoco": "HalfCheetah",
    "pettingzoo": "pistonball_v6",
    "overcooked": "cramped_room",
    "pressureplate": "pressureplate-linear-4p-v0",
    "capturetarget": "CaptureTarget-6x6-1t-2a-v0",
    "boxpushing": "BoxPushing-6x6-2a-v0",
}
_GYMMA_OF_PYMARLZOOPLUS = ("lbforaging", "rware", "mpe")

# Whatever of them can be read: why nobody can bring them to where they were.
NEVER_EXACT = {
    "sc2": "is StarCraft II, a program whose state cannot be read",
    "sc2v2": "is StarCraft II, a program whose state cannot be read",
    "smaclite": "keeps units in sets, whose order is that of their addresses",
}

# Named here, because importing JaxMARL takes seconds.
SMAX_MAPS = (
    "3m", "8m", "25m", "2s3z", "3s5z", "5m_vs_6m", "10m_vs_11m", "27m_vs_30m", "3s5z_vs_3s6z",
    "3s_vs_5z", "6h_vs_8z", "smacv2_5_units", "smacv2_10_units", "smacv2_20_units",
)  # fmt: skip


def installed(package: Package) -> bool:
    """Whether a package can be imported; a package that breaks on import counts as missing."""
    try:
        return importlib.util.find_spec(package.module) is not None
    except (ImportError, ValueError, OSError):
        return False


def starcraft_folder() -> Path:
    """Where StarCraft II is expected: ``$SC2PATH``, else as EPyMARL has it."""
    return Path(os.environ.get("SC2PATH", Path.cwd() / "3rdparty" / "StarCraftII"))


def check_environment(host: Host, config: Mapping[str, Any]) -> None:
    """Refuse an environment whose packages or files are missing.

    Args:
        host: the host that will make it.
        config: the resolved configuration; ``env`` and ``env_args`` are read.

    Raises:
        OptionError: naming what is missing and the command that mends it.
    """
    name = config.get("env")
    arguments = config.get("env_args") or {}
    if name in ("sc2", "sc2v2", "smaclite"):
        _need(PACKAGES[name], f"--env-config={name}")
        if not arguments.get("map_name"):
            raise OptionError(f"env_args.map_name is needed by env={name!r}, for instance 3m")
    if name == "mast_mamujoco":
        _need(PACKAGES["mamujoco"], f"--env-config={name}")
        _check_time_limit(arguments.get("time_limit"))
    if name == "smax":
        check_smax(
            arguments.get("map_name"),
            arguments.get("time_limit"),
            arguments.get("reward_scale"),
            config.get("common_reward", True),
        )
        for key in ("render", "save_replay"):
            if config.get(key):
                raise OptionError(f"{key}=True: env='smax' draws nothing; False is allowed")
    if name == "smaclite" and arguments["map_name"] not in smaclite_maps.names():
        raise OptionError(
            f"env_args.map_name={arguments['map_name']}: SMAClite has no such map; allowed are "
            f"{', '.join(smaclite_maps.names())}"
        )
    if name in ("sc2", "sc2v2") and not starcraft_folder().is_dir():
        raise OptionError(
            f"--env-config={name}: StarCraft II is not in {starcraft_folder()}; install it "
            "(EPyMARL has install_sc2.sh) and point SC2PATH at it"
        )
    if "key" in arguments and not arguments["key"]:
        example = _EXAMPLE_KEYS.get(str(name))
        hint = f", for instance env_args.key={example}" if example else ""
        raise OptionError(f"env_args.key is needed by env={name!r}{hint}")
    if name == "gymma":
        _check_gymma(host, arguments)


def check_smax(map_name: Any, time_limit: Any, reward_scale: Any, common_reward: Any) -> None:
    """Refuse arguments of ``smax``, or that it is made where JaxMARL is missing.

    Raises:
        OptionError: naming the argument and what is allowed, or the command that installs it.
    """
    _need(PACKAGES["smax"], "--env-config=smax")
    if map_name not in SMAX_MAPS:
        raise OptionError(
            f"env_args.map_name={map_name}: SMAX has no such map{nearest(str(map_name), SMAX_MAPS)}"
            f"; allowed are {', '.join(SMAX_MAPS)}"
        )
    _check_time_limit(time_limit)
    if isinstance(reward_scale, bool) or not reward_scale > 0:
        raise OptionError(f"env_args.reward_scale={reward_scale!r} is not allowed: a number > 0 is")
    if not common_reward:
        raise OptionError("common_reward=False: env='smax' has the team's reward only: True is")


def _check_time_limit(limit: Any) -> None:
    if isinstance(limit, bool) or not (isinstance(limit, int) and limit > 0):
        raise OptionError(f"env_args.time_limit={limit!r} is not allowed: a number > 0 is")


def _check_gymma(host: Host, arguments: Mapping[str, Any]) -> None:
    key = str(arguments.get("key"))
    module = key.partition(":")[0]
    if ":" in key and module in PACKAGES:
        _need(PACKAGES[module], f"env_args.key={key}")
    limit = arguments.get("time_limit")
    if limit is not None:
        _check_time_limit(limit)
    if host.name != "pymarlzooplus":
        return
    if module not in _GYMMA_OF_PYMARLZOOPLUS:
        raise OptionError(
            f"env_args.key={key}: pymarlzooplus makes under gymma only "
            f"{', '.join(f'{known}:NAME' for known in _GYMMA_OF_PYMARLZOOPLUS)}, for instance "
            f"{_EXAMPLE_KEYS['gymma']}{nearest(module, _GYMMA_OF_PYMARLZOOPLUS)}"
        )
    if module == "lbforaging" and limit and limit > 50:
        raise OptionError(
            f"env_args.time_limit={limit}: pymarlzooplus allows at most 50 for lbforaging "
            "(100 is its default): env_args.time_limit=50"
        )


def check_gymnasium_knows(host: Host, config: Mapping[str, Any]) -> None:
    """Refuse a gymma key that nothing registered; the host must be loaded, it registers some.

    Raises:
        OptionError: with gymnasium's own sentence.
    """
    key = str((config.get("env_args") or {}).get("key"))
    module, colon, name = key.partition(":")
    renamed = host.name == "pymarlzooplus" and (module == "mpe" or "v1" in name or "v2" in name)
    if config.get("env") != "gymma" or renamed:
        return
    import gymnasium

    try:
        if colon:
            importlib.import_module(module)
        gymnasium.spec(name if colon else key)
    except (gymnasium.error.Error, ImportError) as error:
        hint = "" if colon else f"; with its package it reads {_EXAMPLE_KEYS['gymma']}"
        raise OptionError(f"env_args.key={key}: {str(error).splitlines()[0]}{hint}") from None


def _need(package: Package, said: str) -> None:
    if not installed(package):
        raise OptionError(f"{said} needs {package.title}, which is not installed: {package.mend}")
