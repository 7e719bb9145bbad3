"""Fixtures for every test: which hosts are here, and small runs on them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import settings
from signalled import MAST
from warm import run_python

from epymarl_mast.command import merge
from epymarl_mast.hosts import EPyMARL, PyMARLzooPlus
from epymarl_mast.overrides import overrides_dir, read_yaml

REPOSITORY = Path(__file__).resolve().parent.parent

# Property tests are deterministic and write nothing to disk.
settings.register_profile(
    "mast", deadline=None, derandomize=True, database=None, max_examples=50, print_blob=False
)
settings.load_profile("mast")

# Apart from the user's own, and one for all workers and the programs they start.
os.environ["NUMBA_CACHE_DIR"] = str(REPOSITORY / ".pytest_cache" / "numba")
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(REPOSITORY / ".pytest_cache" / "jax")


def find_checkout() -> Path | None:
    """The EPyMARL checkout to test: $EPYMARL_HOME, else ~/epymarl where it exists."""
    path = Path(os.environ.get("EPYMARL_HOME") or Path.home() / "epymarl")
    return path if EPyMARL.is_checkout(path) else None


def pytest_report_header() -> str:
    checkout, embedded = find_checkout(), PyMARLzooPlus.installed()
    hosts = [f"epymarl {EPyMARL(checkout).version[:7]} in {checkout}"] if checkout else []
    hosts += [f"pymarlzooplus {embedded.version}"] if embedded else []
    return f"hosts tested: {', '.join(hosts) or 'none'}"


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """``long_on(host)``: a whole run that the other host has in ``make test``."""
    both = len(hosts_here()) > 1
    for item in items:
        on = item.get_closest_marker("long_on")
        if both and on and item.callspec.params["host"].name == on.args[0]:
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """As the hosts do; also keeps results bit-identical between machines of the same kind."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


def hosts_here() -> list:
    checkout = find_checkout()
    embedded = PyMARLzooPlus.installed()
    return [*([EPyMARL(checkout)] if checkout else []), *([embedded] if embedded else [])]


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

    def block(*ablations: str, algorithm: str = "mast_qmix", **changes) -> dict:
        config = read_yaml(overrides_dir() / "algs" / f"{algorithm}.yaml", "")
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


@pytest.fixture(scope="session")
def small_run():
    """Options of a run on level-based foraging that takes seconds."""
    return (*LBF, *SMALL_RUN)


def settings_of(environment) -> dict[str, str]:
    """Environment variables of a program, without those of the machine it runs on."""
    left_out = ("EPYMARL_HOME", "SC2PATH", "COLUMNS")
    return {
        **{key: value for key, value in os.environ.items() if key not in left_out},
        "OMP_NUM_THREADS": "1",
        "MAST_HOST_PLOTS": "0",
        **environment,
    }


def ended(code, expected, out, err):
    """What a program gave, if its exit code is the one expected; None expects nothing."""
    if expected is not None:
        assert code == expected, f"exit {code}\n{out}\n{err}"
    return SimpleNamespace(code=code, out=out, err=err)


@pytest.fixture(scope="session")
def run_program():
    """Run a program in a folder, without the settings of the machine it runs on."""

    def run(program, arguments, folder, code: int | None = 0, **environment):
        done = subprocess.run(
            [*map(str, program), *map(str, arguments)],
            cwd=folder,
            env=settings_of(environment),
            capture_output=True,
            text=True,
            timeout=300,
        )
        return ended(done.returncode, code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def run_warm(tmp_path_factory):
    """The same for a module or script of Python, with libraries loaded: see ``warm.py``."""
    printed = tmp_path_factory.mktemp("printed")
    out, err = printed / "out", printed / "err"

    def run(program, arguments, folder, code: int | None = 0, **environment):
        settings = settings_of(environment)
        done = run_python(program, [*map(str, arguments)], folder, settings, out, err)
        return ended(done, code, out.read_text(), err.read_text())

    return run


@pytest.fixture(scope="session")
def mast(run_warm):
    """Run ``mast …`` in a folder; returns code, out and err."""

    def run(folder, *arguments, code: int | None = 0, **environment):
        folder.mkdir(exist_ok=True)
        return run_warm("epymarl_mast", arguments, folder, code, **environment)

    return run


@pytest.fixture(scope="session")
def mast_train(mast, host, small_run):
    """``mast train`` of an algorithm for a few hundred steps on level-based foraging.

    The masked engine unless told otherwise: loading compiled code takes longer than these runs.
    """
    where = host.root if host.name == "epymarl" else host.name

    def run(folder, algorithm, *options, engine="masked", code=0):
        engines = [f"mast.engine={engine}"] if algorithm.startswith("mast_") else []
        return mast(
            folder, "train", "--host", where, f"--config={algorithm}", "--env-config=gymma",
            "with", *small_run, *engines, *options, code=code,
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def records():
    """``(directory, config, {metric: values})`` of every Sacred run below a folder, in order."""

    def read(path):
        return json.loads(path.read_text())

    def find(folder):
        runs = sorted(folder.glob("**/sacred/*/*/[0-9]*/run.json"))
        return [
            (
                run.parent,
                read(run.with_name("config.json")),
                {k: v["values"] for k, v in read(run.with_name("metrics.json")).items()},
            )
            for run in runs
        ]

    return find


@pytest.fixture(scope="session")
def kill_test(repository):
    """The functions of ``benchmarks/kill_test.py``, which compare runs."""
    spec = importlib.util.spec_from_file_location(
        "kill_test", repository / "benchmarks/kill_test.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_test"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def signalled_mast():
    """``mast`` that gets $SIGNAL while it writes file $AT_FILE of its checkpoints."""
    return MAST


@pytest.fixture
def mongo(tmp_path):
    """``host:port`` of a MongoDB server.

    The one in $MAST_TEST_MONGO_URL; else a ``mongod`` of the PATH; else the test double
    ``tests/hosts/minimongo.py``, to which unmodified pymongo talks over TCP.
    """
    if url := os.environ.get("MAST_TEST_MONGO_URL"):
        yield url
        return
    with mongo_server(tmp_path) as (address, _):
        yield address


@contextmanager
def mongo_server(folder):
    """A server of our own: its address and its process."""
    if program := shutil.which("mongod"):
        port = free_port()
        data = folder / "mongod"
        data.mkdir()
        command = [program, "--port", str(port), "--dbpath", str(data), "--bind_ip", "127.0.0.1"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                yield f"127.0.0.1:{port}", server
            finally:
                server.kill()
        return
    script = REPOSITORY / "tests" / "hosts" / "minimongo.py"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"127.0.0.1:{server.stdout.readline().strip()}", server
        finally:
            server.kill()


@pytest.fixture
def own_mongo(tmp_path):
    """Address and process of a server that a test may kill."""
    with mongo_server(tmp_path) as found:
        yield found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def unused_port():
    return free_port
