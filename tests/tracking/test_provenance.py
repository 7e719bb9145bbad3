"""What a run was made with."""

from __future__ import annotations

import os
import subprocess

from epymarl_mast import __version__
from epymarl_mast.tracking.provenance import commit, provenance


def git(folder, *arguments):
    name = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(
        ["git", "-C", folder, *name, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_commit_of_a_checkout_and_whether_files_differ(tmp_path):
    assert commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) is None  # nothing is committed
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit(tmp_path) == head
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "untracked").touch()
    assert commit(tmp_path) == head
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == f"{head}+changes"
    (tmp_path / "folder").mkdir()
    assert commit(tmp_path / "folder") is None


def test_versions(host, repository):
    found = provenance(host)
    assert found["version"] == __version__
    assert (found["host"], found["host_version"]) == (host.name, host.version)
    assert (found["commit"] is not None) == (repository / ".git").exists()
    assert (found["host_commit"] is not None) == (host.name == "epymarl")
    assert found["cores"] == os.cpu_count()
    assert {"torch", "numpy", "sacred", "gymnasium", "lbforaging"} <= set(found["packages"])
