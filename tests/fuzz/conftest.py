"""Seeded cases of bad input: each ends in success or in one line of ours.

Never in another exception, nor after 10 s, nor with more than 1 GiB of memory on top.
"""

from __future__ import annotations

import random
import resource
import signal
import time
import traceback
from collections import Counter
from contextlib import contextmanager

import pytest

from epymarl_mast.errors import MastError

SECONDS = 10
MOST_KILOBYTES = 1 << 20
ENOUGH = 8  # cases, for both endings to come up
WORDS = (
    "", " ", "0", "-1", "1e400", "nan", "-inf", "None", "True", "yes", "1.5", "é", "\x00",
    "\x1b[2J", "$\\frac{1}{$", "<script>", "a|b", "%s%n", "../../etc", "x" * 3000, "9" * 5000,
    "2026-13-45", "~nobody/x",
    "{'py/object': 'x'}", "[[1, 2], {}]", "[" * 400, "lambda: 0", "!!python/name:os.system",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1, 7, 10**30, 0.5, -0.0, 1e300, float("inf"), float("nan"), "", "x",
    "rigl", "auto", [], [1], [[]], {}, {"a": {"b": 1}}, {"py/object": "os.system"}, *WORDS[:12],
)  # fmt: skip


class Chance(random.Random):
    """A seeded source of damage."""

    def word(self) -> str:
        return self.choice(WORDS)

    def bytes_of(self, content: bytes, others: tuple[bytes, ...] = ()) -> bytes:
        """Content with flipped bits, cut off, with a hole, with parts twice, or another's."""
        damaged = bytearray(content)
        if not content:
            return self.randbytes(8)
        kind = self.choice(("flip", "flip", "cut", "hole", "twice", "swap", "noise", "empty"))
        size = max(1, len(damaged))
        at, length = self.randrange(size), self.randrange(1, 64)
        if kind == "flip":
            for _ in range(self.choice((1, 1, 2, 50))):
                place = self.randrange(size)
                damaged[place : place + 1] = bytes([damaged[place] ^ (1 << self.randrange(8))])
        elif kind == "cut":
            del damaged[at:]
        elif kind == "hole":
            del damaged[at : at + length]
        elif kind == "twice":
            damaged[at:at] = damaged[at : at + length]
        elif kind == "swap" and others:
            return self.choice(others)
        elif kind == "noise":
            damaged[at : at + length] = self.randbytes(length)
        else:
            return b""
        return bytes(damaged)

    def tree(self, node, others=VALUES):
        """A copy of nested dicts and lists with one place in it changed, missing or added."""
        if isinstance(node, dict) and node and self.random() < 0.85:
            key = self.choice(list(node))
            change = self.random()
            if change < 0.7:
                return {**node, key: self.tree(node[key], others)}
            if change < 0.85:
                return {k: v for k, v in node.items() if k != key}
            return {**node, self.word() or "k": self.choice(others)}
        if isinstance(node, (list, tuple)) and node and self.random() < 0.7:
            place = self.randrange(len(node))
            new = [*node[:place], self.tree(node[place], others), *node[place + 1 :]]
            return type(node)(new)
        return self.choice(others)


@contextmanager
def within(seconds):
    """Interrupt what takes longer."""

    def late(number, frame):
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def campaign(record_testsuite_property):
    """``campaign(name, cases, case)``: call ``case(chance)`` so often; count how each ended."""

    def run(name, cases, case):
        ended, wrong, longest = Counter(), [], 0.0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(cases):
            started = time.perf_counter()
            try:
                with within(SECONDS):
                    case(Chance(f"{name} {number}"))
                ended["success"] += 1
            except MastError as error:
                ended["one line"] += 1
                said = str(error)
                if not said or "\n" in said or len(said) > 5000:
                    wrong.append(f"case {number}: not one line: {said[:300]!r}")
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-3:]
                where = " < ".join(f"{f.filename[-40:]}:{f.lineno}" for f in reversed(place))
                wrong.append(f"case {number}: {type(error).__name__}: {str(error)[:150]!r} {where}")
            longest = max(longest, time.perf_counter() - started)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(
            f"fuzz {name}: {cases} cases, {dict(ended)}, the longest {longest:.2f} s, "
            f"{grown >> 10} MiB more at most"
        )
        listed = "\n".join(wrong[:25])
        assert not wrong, f"{len(wrong)} of {cases} {name}:\n{listed}"
        assert grown < MOST_KILOBYTES
        if cases >= ENOUGH:
            assert ended["one line"], "none was refused: the damage does not reach what is tested"
            assert ended["success"], "all were refused: what is not damaged does not get through"
        return ended

    return run


def pytest_generate_tests(metafunc):
    """``cases``: a few in ``make test``, all of them in ``make test-all``."""
    if "cases" in metafunc.fixturenames:
        few, many = metafunc.cls.few, metafunc.cls.many
        metafunc.parametrize(
            "cases", [few, pytest.param(many, marks=pytest.mark.long)], ids=["few", "many"]
        )
