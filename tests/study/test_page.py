"""docs/results.md: every section has a block, and the page is of the study's own tables."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from PIL import Image
from study_page import rows_in
from study_records import STUDY

REPOSITORY = STUDY.parents[1]


def test_without_runs_every_section_says_so(modules, make_study):
    study = make_study()
    for name, make in modules["report"].BLOCKS.items():
        if name != "progress":
            assert make(study) == modules["study"].Section("Not run yet."), name


def test_what_is_not_run_yet_is_said_by_sweep(modules, make_study):
    dense = ("SimpleSpread-3-v0", "dense", 0.0)
    runs = [(*dense, seed, -570.0, {"steps": 100_000}) for seed in (1, 2)]
    runs += [(*dense, 3, -570.0)]  # too many steps
    text = modules["progress"].progress(make_study(runs)).text
    assert re.match(r"2 of \d+ planned runs are in the tables.", text)
    rows = {row["sweep"]: row for row in rows_in(text)}
    planned, left = (int(rows["main.yaml"][key]) for key in ("planned", "not run yet"))
    assert (planned, left) == (4 * 13 * 8, planned - 2)
    assert "search/operator.yaml" in rows


def test_a_caption_has_commits_and_commands(modules):
    runs = pd.DataFrame({"commit": ["b", "a", "b", "unknown"]})
    assert modules["study"].caption(runs, "main.yaml", "results/tickets.yaml") == (
        "*4 runs, code of commit `a`, `b`, `unknown`: `mast sweep benchmarks/study/main.yaml && "
        "python benchmarks/study/tickets.py && mast sweep "
        "benchmarks/study/results/tickets.yaml`, then `make study-report`.*"
    )


def test_a_method_has_the_same_colour_in_every_figure(modules):
    colours_of, order = modules["drawing"].colours_of, modules["study"].ORDER
    all_of_them = colours_of(order)
    assert len(set(all_of_them.values())) == len(order)
    some = colours_of(["x", "mast", "y", "dense"])
    assert (some["mast"], some["dense"]) == (all_of_them["mast"], all_of_them["dense"])
    assert len(set(some.values())) == 4


def test_a_section_without_a_block_is_named(modules):
    section = modules["study"].Section("text")
    page = "before\n<!-- one -->\n\nold\n\n<!-- end -->\nafter\n"
    filled = modules["report"].filled
    assert filled(page, {"one": section}) == page.replace("old", "text")
    with pytest.raises(ValueError, match="the page has no block <!-- two -->"):
        filled(page, {"one": section, "two": section})
    with pytest.raises(ValueError, match="no section for the block <!-- one -->: two"):
        filled(page + "<!-- two -->\n<!-- end -->", {"two": section})


def test_the_page_has_the_sections_of_the_study(modules):
    """``make study-report`` was run after the last change of the tables."""
    study = modules["study"].Study.read(STUDY)
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    for name, make in modules["report"].BLOCKS.items():
        section = make(study)
        assert f"<!-- {name} -->\n\n{section.text}\n\n<!-- end -->" in page, name
        for figure in section.figures:
            with Image.open(REPOSITORY / "docs" / "figures" / f"{figure}.png") as picture:
                assert picture.text["Source"] == modules["report"].digest(STUDY), figure
