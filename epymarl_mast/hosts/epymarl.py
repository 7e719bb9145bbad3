"""EPyMARL: a git checkout with a ``src/`` layout, not a package."""

from __future__ import annotations

import importlib
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epymarl_mast.errors import HostError
from epymarl_mast.hosts import compat, reach, smaclite_maps
from epymarl_mast.hosts.base import Host, HostModules
from epymarl_mast.hosts.environments import PACKAGES, installed


class EPyMARL(Host):
    """An EPyMARL checkout at ``root``."""

    name = "epymarl"

    @staticmethod
    def is_checkout(path: Path) -> bool:
        """Whether ``path`` looks like the root of an EPyMARL checkout."""
        source = path / "src"
        return all((source / part).exists() for part in ("main.py", "config/algs", "learners"))

    @property
    def main(self) -> Path:
        """The host's main script."""
        return self.root / "src" / "main.py"

    @property
    def config_dir(self) -> Path:
        return self.root / "src" / "config"

    @property
    def version(self) -> str:
        command = ["git", "-C", str(self.root), "rev-parse", "HEAD"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return "no git commit"
        return done.stdout.strip()

    def load(self) -> HostModules:
        source = str(self.root / "src")
        if source not in sys.path:
            sys.path.insert(0, source)
        compat.quieten_third_parties()
        compat.stub_missing_smaclite()
        if installed(PACKAGES["smaclite"]):
            smaclite_maps.register()
        learners = importlib.import_module("learners")
        if Path(learners.__file__ or "").resolve().parent.parent != Path(source).resolve():
            raise HostError(f"another module named 'learners' hides that of the checkout {source}")
        buffers = importlib.import_module("components.episode_buffer")
        compat.index_with_tuples(buffers.EpisodeBatch)
        qmix = importlib.import_module("modules.mixers.qmix")
        vdn = importlib.import_module("modules.mixers.vdn")
        return HostModules(
            learners=learners.REGISTRY,
            runners=importlib.import_module("runners").REGISTRY,
            controllers=importlib.import_module("controllers").REGISTRY,
            agents=importlib.import_module("modules.agents").REGISTRY,
            action_selectors=importlib.import_module("components.action_selectors").REGISTRY,
            environments=importlib.import_module("envs").REGISTRY,
            mixers={"qmix": qmix.QMixer, "vdn": lambda args: vdn.VDNMixer()},
            running_mean_std=importlib.import_module("components.standarize_stream").RunningMeanStd,
            episode_batch=buffers.EpisodeBatch,
            episodes_of=lambda returned: returned,
            copies_common_reward=True,
            returned=lambda episodes, returns: episodes,
            selected=lambda actions: actions,
            step=_step,
            relieve=compat.pad_short_observations_only,
            prints=False,
            replay_buffer=reach.note_newest(buffers.ReplayBuffer),
            stepped=lambda reward, ended, cut, info: (None, reward, ended, cut, info),
        )

    def run(self, arguments: Sequence[str], results: Path) -> Path | None:
        self.load()
        logging = importlib.import_module("utils.logging")
        with (
            compat.sacred_results_in(self.root / "results", results) as records,
            compat.tensorboard_in(logging.Logger, results),
            compat.end_without_threads(importlib.import_module("run")),
            compat.arguments([str(self.main), *arguments]),
        ):
            runpy.run_path(str(self.main), run_name="__main__")
        return records.folder


def _step(environment: Any, actions: Any) -> tuple[Any, bool, dict[str, Any]]:
    _, reward, terminated, truncated, info = environment.step(actions)
    return reward, terminated or truncated, info
