"""The page in a real browser, where there is one: charts are drawn, and nothing is asked for."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from epymarl_mast.report.make import Request, make_report

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
BLUE = (0, 114, 178)  # of the first method


@pytest.fixture
def browse(tmp_path):
    """Open a page; returns its pixels, what it said on the console, and what it asked for."""
    if BROWSER is None:
        pytest.skip("no chromium on the PATH")

    def visit(page):
        picture, log = tmp_path / "page.png", tmp_path / "net.json"
        done = subprocess.run(
            [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", f"--user-data-dir={tmp_path / 'browser'}",
             "--enable-logging=stderr", f"--log-net-log={log}", "--window-size=1250,2000",
             f"--screenshot={picture}", page.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        own = "not an origin"  # the browser's own requests
        requests = re.findall(r'"initiator":"([^"]*)".*?"url":"([^"]*)"', log.read_text())
        asked = [url for initiator, url in requests if initiator != own and "http" in url]
        return np.asarray(Image.open(picture).convert("RGB")), said, asked

    return visit


@pytest.mark.long
def test_charts_are_drawn_and_nothing_leaves_the_page(browse, record, configure, tmp_path):
    for seed in (1, 2):
        record(configure(seed=seed), 0.4 + seed / 10)
    list(make_report(Request((str(tmp_path),), tmp_path / "out")))
    pixels, said, asked = browse(tmp_path / "out" / "report.html")
    assert (np.abs(pixels.astype(int) - BLUE).max(axis=2) < 3).sum() > 300
    assert said == []
    assert asked == []


@pytest.mark.long
def test_names_of_runs_do_nothing_in_a_browser(browse, record, configure, tmp_path):
    evil = "<img src=http://127.0.0.1:9/x onerror=console.log(1)><script>console.log(2)</script>"
    for seed in (1, 2):
        record(configure(seed=seed, task=evil), 0.4 + seed / 10)
    list(make_report(Request((str(tmp_path),), tmp_path / "out", command=f"mast {evil}")))
    pixels, said, asked = browse(tmp_path / "out" / "report.html")
    assert (np.abs(pixels.astype(int) - BLUE).max(axis=2) < 3).sum() > 300
    assert said == []
    assert asked == []


@pytest.mark.long
def test_a_page_that_does_either_would_be_seen(browse, unused_port, tmp_path):
    page, url = tmp_path / "bad.html", f"http://127.0.0.1:{unused_port()}/x.png"
    page.write_text(f"<img src='{url}'><script>console.error('no')</script>")
    _, said, asked = browse(page)
    assert any("no" in line for line in said)
    assert url in asked
