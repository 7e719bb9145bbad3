"""Pictures that show something, and a page that needs nothing else."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from epymarl_mast.report.make import Request, make_report

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "data", "action", "srcset")]


@pytest.fixture(scope="module")
def report(record_in, configure, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("page")
    record = record_in(tmp_path)
    for sparsity in (0.8, 0.9):
        costs = {"mast_flops_train_ratio": 1 - sparsity}
        for seed in (1, 2):
            record(configure(mast={"sparsity": sparsity}, seed=seed), 0.4 + seed / 10, costs=costs)
    record(configure(task=EVIL), 0.2)
    record(configure("dense"), 0.7, costs={"mast_flops_train_ratio": 1.0})
    record(configure(seed=9), 0.7, status="FAILED")
    out = tmp_path / "out"
    request = Request(
        (str(tmp_path),), out, smooth=True, formats=("png", "svg", "pdf"), command=f"mast {EVIL}"
    )
    list(make_report(request))
    return out


def test_every_picture_in_every_format(report):
    names = {path.stem for path in report.glob("*.png")}
    assert names == {"curves-1", "curves-2", "sparsity-1", "flops-1", "wall-time"}
    for name in names:
        pixels = np.asarray(Image.open(report / f"{name}.png").convert("L"))
        assert min(pixels.shape) > 200
        assert 0.01 < (pixels < 200).mean() < 0.6  # something is drawn, and not everywhere
        ElementTree.parse(report / f"{name}.svg")
        assert (report / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_page_holds_all_and_asks_for_nothing(report):
    page = Page((report / "report.html").read_text(encoding="utf-8"))
    assert page.tags.count("img") == 5
    assert page.tags.count("table") == 2
    assert "script" not in page.tags
    prefix = "data:image/svg+xml;base64,"
    assert all(address.startswith(prefix) for address in page.addresses)
    for address in page.addresses:
        picture = base64.b64decode(address.removeprefix(prefix))
        ElementTree.fromstring(picture)
        assert len(picture) > 5000


def test_names_from_runs_are_text(report):
    text = (report / "report.html").read_text(encoding="utf-8")
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "not complete: FAILED" in text


EVERYWHERE = (
    "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}{% x %}</td><script>alert(1)</script>"
    "\x1b[2J\n|\\input{/etc/passwd}"
)


@pytest.fixture
def hostile(record, configure, tmp_path):
    """The report of runs whose every name is an attack, and its lines for the terminal."""
    for seed in (1, 2):
        config = configure(seed=seed, task=EVERYWHERE)
        record({**config, "env": EVERYWHERE, "label": EVERYWHERE}, 0.4, metric="a<script>")
    odd = configure(seed=EVERYWHERE, mast={"operator": EVERYWHERE})
    folder = record(odd, 0.5, metric="a<script>", host={"version": EVERYWHERE})
    (folder / "cout.txt").write_text(EVERYWHERE)
    record(configure(seed=4), 0.5, metric="a<script>", status=EVERYWHERE)
    broken = record(configure(seed=5), 0.5, metric="a<script>")
    (broken / "config.json").write_text(EVERYWHERE)
    evil = tmp_path / "sacred" / "<script>alert(2)<"
    evil.mkdir()
    (evil / "run.json").write_text("{}")
    out = tmp_path / "out"
    request = Request((str(tmp_path),), out, metric="a<script>", command=f"mast {EVERYWHERE}")
    return out, list(make_report(request))


def test_nothing_that_a_run_recorded_becomes_html(hostile):
    out, _ = hostile
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "code", "div",
             "table", "thead", "tbody", "tr", "th", "td", "figure", "img"}  # fmt: skip
    assert set(page.tags) <= known
    assert all(a.startswith("data:image/svg+xml;base64,") for a in page.addresses)
    assert "onerror=alert(1)&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "default-src 'none'" in text


def test_nothing_that_a_run_recorded_moves_the_cursor_or_ends_a_cell(hostile):
    out, lines = hostile
    markdown = (out / "performance.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", markdown)
    for text in (*lines, markdown):
        assert "\x1b" not in text
    tex = (out / "performance.tex").read_text(encoding="utf-8")
    assert "\\input" not in tex
    assert "textbackslash{}input" in tex
