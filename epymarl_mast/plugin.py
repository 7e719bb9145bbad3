"""Put the plugin's parts into a host's registries."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Any

from epymarl_mast.controllers.cem import cem_mac
from epymarl_mast.controllers.mac import fast_mac
from epymarl_mast.environments import multi_agent_mujoco, smax
from epymarl_mast.errors import HostError, exits_cleanly
from epymarl_mast.extensions import load_extensions
from epymarl_mast.hosts import Host, HostModules, running_host
from epymarl_mast.hosts.attach import keep_results_out_of_git
from epymarl_mast.launch import Invocation, check_on_loaded_host, prepare
from epymarl_mast.learners import LEARNERS, MastQLearner
from epymarl_mast.overrides import shipped_algorithms
from epymarl_mast.resume.command import Unfinished, database_option
from epymarl_mast.resume.stopping import ends_by_its_code
from epymarl_mast.runners import fast_episode_runner, fast_parallel_runner, recording_runner
from epymarl_mast.tracking.provenance import note_provenance

_registered: dict[str, HostModules] = {}
_as_long_as_this_program = ExitStack()


def register(host: Host, *, show_progress: bool = False) -> HostModules:
    """Add learners, controllers and runners to a host; a second call changes nothing.

    Args:
        host: the host to add to; it is imported.
        show_progress: whether the runners show a progress line.

    Raises:
        HostError: if a name is taken by something else.
    """
    if str(host.root) in _registered:
        return _registered[str(host.root)]
    load_extensions()
    modules = host.load()
    for name, learner in LEARNERS.items():
        _add(modules.learners, name, _learner_factory(learner, modules))
    _add(modules.controllers, "mast_mac", fast_mac(modules))
    _add(modules.controllers, "mast_cem_mac", cem_mac(modules))
    _add(modules.environments, "mast_mamujoco", multi_agent_mujoco(modules))
    _add(modules.environments, "smax", smax(modules))
    bases = {
        "mast_episode": fast_episode_runner(modules.runners["episode"], modules),
        "mast_parallel": fast_parallel_runner(modules.runners["parallel"], modules),
    }
    for name, base in bases.items():
        runner = recording_runner(base, modules, show_progress)
        _add(modules.runners, name, _runner_factory(runner))
    _registered[str(host.root)] = modules
    return modules


@exits_cleanly
def register_running_host() -> None:
    """Entry point ``epymarl.plugins``: called by an attached checkout's own ``src/main.py``.

    Checks the command line when it asks for one of our algorithms, and leaves any other alone.
    """
    host = running_host()
    if host is None:
        return
    modules = register(host)
    keep_results_out_of_git(host)
    asked = [a.partition("=")[2] for a in sys.argv if a.startswith("--config=")]
    if asked and asked[0] in shipped_algorithms():
        runs = [a.partition("=")[2] for a in sys.argv if a.startswith("mast.resume=")]
        invocation = _going_on(host, runs[-1]) if runs else prepare(host, sys.argv[1:])
        check_on_loaded_host(host, modules, invocation.config)
        sys.argv[1:] = invocation.arguments
        note_provenance(host)
        ends_by_its_code()


def _going_on(host: Host, run: str) -> Invocation:
    """``mast.resume=RUN`` in an attached checkout: the configuration is the run's own."""
    unfinished = Unfinished.find(run)
    unfinished.check_host(host.name)
    others = database_option(sys.argv[1:])
    for line in unfinished.say(others):
        print(f"mast: {line}", file=sys.stderr, flush=True)
    _as_long_as_this_program.enter_context(unfinished.record_goes_on())
    return prepare(host, unfinished.arguments(others))


def _add(registry: dict[str, Any], name: str, factory: Any) -> None:
    if name in registry:
        raise HostError(f"the host already has something named {name!r}; nothing was overwritten")
    registry[name] = factory


def _learner_factory(kind: type[MastQLearner], modules: HostModules) -> Any:
    @exits_cleanly
    def make(mac: Any, scheme: Any, logger: Any, args: Any) -> MastQLearner:
        learner = kind(mac, scheme, logger, args, host=modules)
        learner.load_models = exits_cleanly(learner.load_models)  # type: ignore[method-assign]
        learner.train = exits_cleanly(learner.train)  # type: ignore[method-assign]
        return learner

    return make


def _runner_factory(kind: type[Any]) -> Any:
    @exits_cleanly
    def make(args: Any, logger: Any) -> Any:
        runner = kind(args, logger)
        runner.run = exits_cleanly(runner.run)
        return runner

    return make
