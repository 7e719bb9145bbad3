"""Errors a user can mend."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from epymarl_mast.cli.app import app
from epymarl_mast.errors import MastError, OptionError, exits_cleanly, nearest, needs_package, warn


def test_nearest_names_the_most_similar_word_or_none():
    assert nearest("omeg", ["alpha", "omega"]) == " (did you mean 'omega'?)"
    assert nearest("xyz", iter(["alpha", "omega"])) == ""
    assert nearest("alpha", []) == ""


def test_a_mendable_error_is_one_line_and_exit_code_2(capsys):
    @exits_cleanly
    def fail():
        raise OptionError("mast.omega is wrong")

    with pytest.raises(SystemExit) as left:
        fail()

    assert left.value.code == 2
    assert capsys.readouterr().err == "mast: error: mast.omega is wrong\n"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no mongodb://me:secret@h/d here", "no mongodb://me:***@h/d here"),
        ("'mongodb+srv://me:s@cret@h/d'", "'mongodb+srv://me:***@h/d'"),
        ("mongo=['mongodb://me:secret@h/d']", "mongo=['mongodb://me:***@h/d']"),
        ("me:secret@h:27017:d is", "me:***@h:27017:d is"),
        ("lr=0.1: a number; mail me@lab.org", "lr=0.1: a number; mail me@lab.org"),
        ("a:1:b, c@d", "a:1:b, c@d"),
    ],
)
def test_no_message_shows_a_password(said, shown, capsys):
    assert str(OptionError(said)) == shown
    warn(said)
    assert capsys.readouterr().err == f"mast: warning: {shown}\n"


def test_any_other_error_goes_through():
    @exits_cleanly
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert exits_cleanly(lambda value, other: (value, other))(1, other=2) == (1, 2)
    assert issubclass(OptionError, MastError)


def test_a_missing_package_is_named_with_the_extra_that_has_it():
    with (
        pytest.raises(
            MastError, match=r"^mast report needs nowhere: pip install 'epymarl-mast.x.'"
        ),
        needs_package("mast report", extra="x"),
    ):
        import nowhere.at_all  # noqa: F401


def test_a_missing_part_of_our_own_is_no_missing_package():
    with pytest.raises(ImportError), needs_package("mast report", extra="x"):
        import epymarl_mast.nowhere  # noqa: F401


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (["report", "."], "pandas", "report"),
        (["masks", "."], "matplotlib", "report"),
        (["sweep", "sweep.yaml", "--ray"], "ray", "ray"),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    monkeypatch, tmp_path, arguments, missing, extra
):
    monkeypatch.chdir(tmp_path)
    run = "{config: a, environment: {env-config: b}, seed: 1}"
    (tmp_path / "sweep.yaml").write_text(f"runs: [{run}]")
    monkeypatch.setattr("epymarl_mast.cli.sweep.check_runs", lambda plan: None)
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [n for n in sys.modules if n.startswith("epymarl_mast.report")]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, MastError)
    assert str(result.exception).endswith(f"{missing}: pip install 'epymarl-mast[{extra}]'")
