"""Wrong input: one clear line and exit code 2, before any environment starts."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from epymarl_mast import plugin
from epymarl_mast.cli import main
from epymarl_mast.hosts import PyMARLzooPlus
from epymarl_mast.hosts.names import check_names
from epymarl_mast.overrides import read_yaml, shipped_algorithms

KEY = "env_args.key=lbforaging:Foraging-8x8-2p-3f-v3"
LIMIT = "env_args.time_limit=50"


@pytest.fixture
def refuse(monkeypatch, capsys, tmp_path):
    """Run ``mast …`` here; it must refuse. Returns the one line it says."""
    monkeypatch.delenv("EPYMARL_HOME", raising=False)
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mast", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        assert stopped.value.code == 2, said
        assert said.err.startswith("mast: error: "), said.err
        assert said.err.count("\n") == 1
        assert said.out == ""
        assert list(tmp_path.glob("results")) == []
        return said.err

    return run


@pytest.fixture
def refuse_options(refuse):
    """The same for ``mast train`` on the embedded host with options after ``with``."""

    def run(*options):
        return refuse(
            "train", "--config=mast_qmix", "--env-config=gymma", "with", KEY, LIMIT, *options
        )

    return run


OPTIONS = {
    "mast.sparsty=0.9": ("mast.sparsty", "'mast.sparsity'"),
    "sparsity=0.9": ("sparsity", "'mast.sparsity'"),
    "hiden_dim=32": ("hiden_dim", "'hidden_dim'"),
    "mast.sparsity=1.0": ("mast.sparsity=1.0", ">= 0 and < 1"),
    "mast.sparsity=-0.1": ("mast.sparsity=-0.1", ">= 0 and < 1"),
    "mast.sparsity=high": ("mast.sparsity='high'", "a number"),
    "mast.agent_sparsity=2": ("mast.agent_sparsity=2", "< 1", "None"),
    "mast.topology_interval=2.5": ("mast.topology_interval=2.5", "a whole number >= 1"),
    "mast.topology=random": ("mast.topology='random'", "'rigl', 'set', 'static', 'dense'"),
    "mast.td_lambda=1.5": ("mast.td_lambda=1.5", ">= 0 and <= 1"),
    "mast.omega=0": ("mast.omega=0", "> 0"),
    "mast=0.3": ("mast=0.3", "not a block"),
    "mast.online_batch_size=101": ("mast.online_batch_size=101", "mast.online_buffer_size=100"),
    "mixer=qatten": ("mixer='qatten'", "'qmix', 'vdn' and None"),
    "runner=parallel": ("runner='parallel'", "'mast_parallel'"),
    "prioritized_buffer=True": ("prioritized_buffer=True", "allowed is False"),
    "env_args.time_limit=500": ("env_args.time_limit=500", "at most 50"),
    "env_args.maps=1": ("env_args.maps",),
    "env_args.time_limit=abc": ("env_args.time_limit='abc'", "a whole number"),
    "env_args.time_limit=-3": ("env_args.time_limit=-3", "> 0"),
    "batch_size=None": ("batch_size=None", "a whole number"),
    "gamma=None": ("gamma=None", "a number"),
    "batch_size=2.5": ("batch_size=2.5", "a whole number"),
    "hidden_dim=64.0": ("hidden_dim=64.0", "a whole number"),
    "hypernet_embed=0": ("hypernet_embed=0", "> 0"),
    "seed=-1": ("seed=-1", ">= 0"),
    "local_results_path=5": ("local_results_path=5", "a path"),
    "mixing_embed_dim=0": ("mixing_embed_dim=0", "> 0"),
    "target_update_interval_or_tau=0": ("target_update_interval_or_tau=0", "> 0"),
    "learner=mast_foo": ("learner='mast_foo'", "mast_q_learner"),
    "seed=abc": ("seed='abc'", "a whole number"),
    "lr=fast": ("lr='fast'", "a number"),
    "use_cuda=yes": ("use_cuda='yes'", "True or False"),
    "t_max=-5": ("t_max=-5", "> 0"),
    "gamma=1.5": ("gamma=1.5", "<= 1"),
    "batch_size=6000": ("batch_size=6000", "buffer_size=5000"),
    "batch_size_run=2": ("batch_size_run=2", "runner=mast_parallel"),
    "hypernet_layers=3": ("hypernet_layers=3", "1, 2"),
    "learner=q_learner": ("learner='q_learner'", "mast_q_learner"),
    "evaluate=True": ("evaluate=True", "checkpoint_path"),
    "checkpoint_path=/nonexistent": ("checkpoint_path=/nonexistent", "does not exist"),
    "mast.mask_from=nowhere": ("mast.mask_from=nowhere", "mast.topology='rigl'"),
    "rigll": ("rigll", "neither key=value nor a file", "'rigl'"),
    "mast.tiny=True": ("mast.tiny=True", "mast.topology='rigl'", "'dense'"),
    "mast.weighting=ow": ("mast.weighting", "not an option"),
    "no_such_file.yaml": ("no_such_file.yaml", "neither key=value nor a file"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options(refuse_options, option):
    said = refuse_options(option)
    for part in OPTIONS[option]:
        assert part in said


def test_masks_of_a_folder_without_any(refuse_options):
    said = refuse_options("ss", "mast.mask_from=nowhere")
    assert "mast.mask_from=nowhere holds neither mast.pt nor masks_*.npz" in said


def test_common_reward_with_a_mixer(refuse, checkout):
    said = refuse("train", "--host", checkout.root, "--config=mast_qmix", "--env-config=gymma",
                  "with", KEY, LIMIT, "common_reward=False")  # fmt: skip
    assert "common_reward=False" in said
    assert "mixer='qmix'" in said


@pytest.mark.parametrize("content", ["mast: [1, 2\n", "- a\n- b\n", "\xff\xfe"])
def test_unreadable_yaml(refuse_options, tmp_path, content):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content.encode("latin-1"))
    assert "mine.yaml" in refuse_options(file)


def test_unknown_key_in_a_file(refuse_options, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("mast:\n  tedious: 1\n")
    assert "mast.tedious" in refuse_options("mine.yaml")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--config=mast_qmx", "--env-config=gymma"], ["mast_qmx", "'mast_qmix'"]),
        (["--config=mast_qmix"], ["--env-config=NAME is needed", "gymma"]),
        (["--env-config=gymma"], ["--config=NAME is needed", "mast_qmix"]),
        (["--config=mast_qmix", "--env-config=sc2"], ["--env-config=sc2", "gymma"]),
        (["--config=mast_qmix", "--env-config=gymma"], ["env_args.key is needed"]),
        (["--host=/nowhere", "--config=mast_qmix", "--env-config=gymma"], ["/nowhere"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_command_line(refuse, arguments, parts):
    said = refuse("train", *arguments)
    for part in parts:
        assert part in said


def test_checkpoint_path_one_level_too_deep(refuse_options, tmp_path):
    folder = tmp_path / "models" / "350"
    folder.mkdir(parents=True)
    (folder / "agent.th").touch()
    said = refuse_options(f"checkpoint_path={folder}")
    assert "load_step=350" in said


def test_option_before_with(refuse):
    said = refuse("train", "--config=mast_qmix", "--env-config=gymma", "mast.sparsity=0.5")
    assert "belongs after the word 'with'" in said
    said = refuse("flops", "--config=mast_qmix", "--n-agents=2", "--obs=4", "--state=4",
                  "--n-actions=3", "mast.sparsity=0.5")  # fmt: skip
    assert "belongs after the word 'with'" in said


def test_mongo_without_its_driver(refuse_options, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pymongo" else find(name)
    )
    assert "pip install pymongo" in refuse_options("-m", "localhost:27017:marl")


@pytest.mark.parametrize("found", ["", "raise TypeError('Descriptors cannot be created directly')"])
def test_tensorboard_without_its_package(refuse_options, monkeypatch, tmp_path, found):
    if found:
        (tmp_path / "tensorboard_logger.py").write_text(found)
        monkeypatch.syspath_prepend(tmp_path)
    said = refuse_options("use_tensorboard=True")
    assert f"cannot be imported ({'TypeError' if found else 'ModuleNotFoundError'})" in said
    assert "pip install 'epymarl-mast[tensorboard]'" in said


def test_unknown_gymnasium_environment(mast, tmp_path):
    done = mast(
        tmp_path, "train", "--host=pymarlzooplus", "--config=mast_qmix", "--env-config=gymma",
        "with", "env_args.key=lbforaging:Foraging-8x8-2p-3f-v9", "env_args.time_limit=50", code=2,
    )  # fmt: skip
    assert done.err.count("\n") == 1
    assert "v9" in done.err


@pytest.fixture
def refuse_on(refuse, host):
    """The same for ``mast train`` on each host, after it was loaded."""
    where = host.root if host.name == "epymarl" else host.name

    def run(*options):
        return refuse("train", "--host", where, "--config=mast_qmix", "--env-config=gymma",
                      "with", KEY, LIMIT, *options)  # fmt: skip

    return run


NAMES = {
    "agent=rn": ("agent='rn'", "'rnn'"),
    "mac=basic_mc": ("mac='basic_mc'", "'basic_mac'", "mast_mac"),
    "action_selector=epsilon": ("action_selector='epsilon'", "'epsilon_greedy'"),
    "env=gyma": ("env='gyma'", "'gymma'"),
    "agent=[1]": ("agent=[1]", "rnn_ns"),
    "env_args.key=Foo": ("env_args.key=Foo", "lbforaging:Foraging-8x8-2p-3f-v3"),
}


@pytest.mark.parametrize("option", NAMES)
def test_names_the_host_does_not_know(refuse_on, option):
    said = refuse_on(option)
    for part in NAMES[option]:
        assert part in said


def test_every_shipped_name_is_known(host):
    modules = plugin.register(host)
    files = [*(host.config_dir / "algs").glob("*.yaml"), *shipped_algorithms().values()]
    for file in files:
        check_names(host, modules, read_yaml(file, file.name))
    for file in (host.config_dir / "envs").glob("*.yaml"):
        check_names(host, modules, read_yaml(file, file.name))


@pytest.mark.parametrize("environment", ["gymma", "overcooked", "pettingzoo"])
def test_environment_without_its_key(refuse, environment):
    said = refuse("train", "--config=mast_qmix", f"--env-config={environment}")
    assert f"env_args.key is needed by env='{environment}', for instance" in said


def test_missing_package_of_an_environment(refuse, monkeypatch):
    monkeypatch.setattr("epymarl_mast.hosts.environments.installed", lambda package: False)
    said = refuse("train", "--config=mast_qmix", "--env-config=gymma", "with", KEY)
    assert "pip install 'lbforaging" in said


def test_no_host(refuse, monkeypatch):
    monkeypatch.setattr(PyMARLzooPlus, "installed", classmethod(lambda cls: None))
    said = refuse("train", "--config=mast_qmix", "--env-config=gymma")
    assert "no host found" in said
    assert "pymarlzooplus" in said


def test_attach_to_no_checkout(refuse, tmp_path):
    assert "is not an EPyMARL checkout" in refuse("attach", tmp_path)


def test_sacred_is_missing(refuse_options, monkeypatch):
    monkeypatch.setitem(sys.modules, "sacred", None)
    assert "pip install 'epymarl-mast[host]'" in refuse_options("seed=1")


@pytest.mark.parametrize(
    ("algorithm", "environment", "options", "told"),
    [
        ("mast_qmix", "mast_mamujoco", (), "env='mast_mamujoco' has continuous actions"),
        ("mast_comix", "gymma", (KEY, LIMIT), "env='gymma' is not known to COMIX"),
        ("mast_comix", "mast_mamujoco", ("runner=mast_parallel",), "runner='mast_parallel' is not"),
        ("mast_comix", "mast_mamuj", (), "did you mean 'mast_mamujoco'"),
        ("mast_comix", "mast_mamujoco", ("env_args.time_limit=0",), "env_args.time_limit=0 is not"),
    ],
)
def test_continuous_actions_where_they_cannot_be(
    refuse, monkeypatch, algorithm, environment, options, told
):
    monkeypatch.setattr("epymarl_mast.hosts.environments.installed", lambda package: True)
    arguments = [f"--config={algorithm}", f"--env-config={environment}"]
    assert told in refuse("train", *arguments, "with", "seed=1", *options)


def test_a_missing_simulator_is_told_with_its_command(refuse, monkeypatch):
    monkeypatch.setattr("epymarl_mast.hosts.environments.installed", lambda package: False)
    said = refuse("train", "--config=mast_comix", "--env-config=mast_mamujoco")
    assert "needs Multi-Agent MuJoCo, which is not installed: pip install 'gymn" in said


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("env_args.map_name=3s5x", "SMAX has no such map (did you mean '3s5z'?); allowed are 3m,"),
        ("env_args.time_limit=0", "env_args.time_limit=0 is not allowed: a number > 0 is"),
        ("env_args.reward_scale=0", "env_args.reward_scale=0 is not allowed: a number > 0 is"),
        ("render=True", "render=True: env='smax' draws nothing"),
    ],
)
def test_battles_that_cannot_be(refuse, monkeypatch, option, told):
    monkeypatch.setattr("epymarl_mast.hosts.environments.installed", lambda package: True)
    said = refuse("train", "--config=mast_qmix", "--env-config=smax", "with", "seed=1", option)
    assert told in said


def test_battles_without_jaxmarl_are_told_with_their_command(refuse, monkeypatch):
    monkeypatch.setattr("epymarl_mast.hosts.environments.installed", lambda package: False)
    said = refuse("train", "--config=mast_qmix", "--env-config=smax")
    assert (
        "--env-config=smax needs SMAX (JaxMARL), which is not installed: pip install 'jax" in said
    )
