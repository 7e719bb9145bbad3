"""No file runs code: each test has a payload that would leave a mark, and looks for the mark."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import sys
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from epymarl_mast.command import SacredCommand
from epymarl_mast.errors import CheckpointError, ExportError, MastError, OptionError, ReportError
from epymarl_mast.export.checkpoint import read_checkpoint
from epymarl_mast.export.file import KEY, read_agent
from epymarl_mast.hosts import PyMARLzooPlus
from epymarl_mast.launch import prepare
from epymarl_mast.learners.checkpoint import load_learner, load_state
from epymarl_mast.report.database import read_database
from epymarl_mast.report.make import Request, make_report
from epymarl_mast.resume.checkpoint import Checkpoint
from epymarl_mast.resume.files import store
from epymarl_mast.sweep import one_run
from epymarl_mast.sweep.plan import Run, check_runs, read_sweep
from epymarl_mast.torch_files import load_tensors
from epymarl_mast.tracking import mask_history
from epymarl_mast.tracking.mask_history import MaskHistory, packed
from epymarl_mast.tracking.summary import finished_run

LBF = ("env_args.key=lbforaging:Foraging-8x8-2p-3f-v3", "env_args.time_limit=50")


class Payload:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self._mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self._mark,)


@pytest.fixture
def mark(tmp_path):
    """The folder that a payload makes; there is none in the end."""
    path = tmp_path / "mark"
    yield path
    assert not path.exists(), "code from a file was executed"


@pytest.fixture
def as_json(mark):
    """What jsonpickle would turn into a call."""
    return {"py/reduce": [{"py/function": "os.mkdir"}, {"py/tuple": [str(mark)]}]}


@pytest.fixture
def embedded(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return PyMARLzooPlus.installed() or pytest.skip("no PyMARLzoo+")


def test_the_payloads_would_work(tmp_path):
    """Else the tests below could not fail."""
    jsonpickle = pytest.importorskip("jsonpickle")
    pickle.loads(pickle.dumps(Payload(tmp_path / "pickle")))
    call = {"py/reduce": [{"py/function": "os.mkdir"}, {"py/tuple": [str(tmp_path / "json")]}]}
    jsonpickle.decode(json.dumps(call))
    assert (tmp_path / "pickle").is_dir()
    assert (tmp_path / "json").is_dir()


@pytest.mark.parametrize("name", ["mast.pt", "agent.th", "mixer.th", "opt.th"])
def test_a_malicious_checkpoint(learner, mark, tmp_path, name):
    own = learner()
    own.save_models(str(tmp_path))
    (tmp_path / "SHA256SUMS").unlink()  # whoever changes a file can leave that out
    torch.save({"format": 1, "weights": Payload(mark)}, tmp_path / name)
    with pytest.raises(CheckpointError, match=f"{name} cannot be read: UnpicklingError"):
        load_learner(own, tmp_path)
    if name in ("mast.pt", "agent.th"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_checkpoint(tmp_path)
    if name == "mast.pt":  # mast.mask_from reads it too
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_state(tmp_path)


def _zipped_small():
    """An archive of torch's that zip has made small."""
    saved, small = io.BytesIO(), io.BytesIO()
    torch.save(torch.zeros(10**7), saved)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member))
    return small.getvalue()


def _saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _lists_of_lists():
    nested = [1]
    for _ in range(60):
        nested = [nested, nested]
    return nested


def _itself():
    holds = [1]
    holds.append(holds)
    return holds


