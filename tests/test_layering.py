"""The core knows neither a host nor its own neighbours."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

CORE = ("sparse", "targets", "replay")
HOSTS = ("pymarlzooplus", "sacred", "gymnasium", "learners", "runners", "controllers", "modules")
FOREIGN = {*HOSTS, "components", "envs", "utils", "pydantic", "yaml"}
PROGRAM = """
import sys
for name in sys.argv[1:]:
    __import__(f"epymarl_mast.{name}")
print(*sys.modules, sep="\\n")
"""


def loaded_by(*packages):
    """The modules a fresh process has after importing packages of ours and nothing else."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *packages],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


def test_the_core_loads_no_host():
    loaded = {name.partition(".")[0] for name in loaded_by(*CORE)}

    assert {"epymarl_mast", "torch"} <= loaded
    assert loaded & FOREIGN == set()


def test_the_command_line_starts_without_torch():
    """Which takes two seconds, and attach and doctor do not need it."""
    loaded = loaded_by("cli.app")

    assert "epymarl_mast.cli.train" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("package", CORE)
def test_a_core_package_imports_no_other_of_ours(package):
    own = f"epymarl_mast.{package}"

    ours = [name for name in loaded_by(package) if name.startswith("epymarl_mast.")]

    assert own in ours
    assert [name for name in ours if not f"{name}.".startswith(f"{own}.")] == []


@pytest.mark.parametrize("package", CORE)
def test_all_it_imports_anywhere_is_torch_and_the_standard_library(repository, package):
    allowed = ("torch", f"epymarl_mast.{package}")
    for file in (repository / "epymarl_mast" / package).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file.name} has a relative import"
                names = [node.module]
            else:
                continue
            for name in names:
                standard = name.partition(".")[0] in sys.stdlib_module_names
                assert standard or name.startswith(allowed), f"{file.name} imports {name}"
