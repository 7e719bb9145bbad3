"""Masks recorded while training, and read again."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from epymarl_mast.errors import ReportError
from epymarl_mast.tracking.mask_history import SNAPSHOTS, MaskHistory, MaskRecorder


@pytest.fixture
def run(tmp_path):
    """A Sacred run that copies artifacts into a folder."""

    def add_artifact(filename, name):
        shutil.copy(filename, tmp_path / name)

    return SimpleNamespace(add_artifact=add_artifact, folder=tmp_path)


class Evolving:
    """A topology whose masks are another random draw at every update."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)
        self.updates = -1
        self.evolve()

    def evolve(self):
        self.updates += 1
        self.masks = {
            name: torch.rand(shape, generator=self.generator) < 0.3
            for name, shape in (("agent.fc1.weight", (7, 5)), ("mixer.V.0.weight", (1, 3)))
        }


def test_what_is_read_is_what_the_topology_was(run):
    topology = Evolving()
    recorder = MaskRecorder(SimpleNamespace(_run_obj=run), topology, t_max=100)
    seen = []
    for t_env in (10, 20, 30):
        seen.append({name: mask.numpy().copy() for name, mask in topology.masks.items()})
        recorder.after_update(t_env)
        recorder.after_update(t_env + 5)  # nothing has changed
        topology.evolve()
    seen.append({name: mask.numpy() for name, mask in topology.masks.items()})
    recorder.finish()
    recorder.finish()
    history = MaskHistory.of_run(run.folder)
    assert history.steps.tolist() == [10, 20, 30, 35]
    assert history.masks.keys() == topology.masks.keys()
    for name, masks in history.masks.items():
        assert np.array_equal(masks, [snapshot[name] for snapshot in seen])


def test_snapshots_are_few_and_small(run):
    topology = Evolving()
    topology.masks = {"agent.weight": torch.rand(768, 256) < 0.1}
    recorder = MaskRecorder(SimpleNamespace(_run_obj=run), topology, t_max=10_000)
    for t_env in range(1, 10_001, 10):
        topology.updates += 1
        recorder.after_update(t_env)
    recorder.finish()
    files = list(run.folder.glob("masks_*.npz"))
    assert SNAPSHOTS - 5 <= len(files) <= SNAPSHOTS + 1
    assert max(file.stat().st_size for file in files) < 768 * 256 / 8


def test_nothing_is_written_without_a_record_or_without_masks(run):
    MaskRecorder(SimpleNamespace(), Evolving(), 100).after_update(50)
    dense = SimpleNamespace(updates=0, masks={})
    recorder = MaskRecorder(SimpleNamespace(_run_obj=run), dense, 100)
    recorder.after_update(50)
    recorder.finish()
    assert not list(run.folder.iterdir())


def test_a_folder_without_masks_or_with_a_broken_one_is_one_line(run):
    with pytest.raises(ReportError, match=r"holds no masks_\*.npz"):
        MaskHistory.of_run(run.folder)
    (run.folder / "masks_000000000010.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(ReportError, match=r"masks_000000000010.npz cannot be read"):
        MaskHistory.of_run(run.folder)
    np.savez(run.folder / "masks_000000000010.npz", allow_pickle=True,
             **{"bits/a": np.array([object()]), "shape/a": np.array([1, 1])})  # fmt: skip
    with pytest.raises(ReportError, match="cannot be read") as error:
        MaskHistory.of_run(Path(run.folder))
    assert "\n" not in str(error.value)
