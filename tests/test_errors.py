"""Errors a user can mend."""

from __future__ import annotations

import pytest

from epymarl_mast.errors import MastError, OptionError, exits_cleanly, nearest


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


def test_any_other_error_goes_through():
    @exits_cleanly
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert exits_cleanly(lambda value, other: (value, other))(1, other=2) == (1, 2)
    assert issubclass(OptionError, MastError)
