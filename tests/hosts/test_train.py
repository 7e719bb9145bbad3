"""Whole runs of ``mast train`` on each host."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest
import torch

MAST = ("mast_qmix", "mast.topology_interval=5", "save_model=True", "save_model_interval=100")


@pytest.fixture(scope="module")
def trained(mast_train, tmp_path_factory):
    """One run of MAST-QMIX with seed 1 that the tests below look at."""
    folder = tmp_path_factory.mktemp("trained")
    done = mast_train(folder, *MAST, "seed=1", engine="auto")
    return SimpleNamespace(folder=folder, text=done.out + done.err)


def checkpoints(folder):
    return sorted(folder.rglob("mast.pt"), key=lambda path: int(path.parent.name))


def load(path):
    return torch.load(path, weights_only=True)


def test_a_run_records_its_sparsity(trained, records):
    [(_, config, metrics)] = records(trained.folder / "results")
    assert config["mast"]["sparsity"] == 0.9
    assert metrics["mast_sparsity_total"][-1] == pytest.approx(0.9, abs=1e-3)
    assert metrics["mast_flops_train_ratio"][-1] == pytest.approx(0.1, abs=1e-3)
    assert metrics["mast_topology_updates"][-1] >= 1
    assert metrics["mast_explored"][-1] > 0.1
    assert metrics["mast_online_episodes"][-1] == 12  # every training episode, no test episode
    assert sorted(metrics["mast_target_kind"]) == metrics["mast_target_kind"]
    assert set(metrics["mast_target_kind"]) == {0.0, 2.0}
    assert len(metrics["test_return_mean"]) >= 2


def test_a_run_shows_progress_and_ends_with_a_table(trained):
    for part in ("training:", "Run finished", "test return", "sparsity", "wall time", "results"):
        assert part in trained.text, part


def test_a_run_has_no_noise_of_known_defects(trained):
    for noise in ("non-tuple sequence", "pkg_resources", "git.cmd", "DeprecationWarning"):
        assert noise not in trained.text, noise


def test_saved_masks_hold_every_weight_and_moment(trained):
    last = checkpoints(trained.folder)[-1]
    masks = load(last)["topology"]["masks"]
    weights = {
        f"{network}.{name}": weight
        for network in ("agent", "mixer")
        for name, weight in load(last.with_name(f"{network}.th")).items()
    }
    assert masks.keys() == {name for name, weight in weights.items() if weight.ndim == 2}
    moments = load(last.with_name("opt.th"))["state"]
    for position, name in enumerate(weights):  # the optimiser's order: agent, then mixer
        if name in masks:
            outside = ~masks[name]
            assert outside.any() or masks[name].all()
            assert not weights[name][outside].any(), name
            assert not moments[position]["exp_avg"][outside].any(), name
            assert not moments[position]["exp_avg_sq"][outside].any(), name


@pytest.mark.long_on("epymarl")
def test_a_checkpoint_is_evaluated(trained, mast_train, records, tmp_path):
    checkpoint = f"checkpoint_path={checkpoints(trained.folder)[-1].parent.parent}"
    mast_train(tmp_path, "mast_qmix", checkpoint, "evaluate=True", "seed=1")
    [(_, _, metrics)] = records(tmp_path)
    assert len(metrics["test_return_mean"]) == 1
    assert "loss" not in metrics


@pytest.mark.long_on("epymarl")
def test_a_checkpoint_of_another_sparsity_is_refused(trained, mast_train, tmp_path):
    checkpoint = f"checkpoint_path={checkpoints(trained.folder)[-1].parent.parent}"
    done = mast_train(tmp_path, "mast_qmix", checkpoint, "mast.sparsity=0.8", code=2)
    assert "the sparsity options differ" in done.err + done.out
    assert "Traceback" not in done.err + done.out


@pytest.mark.long_on("epymarl")
def test_training_goes_on_from_a_checkpoint(trained, mast_train, tmp_path):
    last = checkpoints(trained.folder)[-1]
    options = (f"checkpoint_path={last.parent.parent}", "t_max=600", "seed=1")
    mast_train(tmp_path, *MAST, *options)
    before, after = load(last), load(checkpoints(tmp_path)[-1])
    assert after["training_steps"] > before["training_steps"]
    assert after["topology"]["updates"] > before["topology"]["updates"]
    kept = {name: int(mask.sum()) for name, mask in before["topology"]["masks"].items()}
    assert kept == {name: int(mask.sum()) for name, mask in after["topology"]["masks"].items()}


VARIANTS = {
    "vdn-set-rmsprop": ("mast_vdn", "mast.topology=set", "mast.sparsity=0.95",
                        "mast.optimizer=rmsprop"),
    "iql-ff-n-step": ("mast_iql", "use_rnn=False", "mast.target=n_step"),
    "ow-soft-targets": ("mast_ow_qmix", "no_dual_buffers", "standardise_returns=True",
                        "target_update_interval_or_tau=0.05"),
    "cw-per-agent-rlx2": ("mast_cw_qmix", "per_agent", "rlx2", "mast.dynamic_buffer_minimum=4",
                          "mast.dynamic_buffer_interval=2"),
    "res": ("mast_res", "mast.res_lambda=0.1"),
    "auto": ("mast_qmix", "mast.sparsity=auto", "mast.auto_interval=1"),
    "facmac": ("mast_facmac", "mast.target=td_lambda"),
    "facmac-per-agent-soft": ("mast_facmac", "per_agent", "mast.operator=soft_mellowmax"),
    "per-agent-parallel": ("mast_qmix_ns", "runner=mast_parallel", "batch_size_run=2"),
}  # fmt: skip


# Tested as learners in test_wqmix_reference.py, test_res_reference.py and test_sparse_training.py,
# and test_starcraft.py has the last one's whole run; more whole runs take longer.
LONG = (
    "ow-soft-targets", "cw-per-agent-rlx2", "res", "facmac-per-agent-soft",
    "per-agent-parallel",
)  # fmt: skip


@pytest.mark.long_on("epymarl")
@pytest.mark.parametrize(
    "variant", [pytest.param(v, marks=pytest.mark.long if v in LONG else ()) for v in VARIANTS]
)
def test_variants_train(mast_train, records, tmp_path, variant):
    mast_train(tmp_path, *VARIANTS[variant], "mast.topology_interval=5", "seed=2")
    [(_, config, metrics)] = records(tmp_path)
    sparsity = config["mast"]["sparsity"]
    if variant == "auto":
        sparsity = metrics["mast_auto_sparsity"][-1]
        assert 0.5 <= sparsity <= 0.95
        assert metrics["mast_sparsity_agent"][0] == pytest.approx(0.5, abs=2e-3)
    if variant == "vdn-set-rmsprop":
        assert (sparsity, config["mast"]["topology"]) == (0.95, "set")
    assert metrics["mast_sparsity_agent"][-1] == pytest.approx(sparsity, abs=2e-3)
    assert all(abs(loss) < 1e6 for loss in metrics["loss"])
    if variant == "cw-per-agent-rlx2":
        assert config["mast"]["target"] == "delayed_n_step"
        assert max(metrics["mast_policy_distance"]) > 0
    if "per-agent" in variant:
        densities = [metrics[f"mast_density_agent_{agent}"][-1] for agent in range(2)]
        assert sum(densities) / 2 == pytest.approx(0.1, abs=2e-3)
        assert densities[0] != densities[1]


@pytest.mark.long_on("epymarl")
def test_an_ablation_file_does_what_it_says(mast_train, records, tmp_path):
    mast_train(tmp_path, "mast_qmix", "no_td_lambda", "seed=3")
    [(_, config, metrics)] = records(tmp_path)
    mast = config["mast"]
    assert (mast["target"], mast["sparsity"], mast["topology"]) == ("one_step", 0.9, "rigl")
    assert config["seed"] == 3
    assert set(metrics["mast_target_kind"]) == {0.0}


TENSORBOARD_LOGGER = """
import pathlib

