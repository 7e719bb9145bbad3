"""PyMARLzoo+: EPyMARL's descendant on PyPI, the embedded host."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from epymarl_mast.hosts import compat, reach
from epymarl_mast.hosts.base import Host, HostModules


class PyMARLzooPlus(Host):
    """The installed package ``pymarlzooplus``."""

    name = "pymarlzooplus"

    @classmethod
    def installed(cls) -> PyMARLzooPlus | None:
        """The package, or None where it is not installed. Imports nothing."""
        spec = importlib.util.find_spec("pymarlzooplus")
        if spec is None or spec.origin is None:
            return None
        return cls(Path(spec.origin).parent)

    @property
    def config_dir(self) -> Path:
        return self.root / "config"

    @property
    def version(self) -> str:
        return importlib.metadata.version("pymarlzooplus")

    def load(self) -> HostModules:
        compat.quieten_third_parties()
        importlib.import_module("pymarlzooplus")
        buffers = importlib.import_module("pymarlzooplus.components.episode_buffer")
        compat.index_with_tuples(buffers.EpisodeBatch)
        qmix = importlib.import_module("pymarlzooplus.modules.mixers.qmix")
        vdn = importlib.import_module("pymarlzooplus.modules.mixers.vdn")
        streams = importlib.import_module("pymarlzooplus.components.standarize_stream")
        selectors = importlib.import_module("pymarlzooplus.components.action_selectors")
        return HostModules(
            learners=importlib.import_module("pymarlzooplus.learners").REGISTRY,
            runners=importlib.import_module("pymarlzooplus.runners").REGISTRY,
            controllers=importlib.import_module("pymarlzooplus.controllers").REGISTRY,
            agents=importlib.import_module("pymarlzooplus.modules.agents").REGISTRY,
            action_selectors=selectors.REGISTRY,
            environments=importlib.import_module("pymarlzooplus.envs").REGISTRY,
            mixers={"qmix": qmix.QMixer, "vdn": lambda args: vdn.VDNMixer()},
            running_mean_std=streams.RunningMeanStd,
            episode_batch=buffers.EpisodeBatch,
            episodes_of=lambda returned: returned[0],
            copies_common_reward=False,
            returned=lambda episodes, returns: (episodes, returns),
            selected=lambda actions: (actions, {}),
            step=lambda environment, actions: environment.step(actions),
            relieve=lambda environment: None,
            prints=True,
            replay_buffer=reach.note_newest(buffers.ReplayBuffer),
            stepped=lambda reward, ended, cut, info: (reward, ended or cut, info),
        )

    def run(self, arguments: Sequence[str], results: Path) -> Path | None:
        self.load()
        # The package's __init__ binds a function to the name of the module.
        main = sys.modules["pymarlzooplus.main"]
        logging = importlib.import_module("pymarlzooplus.utils.logging_setup")
        host_results = Path(main.get_caller_path()) / "results"
        program = str(self.root / "main.py")
        with (
            compat.sacred_results_in(host_results, results) as records,
            compat.tensorboard_in(logging.Logger, results),
            compat.finish_without_plot_errors(main),
            compat.end_without_threads(sys.modules["pymarlzooplus.run"]),
            compat.repositories_without_commits(),
            compat.arguments([program, *arguments]),
        ):
            main.pymarlzooplus([program, *arguments])
        return records.folder
