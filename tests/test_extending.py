"""docs/extending.md: its code, installed as a user's package, trains."""

from __future__ import annotations

import os
import re

import pytest

from epymarl_mast import extensions
from epymarl_mast.errors import HostError
from epymarl_mast.learners import LEARNERS, MastQLearner
from epymarl_mast.overrides import shipped_algorithms
from epymarl_mast.schemas import SCHEMAS
from epymarl_mast.sparse import TOPOLOGIES, RigL


@pytest.fixture
def installed(repository, tmp_path):
    """The page's package as pip would leave it: the folder to put on the path."""
    page = (repository / "docs" / "extending.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    (toml,) = re.findall(r"```toml\n(.+?)```", page, re.DOTALL)
    group, name, module = re.search(r'"(.+?)"\]\n(\w+) = "(.+?)"', toml).groups()
    site = tmp_path / "site"
    folder = site / "my_marl"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "rules.py").write_text(code)
    metadata = site / "my_marl-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my_marl\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    return site


@pytest.fixture
def huber_yaml(tmp_path):
    """The YAML file that the page has a user make."""
    text = shipped_algorithms()["mast_qmix"].read_text(encoding="utf-8")
    text = text.replace('"mast_q_learner"', '"huber_q_learner"')
    text = text.replace('name: "mast_qmix"', 'name: "mast_huber"')
    text = text.replace("mast:\n", "mast:\n  huber_delta: 1.0\n", 1)
    file = tmp_path / "mast_huber.yaml"
    file.write_text(text)
    return file


@pytest.fixture
def with_package(mast, installed):
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    return lambda *arguments, code=0: mast(*arguments, code=code, PYTHONPATH=path)


def test_the_page_trains(with_package, huber_yaml, small_run, records, tmp_path):
    with_package(
        tmp_path, "train", "--host", "pymarlzooplus", f"--config={huber_yaml}",
        "--env-config=gymma", "with", *small_run, "mast.topology=rising",
        "mast.topology_interval=5",
    )  # fmt: skip
    [(_, config, metrics)] = records(tmp_path)
    assert (config["learner"], config["mast"]["topology"]) == ("huber_q_learner", "rising")
    assert metrics["mast_topology_updates"][-1] >= 1
    assert all(0 <= share <= 1 for share in metrics["huber_large_errors"])


def test_its_options_are_checked(with_package, huber_yaml, tmp_path):
    sizes = ("--n-agents", "2", "--obs", "15", "--state", "30", "--n-actions", "6")
    call = ("flops", f"--config={huber_yaml}", *sizes, "with")
    said = with_package(tmp_path, *call, "mast.huber_delta=-1", code=2).err
    assert "mast.huber_delta=-1 is not allowed: a number >= 0 is" in said
    said = with_package(tmp_path, *call, "mast.topology=falling", code=2).err
    assert "'rigl', 'set', 'static', 'dense', 'rising'" in said


def test_an_extension_that_cannot_be_imported_is_named(with_package, installed, tmp_path):
    (installed / "my_marl" / "rules.py").write_text("import no_such_module\n")
    said = with_package(tmp_path, "train", "--config=mast_qmix", "--env-config=gymma", code=2).err
    assert "extension 'my_marl' (my_marl.rules) cannot be loaded: ModuleNotFoundError" in said


def test_a_taken_name_is_refused():
    before = dict(TOPOLOGIES), dict(LEARNERS), dict(SCHEMAS)
    with pytest.raises(HostError, match="'rigl' is registered already"):
        extensions.register_topology("rigl", type("Mine", (RigL,), {}))
    with pytest.raises(HostError, match="'mast_q_learner' is registered already"):
        extensions.register_learner("mast_q_learner", type("Mine", (MastQLearner,), {}))
    extensions.register_topology("rigl", RigL)  # the same again changes nothing
    assert before == (TOPOLOGIES, LEARNERS, SCHEMAS)
