"""Pictures that show something, and a page that needs nothing else."""

from __future__ import annotations

import base64
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
