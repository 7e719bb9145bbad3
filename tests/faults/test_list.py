"""docs/faults.md: every row has a test, and the stars are where they belong."""

from __future__ import annotations

import ast
import re

import pytest


@pytest.fixture(scope="module")
def rows(repository):
    """``(fault, what happens, file, test, star)`` of every row that names a test."""
    text = (repository / "docs" / "faults.md").read_text(encoding="utf-8")
    pattern = r"^\| ([^|]+) \| ([^|]+) \| `([\w/]+\.py)::(\w+)`( \*)? \|$"
    return re.findall(pattern, text, re.MULTILINE)


def marks_of(path, name):
    """Names of the marks of a test, of its module or itself."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return [ast.unparse(decorator) for decorator in node.decorator_list]
    return None


def test_every_fault_has_its_test(rows, repository):
    assert len(rows) >= 25
    for _, _, file, test, star in rows:
        marks = marks_of(repository / "tests" / file, test)
        assert marks is not None, f"{file} has no {test}"
        assert ("pytest.mark.long" in marks) == bool(star), test


def test_every_table_row_is_read(rows, repository):
    """A row in another form would not be checked."""
    text = (repository / "docs" / "faults.md").read_text(encoding="utf-8")
    listed = text.partition("## The list")[2].partition("## Generated")[0]
    lines = [line for line in listed.splitlines() if line.startswith("| ")]
    headings = sum(line.startswith("| fault |") for line in lines)
    assert len(rows) == len(lines) - headings
    assert len({fault for fault, *_ in rows} - {"the same"}) >= 50