@pytest.mark.parametrize(
    "make",
    [
        _zipped_small,
        lambda: _saved({"clock": torch.zeros(1).expand(10**12)}),
        lambda: _saved(_lists_of_lists()),
        lambda: _saved(_itself()),
    ],
    ids=["zipped", "one number many times", "lists of lists", "a list of itself"],
)
def test_a_checkpoint_that_unpacks_to_more_than_memory(make, tmp_path):
    content = make()
    assert len(content) < 10**5
    (tmp_path / "mast.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="much larger in memory than it is as a file"):
        load_state(tmp_path)
    state = store(tmp_path / "state_000000000001.pt", content)
    with pytest.raises(CheckpointError, match="much larger in memory than it is as a file"):
        Checkpoint(tmp_path, 1, state, {}).load_state()


@pytest.mark.parametrize("name", ["agent.th", "SHA256SUMS"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(learner, tmp_path, name):
    own = learner()
    own.save_models(str(tmp_path))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match="cannot be read: no regular file"):
        load_learner(own, tmp_path)


def test_networks_that_share_weights_are_read():
    weights = torch.rand(1000, 3)
    shared = {"online": weights[:500], "target": weights, "again": weights.view(-1)}
    assert load_tensors(_saved(shared))["again"].shape == (3000,)


def test_a_malicious_mask_file(mark, tmp_path):
    np.savez(tmp_path / "masks_000000000010.npz", **{"bits/a": np.array([Payload(mark)], object)})
    with pytest.raises(ReportError, match="cannot be read"):
        MaskHistory.of_run(tmp_path)


def test_a_mask_file_that_unpacks_to_more_than_memory(tmp_path, monkeypatch):
    path = tmp_path / "masks_000000000010.npz"
    bits = {"bits/a": np.zeros(1, np.uint8), "shape/a": np.array([10**6, 10**6])}
    np.savez(path, **bits)
    with pytest.raises(ReportError, match="1000000 x 1000000, which are not 1 bytes"):
        MaskHistory.of_run(tmp_path)
    monkeypatch.setattr(mask_history, "_MOST_BYTES", 1 << 20)
    np.savez_compressed(path, **{"bits/a": np.zeros(1 << 21, np.uint8)})
    assert path.stat().st_size < 1 << 14
    with pytest.raises(ReportError, match="unpacks to more than"):
        MaskHistory.of_run(tmp_path)


def test_many_mask_files_that_unpack_to_more_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(mask_history, "_MOST_BYTES", 3 << 20)
    bits = {"bits/a": np.zeros(1 << 20, np.uint8), "shape/a": np.array([1 << 10, 1 << 13])}
    for step in range(3):
        np.savez_compressed(tmp_path / f"masks_{step:012d}.npz", **bits)
    assert len(MaskHistory.of_run(tmp_path).steps) == 3
    np.savez_compressed(tmp_path / "masks_000000000003.npz", **bits)
    with pytest.raises(ReportError, match=r"masks_000000000003\.npz .* with those before it"):
        MaskHistory.of_run(tmp_path)


@pytest.mark.parametrize("name", ["../a", "agent./a", "", "a\nb"])
def test_masks_of_a_layer_whose_name_leads_elsewhere(tmp_path, name):
    path = tmp_path / "masks_000000000010.npz"
    np.savez(path, **packed({name: np.eye(3, dtype=bool)}))
    with pytest.raises(ReportError, match="is no name of a layer"):
        MaskHistory.of_run(tmp_path)


def test_a_mask_file_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "masks_000000000010.npz")
    with pytest.raises(ReportError, match="no regular file"):
        MaskHistory.of_run(tmp_path)


def test_masks_of_another_format_are_refused_and_older_ones_read(tmp_path):
    arrays = packed({"agent.fc1.weight": np.eye(3, dtype=bool)})
    path = tmp_path / "masks_000000000010.npz"
    np.savez_compressed(path, **{**arrays, "format": np.array(2)})
    with pytest.raises(ReportError, match="format 2, where this version reads format 1"):
        MaskHistory.of_run(tmp_path)
    del arrays["format"]
    np.savez_compressed(path, **arrays)
    assert MaskHistory.of_run(tmp_path).masks["agent.fc1.weight"].sum() == 3


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir"])
def test_a_malicious_yaml_file(embedded, mark, tmp_path, tag):
    (tmp_path / "evil.yaml").write_text(f"lr: {tag} ['{mark}']\n")
    for words in (
        ["--config=mast_qmix", "--env-config=gymma", "with", *LBF, "evil.yaml"],
        [f"--config={tmp_path / 'evil.yaml'}", "--env-config=gymma"],
    ):
        with pytest.raises(OptionError, match="is not valid YAML"):
            prepare(embedded, words)
    with pytest.raises(OptionError, match="is not valid YAML"):
        read_sweep(tmp_path / "evil.yaml")


def test_a_small_yaml_file_that_is_huge_inside(embedded, tmp_path):
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    (tmp_path / "itself.yaml").write_text("a: &a [*a]")
    for name in ("bomb.yaml", "itself.yaml"):
        with pytest.raises(OptionError, match="more than 100000 entries"):
            prepare(embedded, ["--config=mast_qmix", "--env-config=gymma", "with", *LBF, name])


def test_override_files_that_sacred_would_unpickle_are_refused(embedded, mark, as_json, tmp_path):
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(Payload(mark), protocol=0))
    (tmp_path / "evil.json").write_text(json.dumps({"lr": as_json}))
    for name in ("evil.pickle", "evil.json"):
        with pytest.raises(OptionError, match=f"{name} is not allowed: a file .* ends in .yaml"):
            prepare(embedded, ["--config=mast_qmix", "--env-config=gymma", "with", *LBF, name])


