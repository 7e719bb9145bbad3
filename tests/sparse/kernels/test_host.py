"""Where the kernels run, what they say, and that a cache is never a condition."""

import os
import shutil
import subprocess
import sys

import pytest
from filelock import FileLock

kernels = pytest.importorskip("epymarl_mast.sparse.kernels")

IMPORT = """
import sys
import epymarl_mast.sparse.kernels
print(sorted({"numba", "llvmlite"} & set(sys.modules)))
"""
PRODUCT = """
import logging
logging.basicConfig(level=logging.INFO)
import numpy as np, torch
from epymarl_mast.sparse.kernels.host import call, loops
from epymarl_mast.sparse.kernels.loops import multiply
from epymarl_mast.sparse.kernels.patterns import SparseMatrix, stacked
matrix = stacked(SparseMatrix.dense((3, 2)))
csr = matrix.csr(np.ones(6, np.float32))
x, y = np.ones(128, np.float32), np.zeros(192, np.float32)
loops()
print("ready", flush=True)
call(multiply, csr, np.zeros(3, np.float32), 0, 3, False, x, 0, y, 0)
print(y.sum())
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_the_package_is_imported_without_numba():
    assert run(IMPORT).stdout.strip() == "[]"


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_an_unwritable_cache_is_no_error(tmp_path):
    file = tmp_path / "file"  # a directory cannot be made below a file, even by root
    file.touch()

    done = run(PRODUCT, NUMBA_CACHE_DIR=str(file / "cache"))

    assert done.stdout == "ready\n384.0\n"


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_no_place_for_a_cache_is_no_error():
    done = run(PRODUCT, NUMBA_CACHE_LOCATOR_CLASSES="ZipCacheLocator")

    assert done.stdout == "ready\n384.0\n"
    assert done.stderr.count("Compiling the sparse kernels") == 1


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_compilation_is_announced_where_there_is_no_cached_code(tmp_path):
    done = run(PRODUCT, NUMBA_CACHE_DIR=str(tmp_path))

    assert done.stdout == "ready\n384.0\n"
    assert done.stderr.count("Compiling the sparse kernels") == 1
    assert list(tmp_path.rglob("loops.multiply-*.nbc"))


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_processes_compile_one_after_the_other(tmp_path):
    run(PRODUCT, NUMBA_CACHE_DIR=str(tmp_path))
    (lock,) = tmp_path.rglob("epymarl_mast.lock")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    with FileLock(lock):
        other = subprocess.Popen(
            [sys.executable, "-c", PRODUCT], env=environment, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1.5)
    output, _ = other.communicate(timeout=60)
    assert output == "384.0\n"


WITHOUT_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # as on a full disk
"""


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_a_full_disk_is_no_error(tmp_path):
    done = run(WITHOUT_ROOM + PRODUCT, NUMBA_CACHE_DIR=str(tmp_path))

    assert done.stdout == "ready\n384.0\n"
    assert done.stderr.count("this run compiles them for itself") == 1
    assert str(tmp_path) in done.stderr


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
@pytest.mark.parametrize("pattern", ["loops.multiply-*.nbi", "loops.multiply-*.nbc"])
def test_a_damaged_cache_is_made_anew(tmp_path, pattern):
    run(PRODUCT, NUMBA_CACHE_DIR=str(tmp_path))
    (file,) = tmp_path.rglob(pattern)
    file.write_bytes(file.read_bytes()[:100])

    done = run(PRODUCT, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout == "ready\n384.0\n"
    assert done.stderr.count("this run compiles them for itself") == 1
    for compiled in (1, 0):
        done = run(PRODUCT, NUMBA_CACHE_DIR=str(tmp_path))
        assert done.stdout == "ready\n384.0\n"
        assert done.stderr.count("Compiling the sparse kernels") == compiled
        assert "for itself" not in done.stderr


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_code_of_other_sources_is_not_used(tmp_path, repository):
    """Of another file than the function's own, and no newer than what was compiled."""
    package = tmp_path / "here" / "epymarl_mast"
    shutil.copytree(
        repository / "epymarl_mast", package, ignore=shutil.ignore_patterns("*pycache*")
    )
    changed = package / "sparse" / "kernels" / "emit.py"
    environment = {
        "PYTHONPATH": str(package.parent),
        "PYTHONSAFEPATH": "1",  # not the package of this folder
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    times = [run(PRODUCT, **environment).stderr.count("Compiling") for _ in range(2)]
    when = changed.stat().st_mtime - 3600.0
    changed.write_text(changed.read_text() + "\n# other\n")
    os.utime(changed, (when, when))

    assert [*times, run(PRODUCT, **environment).stderr.count("Compiling")] == [1, 0, 1]


@pytest.mark.skipif(not kernels.available(), reason="the sparse kernels do not run here")
def test_code_of_another_cpu_is_not_taken_for_ours(tmp_path):
    """Of a cache that machines of one cluster share."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    other = {**cache, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    said = [run(PRODUCT, **where).stderr.count("Compiling") for where in (other, cache, other)]
    assert said == [1, 1, 0]


@pytest.mark.parametrize(
    ("variable", "broken"), [("NUMBA_DISABLE_JIT", False), ("PYTHONPATH", True)],
    ids=["no compilation", "cannot be imported"],
)  # fmt: skip
def test_a_numba_that_does_not_work_is_not_available(tmp_path, variable, broken):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.x or less')")
    program = "from epymarl_mast.sparse import kernels; print(kernels.available())"
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    done = run(program, **{variable: path if broken else "1"})

    assert done.stdout.strip() == "False"
