"""StarCraft II tasks: a stand-in with SMAC's interface, SMAClite, and what is said without SMAC."""

from __future__ import annotations

from pathlib import Path

import pytest

from epymarl_mast.hosts.environments import PACKAGES, installed

FOLDER = Path(__file__).resolve().parent


@pytest.fixture
def train_standin(host, tmp_path, run_warm):
    """``mast train`` with the stand-in in the host's registry of environments."""

    def run(algorithm, *options):
        home = {"EPYMARL_HOME": str(host.root)} if host.name == "epymarl" else {}
        return run_warm(
            FOLDER / "smac_standin.py",
            [f"--config={algorithm}", f"--env-config={FOLDER / 'smac_standin'}", "with",
             "batch_size=4", "mast.topology_interval=5", "use_cuda=False", *options],
            tmp_path, **home,
        )  # fmt: skip

    return run


CASES = {
    "shared-episode": ("mast_qmix",),
    "per-agent-parallel": ("mast_qmix_ns", "runner=mast_parallel", "batch_size_run=2"),
}


@pytest.mark.long_on("epymarl")
@pytest.mark.parametrize(
    "case", ["shared-episode", pytest.param("per-agent-parallel", marks=pytest.mark.long)]
)
def test_what_starcraft_tasks_need(train_standin, records, tmp_path, case):
    """The stand-in itself fails the run when an unavailable action is taken."""
    done = train_standin(*CASES[case], "obs_agent_id=True")
    [(_, config, metrics)] = records(tmp_path)
    assert config["obs_last_action"]
    assert config["obs_agent_id"]
    for key in ("battle_won_mean", "test_battle_won_mean"):
        assert all(0.0 <= value <= 1.0 for value in metrics[key]), key
    assert all(0.0 <= value <= 3.0 for value in metrics["dead_allies_mean"])
    assert metrics["mast_topology_updates"][-1] >= 1
    assert "test win rate" in done.out


@pytest.mark.long
def test_smaclite_3m_trains(checkout, mast, records, tmp_path):
    if not installed(PACKAGES["smaclite"]):
        pytest.skip("SMAClite is not installed")
    mast(
        tmp_path, "train", "--host", checkout.root, "--config=mast_qmix", "--env-config=smaclite",
        "with", "env_args.map_name=3m", "t_max=200", "test_nepisode=1", "test_interval=150",
        "batch_size=2", "mast.topology_interval=2", "learner_log_interval=50", "use_cuda=False",
        "log_interval=100", "runner_log_interval=50",
    )  # fmt: skip
    [(folder, _, metrics)] = records(tmp_path)
    assert folder.parent.name == "3m"
    assert metrics["mast_topology_updates"][-1] >= 1
    assert all(0.0 <= value <= 1.0 for value in metrics["test_battle_won_mean"])


@pytest.mark.parametrize("environment", ["sc2", "sc2v2"])
def test_starcraft_without_its_packages_is_one_sentence(checkout, mast, tmp_path, environment):
    done = mast(
        tmp_path, "train", "--host", checkout.root, "--config=mast_qmix",
        f"--env-config={environment}", "with", "env_args.map_name=3m", code=2,
    )  # fmt: skip
    assert done.err.count("\n") == 1
    assert "StarCraft II" in done.err
    assert "pip install git+" in done.err


def test_smac_without_starcraft_names_the_folder(checkout, mast, tmp_path):
    """With a package that looks like SMAC but no game."""
    package = tmp_path / "packages" / "smac"
    (package / "env").mkdir(parents=True)
    for file in (package / "__init__.py", package / "env" / "__init__.py"):
        file.touch()
    done = mast(
        tmp_path, "train", "--host", checkout.root, "--config=mast_qmix", "--env-config=sc2",
        code=2, PYTHONPATH=str(package.parent), SC2PATH=str(tmp_path / "nowhere"),
    )  # fmt: skip
    assert done.err.count("\n") == 1
    assert str(tmp_path / "nowhere") in done.err
    assert "SC2PATH" in done.err