def configure(folder):
    global file
    file = pathlib.Path(folder) / "events"
    file.parent.mkdir(parents=True)

def log_value(name, value, step):
    with file.open("a") as opened:
        opened.write(name + "\\n")
"""


@pytest.mark.long_on("epymarl")
def test_the_same_seed_stored_elsewhere_is_the_same_run(
    trained, mast_train, records, monkeypatch, tmp_path
):
    """Everything lands in local_results_path, and is equal to the last bit."""
    home, here, packages = (tmp_path / name for name in ("home", "here", "packages"))
    for folder in (home, packages):
        folder.mkdir()
    (packages / "tensorboard_logger.py").write_text(TENSORBOARD_LOGGER)  # a stand-in for PyPI's
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(packages), *sys.path]))
    options = ("seed=1", "local_results_path=~/mine", "use_tensorboard=True")
    mast_train(here, *MAST, *options, engine="auto")

    assert list(here.iterdir()) == []
    [(_, _, metrics)] = records(home / "mine")
    (_, _, expected), *_ = records(trained.folder)
    assert metrics == expected
    for name in ("agent.th", "mixer.th"):
        one, same = (
            load(checkpoints(folder)[-1].with_name(name))
            for folder in (trained.folder, home / "mine")
        )
        assert all(torch.equal(one[key], same[key]) for key in one)
    [events] = (home / "mine" / "tb_logs").glob("mast_qmix_seed*/events")
    assert "loss" in events.read_text().splitlines()


@pytest.mark.long_on("epymarl")
def test_stock_algorithm_runs_through_the_launcher(mast_train, records, tmp_path):
    mast_train(tmp_path, "qmix")
    [(_, config, metrics)] = records(tmp_path)
    assert config["learner"] == "q_learner"
    assert "loss" in metrics
