"""``mast attach`` and ``mast detach`` on a copy of the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def copy(checkout, tmp_path):
    """A clean clone of the checkout that a test may change."""
    folder = tmp_path / "epymarl"
    subprocess.run(["git", "clone", "-q", checkout.root, folder], check=True)
    return folder


@pytest.fixture
def main_py(run_program, run_warm, copy):
    """Plain ``python src/main.py …`` in the copy; ``cold``: as a user starts it."""

    def run(*arguments, code=0, cold=False):
        if cold:
            return run_program([sys.executable, "src/main.py"], arguments, copy, code)
        return run_warm(Path("src/main.py"), arguments, copy, code)

    return run


def status(folder):
    command = ["git", "-C", str(folder), "status", "--porcelain"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_attach_run_detach_leaves_nothing_behind(copy, main_py, mast, small_run, tmp_path):
    mast(tmp_path, "attach", copy)
    attached = status(copy)
    assert " M src/main.py" in attached
    assert "src/config/algs/mast_qmix.yaml" in attached
    second = mast(tmp_path, "attach", copy)
    assert "nothing changed" in second.out
    assert status(copy) == attached

    done = main_py("--config=mast_qmix", "--env-config=gymma", "with", *small_run,
                   "mast.sparsity=0.95", "mast.topology=set",
                   "mast.topology_interval=5", cold=True)  # fmt: skip
    assert "Deprecat" not in done.out + done.err
    assert "deprecated" not in done.out + done.err
    main_py("--config=mast_qmix", "--env-config=gymma", "with", *small_run,
            "config_overrides/ablations/no_td_lambda.yaml", "seed=3")  # fmt: skip
    runs = sorted((copy / "results" / "sacred").glob("mast_qmix/*/[0-9]*"))
    first, second = (json.loads((run / "config.json").read_text()) for run in runs)
    metrics = json.loads((runs[0] / "metrics.json").read_text())
    assert (first["mast"]["sparsity"], first["mast"]["topology"]) == (0.95, "set")
    assert metrics["mast_sparsity_total"]["values"][-1] == pytest.approx(0.95, abs=1e-3)
    assert metrics["mast_topology_updates"]["values"][-1] >= 1
    assert (second["mast"]["target"], second["seed"]) == ("one_step", 3)

    mast(tmp_path, "detach", copy)
    assert status(copy) == ""


def test_attached_checkout_checks_options_first(copy, main_py, mast, small_run, tmp_path):
    mast(tmp_path, "attach", copy)
    done = main_py("--config=mast_qmix", "--env-config=gymma", "with", "mast.sparsty=0.5", code=2)
    assert "mast: error: mast.sparsty is not an option" in done.err
    assert "'mast.sparsity'" in done.err
    done = main_py("--config=mast_qmix", "--env-config=sc2", "with", "env_args.map_name=3m", code=2)
    assert "StarCraft II" in done.err
    assert "Traceback" not in done.err
    done = main_py("--config=mast_qmix", "--env-config=gymma", "with", *small_run, "agent=rn",
                   code=2)  # fmt: skip
    assert "mast: error: agent='rn' is not known to epymarl (did you mean 'rnn'?)" in done.err
    assert not (copy / "results" / "sacred").exists()


def test_attached_checkout_runs_its_own_algorithms(copy, main_py, mast, small_run, tmp_path):
    mast(tmp_path, "attach", copy)
    main_py("--config=vdn", "--env-config=gymma", "with", *small_run)
    assert list((copy / "results" / "sacred" / "vdn").glob("*/1/run.json"))


def test_local_edits_in_main_are_kept(copy, mast, tmp_path):
    main = copy / "src" / "main.py"
    edited = main.read_text().replace("import yaml\n", "import yaml\nMINE = 1\n", 1)
    main.write_text(edited)
    mast(tmp_path, "attach", copy)
    assert "MINE = 1\n" in main.read_text()
    mast(tmp_path, "detach", copy)
    assert main.read_text() == edited


@pytest.mark.parametrize("line", ["", "import yaml\n" * 2])
def test_main_without_a_single_anchor_is_refused(copy, mast, tmp_path, line):
    main = copy / "src" / "main.py"
    changed = main.read_text().replace("import yaml\n", line, 1)
    main.write_text(changed)
    done = mast(tmp_path, "attach", copy, code=2)
    assert "exactly once" in done.err
    assert main.read_text() == changed
    assert not (copy / "src" / "config" / "algs" / "mast_qmix.yaml").exists()


def test_a_file_of_the_users_is_not_overwritten(copy, mast, tmp_path):
    theirs = copy / "src" / "config" / "algs" / "mast_vdn.yaml"
    theirs.write_text("name: mine\n")
    done = mast(tmp_path, "attach", copy, code=2)
    assert "mast_vdn.yaml" in done.err
    assert theirs.read_text() == "name: mine\n"
    assert status(copy).strip() == "?? src/config/algs/mast_vdn.yaml"


@pytest.mark.parametrize("target", ["gone", "there"])
def test_a_link_to_another_installation_is_renewed(copy, mast, tmp_path, target):
    mast(tmp_path, "attach", copy)
    link = copy / "src" / "config" / "algs" / "mast_vdn.yaml"
    shipped = link.resolve()
    other = tmp_path / "other" / "config_overrides" / "algs" / "mast_vdn.yaml"
    if target == "there":
        other.parent.mkdir(parents=True)
        other.write_text("name: old\n")
    link.unlink()
    link.symlink_to(other)
    said = mast(tmp_path, "attach", copy).out
    assert link.resolve() == shipped
    assert str(other) in said
    assert str(shipped) in said
    assert "nothing changed" in mast(tmp_path, "attach", copy).out


def test_a_link_of_the_users_is_not_renewed(copy, mast, tmp_path):
    link = copy / "src" / "config" / "algs" / "mast_vdn.yaml"
    link.symlink_to(tmp_path / "mine.yaml")
    done = mast(tmp_path, "attach", copy, code=2)
    assert "mast_vdn.yaml" in done.err
    assert link.readlink() == tmp_path / "mine.yaml"


def test_detach_keeps_an_edited_copy(copy, mast, tmp_path):
    mast(tmp_path, "attach", copy)
    link = copy / "src" / "config" / "algs" / "mast_vdn.yaml"
    content = link.read_text() + "# mine\n"
    link.unlink()
    link.write_text(content)
    mast(tmp_path, "detach", copy)
    assert link.read_text() == content


def test_windows_line_endings_are_kept(copy, mast, tmp_path):
    main = copy / "src" / "main.py"
    windows = main.read_bytes().replace(b"\n", b"\r\n")
    main.write_bytes(windows)
    mast(tmp_path, "attach", copy)
    assert main.read_bytes().count(b"\r\n") == windows.count(b"\r\n") + 1
    mast(tmp_path, "detach", copy)
    assert main.read_bytes() == windows


def test_a_main_that_is_a_link_stays_one(copy, mast, tmp_path):
    main, elsewhere = copy / "src" / "main.py", tmp_path / "my_main.py"
    main.rename(elsewhere)
    main.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    mast(tmp_path, "attach", copy)
    assert main.is_symlink()
    assert elsewhere.read_bytes() != before
    mast(tmp_path, "detach", copy)
    assert main.is_symlink()
    assert elsewhere.read_bytes() == before


def test_a_main_that_is_not_utf_8_is_refused(copy, mast, tmp_path):
    main = copy / "src" / "main.py"
    main.write_bytes(b"# \xe9\n" + main.read_bytes())
    done = mast(tmp_path, "attach", copy, code=2)
    assert "is not UTF-8 text" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("tool", ["git", "patch"])
def test_the_shipped_patch_is_what_attach_does(copy, mast, tmp_path, repository, tool):
    patch = repository / "patches" / "epymarl-plugins.patch"
    if tool == "patch" and shutil.which("patch") is None:
        pytest.skip("GNU patch is not installed")
    commands = {
        "git": ["git", "-C", str(copy), "apply", "--unidiff-zero", str(patch)],
        "patch": ["patch", "-s", "-p1", "-d", str(copy), "-i", str(patch)],
    }
    subprocess.run(commands[tool], check=True)
    by_hand = (copy / "src" / "main.py").read_text()
    subprocess.run(["git", "-C", str(copy), "checkout", "-q", "src/main.py"], check=True)
    Path(copy / "src" / "main.py.orig").unlink(missing_ok=True)
    mast(tmp_path, "attach", copy)
    assert (copy / "src" / "main.py").read_text() == by_hand
