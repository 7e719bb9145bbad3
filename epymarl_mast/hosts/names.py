"""Whether a loaded host knows the parts that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epymarl_mast.errors import OptionError, nearest
from epymarl_mast.hosts.base import Host, HostModules


def check_names(host: Host, modules: HostModules, config: Mapping[str, Any]) -> None:
    """Refuse a name that is in none of the host's registries.

    Args:
        host: the host that will run.
        modules: what its :meth:`~epymarl_mast.hosts.base.Host.load` returned.
        config: the resolved configuration.

    Raises:
        OptionError: with the key, the name, the nearest known one and all that are known.
    """
    # EPyMARL's runners register these when they are asked for: both at once break pysc2.
    late = ("sc2", "sc2v2") if host.name == "epymarl" else ()
    known = {
        "learner": modules.learners,
        "runner": modules.runners,
        "mac": modules.controllers,
        "agent": modules.agents,
        "action_selector": modules.action_selectors,
        "env": (*modules.environments, *late),
    }
    for key, registry in known.items():
        names = sorted(registry)
        if key in config and config[key] not in names:
            raise OptionError(
                f"{key}={config[key]!r} is not known to {host.name}"
                f"{nearest(str(config[key]), names)}; allowed are {', '.join(names)}"
            )
