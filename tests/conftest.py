"""Fixtures for every test: which hosts are here, and small runs on them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from epymarl_mast.hosts import EPyMARL, PyMARLzooPlus
from epymarl_mast.launch import merge
from epymarl_mast.overrides import overrides_dir, read_yaml

REPOSITORY = Path(__file__).resolve().parent.parent


def find_checkout() -> Path | None:
    """The EPyMARL checkout to test: $EPYMARL_HOME, else ~/epymarl where it exists."""
    path = Path(os.environ.get("EPYMARL_HOME") or Path.home() / "epymarl")
    return path if EPyMARL.is_checkout(path) else None


def pytest_report_header() -> str:
    checkout, embedded = find_checkout(), PyMARLzooPlus.installed()
    hosts = [f"epymarl {EPyMARL(checkout).version[:7]} in {checkout}"] if checkout else []
    hosts += [f"pymarlzooplus {embedded.version}"] if embedded else []
    return f"hosts tested: {', '.join(hosts) or 'none'}"


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """As the hosts do; also keeps results bit-identical between machines of the same kind."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


def hosts_here() -> list:
    checkout = find_checkout()
    return [*([EPyMARL(checkout)] if checkout else []), PyMARLzooPlus.installed()]


@pytest.fixture(scope="session", params=hosts_here(), ids=lambda host: host.name)
def host(request):
    """Each host on this machine."""
    return request.param


@pytest.fixture(scope="session")
def checkout() -> EPyMARL:
    """The EPyMARL checkout; its tests are skipped where there is none."""
    path = find_checkout()
    if path is None:
        pytest.skip("no EPyMARL checkout (set EPYMARL_HOME)")
    return EPyMARL(path)


@pytest.fixture(scope="session")
def host_module(host):
    """Import a module of the host by its name in EPyMARL's source tree."""
    host.load()
    prefix = "pymarlzooplus." if host.name == "pymarlzooplus" else ""
    return lambda name: importlib.import_module(prefix + name)


@pytest.fixture
def mast_options():
    """The shipped ``mast:`` block, with ablation files and changes laid over it."""

    def block(*ablations: str, **changes) -> dict:
        config = read_yaml(overrides_dir() / "algs" / "mast_qmix.yaml", "")
        for name in ablations:
            merge(config, read_yaml(overrides_dir() / "ablations" / f"{name}.yaml", name))
        return {**config["mast"], **changes}

    return block


SMALL_RUN = (
    "t_max=300",
    "test_nepisode=2",
    "test_interval=150",
    "log_interval=150",
    "learner_log_interval=50",
    "runner_log_interval=50",
    "batch_size=4",
    "buffer_size=8",
    "use_cuda=False",
)
LBF = ("env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=25")


@pytest.fixture
def small_run():
    """Options of a run on level-based foraging that takes seconds."""
    return (*LBF, *SMALL_RUN)


@pytest.fixture
def mast(tmp_path):
    """Run ``mast …`` in an empty working directory; returns code, out and err."""

    def run(*arguments, code: int | None = 0, cwd: Path = tmp_path, **environment):
        return run_program(
            [sys.executable, "-m", "epymarl_mast"], arguments, code, cwd, environment
        )

    return run


def run_program(program, arguments, code, cwd, environment):
    settings = {
        **{k: v for k, v in os.environ.items() if k not in ("EPYMARL_HOME", "SC2PATH")},
        "OMP_NUM_THREADS": "1",
        "MAST_HOST_PLOTS": "0",
        **environment,
    }
    done = subprocess.run(
        [*map(str, program), *map(str, arguments)],
        cwd=cwd,
        env=settings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if code is not None:
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)
