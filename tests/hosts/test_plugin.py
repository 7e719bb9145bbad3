"""Registration, and which host is found."""

from __future__ import annotations

import pytest

from epymarl_mast import plugin
from epymarl_mast.errors import HostError
from epymarl_mast.hosts import EPyMARL, PyMARLzooPlus, find_host
from epymarl_mast.learners import LEARNERS, MastQLearner


def registries(modules):
    return modules.learners, modules.runners, modules.controllers, modules.environments


def names(modules):
    return {name: made for registry in registries(modules) for name, made in registry.items()}


@pytest.fixture
def fresh_registries(host, monkeypatch):
    """The host's registries as they are without us; afterwards they are as they were."""
    modules = host.load()
    for registry in registries(modules):
        for name in ours_in(registry):
            monkeypatch.delitem(registry, name)
    monkeypatch.setattr(plugin, "_registered", {})
    yield modules
    for registry in registries(modules):
        for name in ours_in(registry):
            del registry[name]


def ours_in(registry):
    return [name for name in registry if name.startswith("mast_") or name == "smax"]


def test_registering_twice_changes_nothing(host, fresh_registries):
    before = names(fresh_registries)
    plugin.register(host)
    once = names(fresh_registries)
    plugin.register(host)
    assert names(fresh_registries) == once
    ours = {*LEARNERS, "mast_episode", "mast_parallel", "mast_mac", "mast_cem_mac"}
    ours |= {"mast_mamujoco", "smax"}
    assert once.keys() - before.keys() == ours
    assert {name: once[name] for name in before} == before


def test_a_taken_name_is_not_overwritten(host, fresh_registries, monkeypatch):
    theirs = object()
    monkeypatch.setitem(fresh_registries.learners, "mast_q_learner", theirs)
    with pytest.raises(HostError, match="already has something named 'mast_q_learner'"):
        plugin.register(host)
    assert fresh_registries.learners["mast_q_learner"] is theirs


def test_runner_without_our_learner_is_refused(host, fresh_registries, make_args, capsys):
    plugin.register(host)
    with pytest.raises(SystemExit) as stopped:
        fresh_registries.runners["mast_episode"](make_args(learner="q_learner"), None)
    assert stopped.value.code == 2
    assert "learner='q_learner'" in capsys.readouterr().err


def test_registered_learner_is_ours(host, fresh_registries, bench, make_args, mast_options):
    plugin.register(host)
    args = make_args(n_agents=2, n_actions=3, state_shape=4, mast=mast_options())
    scheme = bench.scheme(n_agents=2, obs=5, state=4, n_actions=3)
    mac = bench.mac(scheme, args)
    learner = fresh_registries.learners["mast_q_learner"](mac, scheme, None, args)
    assert isinstance(learner, MastQLearner)
    assert mac.online_buffer is learner.replay.buffer
    assert not hasattr(learner.target_mac, "online_buffer")


def test_wanted_host_comes_first(checkout, monkeypatch):
    monkeypatch.setenv("EPYMARL_HOME", "/nowhere")
    assert find_host(str(checkout.root)).root == checkout.root.resolve()
    assert isinstance(find_host("pymarlzooplus"), PyMARLzooPlus)


def test_environment_then_working_directory_then_package(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("EPYMARL_HOME", str(checkout.root))
    assert isinstance(find_host(), EPyMARL)
    monkeypatch.delenv("EPYMARL_HOME")
    monkeypatch.chdir(checkout.root)
    assert isinstance(find_host(), EPyMARL)
    monkeypatch.chdir(tmp_path)
    assert isinstance(find_host(), PyMARLzooPlus)


def test_no_host_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.delenv("EPYMARL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PyMARLzooPlus, "installed", classmethod(lambda cls: None))
    with pytest.raises(HostError, match=r"no host found.*pip install --no-deps pymarlzooplus"):
        find_host()


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_path_that_is_no_checkout(monkeypatch, tmp_path, how):
    monkeypatch.delenv("EPYMARL_HOME", raising=False)
    if how == "environment":
        monkeypatch.setenv("EPYMARL_HOME", str(tmp_path))
    with pytest.raises(HostError, match="is not an EPyMARL checkout"):
        find_host(str(tmp_path) if how == "argument" else None)
