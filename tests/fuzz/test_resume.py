"""What a killed run leaves behind, damaged: its record, its checkpoints, lock and token."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil

import pytest
import torch

from epymarl_mast.hosts import PyMARLzooPlus
from epymarl_mast.resume import checkpoint as checkpoints
from epymarl_mast.resume.checkpoint import newest_whole
from epymarl_mast.resume.command import Unfinished
from epymarl_mast.resume.files import store
from epymarl_mast.resume.keeper import first_token
from epymarl_mast.resume.rewind import packed_clock, unpacked_clock
from epymarl_mast.resume.writer import CheckpointWriter

RUN = "sacred/mast_qmix/task/1"
NUMBERS = (-1, 0, 2**31, 2**62, 2**63, 2**64, 10**30, 1e300, -0.5, True)
OTHERS = (*NUMBERS, None, "", "x", "\0", "../x", [], {}, [[]], {"1": 2})
DEEP = b"[" * 100_000, b'{"a":' * 50_000, b'{"t_env": ' + b"9" * 5000 + b"}"


class Ring:
    """A ring of episodes that tell their number."""

    name, capacity = "replay", 4

    def __init__(self):
        self.inserted = 0

    @property
    def first(self):
        return max(0, self.inserted - self.capacity)

    def episode(self, number):
        return {"filled": torch.ones(3, 1, dtype=torch.long),
                "obs": torch.full((3, 2), float(number))}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory, mast_options_of_qmix):
    """The results of a run that was killed after two checkpoints, as ``{path: content}``."""
    folder = tmp_path_factory.mktemp("results")
    run = folder / RUN
    (run / "checkpoints").mkdir(parents=True)
    config = {"learner": "mast_q_learner", "mast": mast_options_of_qmix, "seed": 1,
              "name": "mast_qmix", "local_results_path": "results"}  # fmt: skip
    record = {"status": "RUNNING", "host": {"epymarl_mast": {"host": "pymarlzooplus"}}}
    metrics = {"return_mean": {"steps": [1], "values": [0.5], "timestamps": ["2026-01-01"]}}
    for name, content in (("config", config), ("run", record), ("metrics", metrics), ("info", {})):
        (run / f"{name}.json").write_text(json.dumps(content))
    (run / "checkpoints/token").write_text("mast_qmix_seed1_2026")
    (run / "checkpoints/lock").touch()
    ring = Ring()
    writer = CheckpointWriter(run / "checkpoints", [ring], 2, pytest.fail)
    for step in (5, 9):
        ring.inserted += 3
        noted = {"info": {}, "stats": {}, "artifacts": [], "run_entry": "{}", "log": 0}
        state = {"config": json.dumps(config), "record": noted, "clock": packed_clock([step])}
        writer.begin(step, state)
        writer.finish()
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def mast_options_of_qmix():
    from epymarl_mast.overrides import overrides_dir, read_yaml

    return read_yaml(overrides_dir() / "algs" / "mast_qmix.yaml", "")["mast"]


class TestResume:
    few, many = 60, 2500

    def test_results_of_a_killed_run(self, campaign, cases, results, tmp_path):
        others = tuple(results.values())
        folders = (tmp_path / f"results{number}" for number in itertools.count())

        def changed(chance, path):
            """A JSON file with another value, also one that its checksum covers."""
            content = path.read_bytes()
            if path.suffix == ".json" and chance.random() < 0.1:
                return chance.choice(DEEP)
            try:
                tree = json.loads(content) if chance.random() < 0.75 else None
            except (ValueError, RecursionError):
                tree = None
            if not isinstance(tree, dict):
                return chance.bytes_of(content, others)
            signed = tree.pop("sha256", None)
            for _ in range(chance.choice((1, 1, 3))):
                tree = chance.tree(tree, OTHERS)
            if signed and isinstance(tree, dict) and chance.random() < 0.8:
                tree["sha256"] = checkpoints._digest(tree)
            return json.dumps(tree).encode()

        def resigned(chance, folder):
            """State or episodes of other content, which a checkpoint names as its own."""
            path = chance.choice(sorted(folder.glob("checkpoint_*.json")))
            tree = json.loads(path.read_bytes())
            del tree["sha256"]
            segment = chance.choice(tree["segments"]["replay"])
            if chance.random() < 0.5:
                buffer = io.BytesIO()
                old = torch.load(folder / tree["state"]["name"], weights_only=True)
                torch.save(chance.tree(old), buffer)
                stored = store(folder / tree["state"]["name"], buffer.getvalue())
                tree["state"] = vars(stored)
            else:
                old = (folder / segment["file"]["name"]).read_bytes()
                head, _, body = old.partition(b"\n")
                if chance.random() < 0.5:
                    head = json.dumps(chance.tree(json.loads(head), (*NUMBERS, "O", "f8"))).encode()
                else:
                    body = chance.bytes_of(body, others)
                stored = store(folder / segment["file"]["name"], head + b"\n" + body)
                segment["file"] = vars(stored)
            store(path, json.dumps({**tree, "sha256": checkpoints._digest(tree)}).encode())

        def replaced(chance, path):
            """Something else in the place of a file: a link, a pipe, a folder, nothing."""
            path.unlink()
            kind = chance.choice(("link", "device", "dangling", "loop", "folder", "pipe", "gone"))
            if kind == "link":
                path.symlink_to(chance.choice(sorted(path.parent.iterdir()) or [path]))
            elif kind in ("device", "dangling", "loop"):
                path.symlink_to(
                    {"device": "/dev/zero", "dangling": "nowhere", "loop": path.name}[kind]
                )
            elif kind == "folder":
                path.mkdir()
            elif kind == "pipe":
                os.mkfifo(path)

        def case(chance):
            folder = next(folders)  # a lock is held as long as this process lives
            for name, content in results.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            if chance.random() < 0.2:
                resigned(chance, folder / RUN / "checkpoints")
            for _ in range(chance.choice((0, 1, 1, 2, 4))):
                what = chance.random()
                files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
                if not files:
                    break
                path = chance.choice(files)
                if what < 0.7 and path.stat().st_size < 10**6 and not path.is_symlink():
                    path.write_bytes(changed(chance, path))
                else:
                    replaced(chance, path)
            newest_whole.cache_clear()
            try:
                go_on(chance, folder)
            finally:
                shutil.rmtree(folder)

        def go_on(chance, folder):
            where = chance.choice((folder, folder, folder / RUN))
            token = first_token(folder / RUN / "checkpoints", "mine")
            assert token == "mine" or ("/" not in token and token.isprintable())
            found = Unfinished.find(str(where))
            assert all("\n" not in line for line in found.say([]))
            assert found.results.is_absolute()
            if found.host_to_find:
                found.check_host(PyMARLzooPlus.name)
            assert found.arguments([])[0].startswith("--config=")
            if found.checkpoint is None:
                return
            assert found.noted is not None
            assert unpacked_clock(found.checkpoint.load_state().get("clock")) in ([5], [9])
            for ring in found.checkpoint.segments:
                for _, fields in itertools.islice(found.checkpoint.episodes(ring, 0), 100):
                    assert all(isinstance(field, torch.Tensor) for field in fields.values())

        campaign("results to resume", cases, case)