@pytest.mark.parametrize("form", ["{}", "[1, {}]", "{{'a': ({},)}}"])
def test_a_value_that_sacred_would_turn_into_an_object(mark, as_json, form):
    hidden = repr(as_json).replace("py/reduce", r"\x70y/reduce")
    for value in (repr(as_json), hidden):
        with pytest.raises(OptionError, match="'py/reduce' asks for an object"):
            SacredCommand.parse(["with", f"lr={form.format(value)}"])


def test_a_sweep_with_such_a_value(embedded, mark, as_json, tmp_path):
    run = {"config": "mast_qmix", "environment": {"env-config": "gymma"}, "seed": 1}
    for value in (repr(as_json), as_json, [repr(as_json)]):
        content = {"host": "pymarlzooplus", "runs": [{**run, "options": {"lr": value}}]}
        (tmp_path / "sweep.yaml").write_text(json.dumps(content))
        with pytest.raises(OptionError, match="is not allowed"):
            check_runs(read_sweep(tmp_path / "sweep.yaml"))


def test_a_malicious_export_header(mark, as_json, tmp_path):
    path = tmp_path / "agent.safetensors"
    for said in (json.dumps(as_json), json.dumps({"format": as_json}), "!!python/object:os", "["):
        save_file({"x": np.zeros(1)}, path, metadata={KEY: said})
        with pytest.raises(ExportError, match="its header is wrong"):
            read_agent(path)
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ExportError, match="cannot be read"):
        read_agent(path)


def test_a_malicious_record(mark, as_json, tmp_path):
    run = tmp_path / "results" / "sacred" / "a" / "b" / "1"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"name": as_json, "env_args": as_json}))
    (run / "run.json").write_text(json.dumps({"status": "COMPLETED", "host": as_json}))
    (run / "metrics.json").write_text(json.dumps({"test_return_mean": as_json}))
    finished_run(run)
    with pytest.raises(MastError):
        list(make_report(Request((str(tmp_path),), tmp_path / "out")))


SHOW = "import os, sys; print('argv', sys.argv[1:]); print(os.environ['MAST_SWEEP_MONGO'])"


def test_a_sweep_hands_its_password_on_unseen(monkeypatch, tmp_path):
    """The list of processes shows arguments to everybody on a machine."""
    address = "mongodb://me:secret@server/marl"
    monkeypatch.setattr(one_run, "PROGRAM", (sys.executable, "-c", SHOW))
    run = Run("mast_qmix", "gymma", (), (("seed", 1),), None, str(tmp_path), address)
    assert one_run.execute(run) == 0
    [log] = tmp_path.glob("sweep/*/log.txt")
    arguments, handed = log.read_text().splitlines()
    assert "'-m', 'env:MAST_SWEEP_MONGO'" in arguments
    assert "secret" not in arguments
    assert handed == address
    [done] = tmp_path.glob("sweep/*/done.json")
    assert "secret" not in done.read_text()


def test_an_address_from_the_environment(monkeypatch):
    pytest.importorskip("pymongo")
    monkeypatch.setenv("MARL_DB", "mongodb://me:secret@server/marl")
    SacredCommand.parse(["-m", "env:MARL_DB"])
    monkeypatch.setenv("MARL_DB", "mongodb://me:secret@server")
    with pytest.raises(OptionError, match="-m env:MARL_DB is not allowed"):
        SacredCommand.parse(["-m", "env:MARL_DB"])
    for other in ("the-key/of-something", "mongodb://me:se/cret@server/marl"):
        monkeypatch.setenv("MARL_DB", other)
        with pytest.raises(OptionError, match="env:MARL_DB is ") as error:
            SacredCommand.parse(["-m", "env:MARL_DB"])
        with pytest.raises(OptionError, match="env:MARL_DB") as another:
            list(read_database("env:MARL_DB", ()))
        assert not {"key", "cret"} & set(re.findall(r"\w+", f"{error.value} {another.value}"))
    monkeypatch.delenv("MARL_DB")
    with pytest.raises(OptionError, match="env:MARL_DB: the environment variable MARL_DB is not"):
        SacredCommand.parse(["-m", "env:MARL_DB"])
