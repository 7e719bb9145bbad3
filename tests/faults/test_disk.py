"""A disk that is full or read-only, before a run and during it."""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
import time
from pathlib import Path

import pytest
from sacred.observers import FileStorageObserver

from epymarl_mast.errors import CheckpointError, OptionError
from epymarl_mast.launch import check_results_folder
from epymarl_mast.learners.checkpoint import load_learner
from epymarl_mast.tracking.mask_history import MaskRecorder
from epymarl_mast.tracking.steady_files import records_survive_full_disk
from epymarl_mast.tracking.summary import finished_run


def test_a_folder_for_results_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("")
    for folder in ("results", "results/deeper"):
        with pytest.raises(OptionError, match=r"local_results_path=.* is not allowed: .*no folder"):
            check_results_folder(tmp_path / folder)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_a_read_only_folder_for_results_is_refused():
    with pytest.raises(OptionError, match="nothing can be written in /proc"):
        check_results_folder(Path("/proc/results"))


def test_a_full_disk_is_noticed_before_anything_starts(full_disk, tmp_path):
    check_results_folder(tmp_path / "results")
    with (
        full_disk(1000),
        pytest.raises(OptionError, match=r"can be written in .*too large"),
    ):
        check_results_folder(tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_finds_no_room_costs_nothing(learner, full_disk, capsys, tmp_path):
    own = learner()
    earlier, later = tmp_path / "100", tmp_path / "200"
    for folder in (earlier, later):
        folder.mkdir()
    own.save_models(str(earlier))
    with full_disk(1000):
        own.save_models(str(later))
    said = capsys.readouterr().err
    assert f"mast: warning: no checkpoint in {later} (File too large): make room there" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [earlier]  # the host would take the folder for one
    load_learner(own, earlier)


def test_a_checkpoint_does_not_spoil_what_was_there_before_it(learner, full_disk, tmp_path):
    own = learner()
    own.save_models(str(tmp_path))
    with full_disk(1000):
        own.save_models(str(tmp_path))
    load_learner(own, tmp_path)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.fixture
def observer(tmp_path):
    """Sacred's files of a run that has started."""
    with records_survive_full_disk():
        observer = FileStorageObserver(tmp_path)
        observer.started_event(
            ex_info={"sources": [], "base_dir": ""}, command="my_main", host_info={},
            start_time=dt.datetime(2026, 1, 1), config={}, meta_info={}, _id=1,
        )  # fmt: skip
        yield observer


def log(observer, *values):
    times = [dt.datetime(2026, 1, 1)] * len(values)
    data = {"values": list(values), "steps": list(range(len(values))), "timestamps": times}
    observer.log_metrics({"loss": data}, {})
    observer.heartbeat_event({"info": 1}, "out", dt.datetime(2026, 1, 1), None)


def test_metrics_wait_for_room_and_none_is_lost(observer, full_disk, capsys):
    log(observer, 1.0)
    with full_disk(50):
        log(observer, 2.0)
        log(observer, 3.0)
        stored = json.loads(Path(observer.dir, "metrics.json").read_text())
        assert stored["loss"]["values"] == [1.0]  # Sacred alone empties the file first
    log(observer, 4.0)
    observer.completed_event(dt.datetime(2026, 1, 2), None)
    stored = json.loads(Path(observer.dir, "metrics.json").read_text())
    assert stored["loss"]["values"] == [1.0, 2.0, 3.0, 4.0]
    said = capsys.readouterr().err
    assert said.count("cannot be written (File too large): training goes on") == 1
    assert said.count("can be written again") == 1
    assert finished_run(Path(observer.dir)).last("loss") == 4.0
    assert not list(Path(observer.dir).glob("*.tmp"))


def test_a_slow_disk_gets_each_metric_once(monkeypatch, tmp_path):
    """Sacred ends a run beside a heartbeat that takes longer than 2 s."""
    writing, log_metrics = threading.Event(), FileStorageObserver.log_metrics

    def slow(self, *args):
        log_metrics(self, *args)
        writing.set()
        time.sleep(0.3)

    monkeypatch.setattr(FileStorageObserver, "log_metrics", slow)
    with records_survive_full_disk():
        observer = FileStorageObserver(tmp_path)
        observer.dir, observer.run_entry = str(tmp_path), {}
        data = {"steps": [1], "values": [1.0], "timestamps": [dt.datetime(2026, 1, 1)]}
        heartbeat = threading.Thread(target=observer.log_metrics, args=({"loss": data}, {}))
        heartbeat.start()
        writing.wait()
        observer.completed_event(dt.datetime(2026, 1, 1), None)
        heartbeat.join()
    assert json.loads((tmp_path / "metrics.json").read_text())["loss"]["values"] == [1.0]


def test_a_record_that_never_finds_room_is_not_a_finished_run(observer, full_disk):
    log(observer, 1.0)
    with full_disk(50):
        observer.completed_event(dt.datetime(2026, 1, 2), None)
    assert finished_run(Path(observer.dir)) is None


def test_a_record_that_was_cut_off_is_not_a_finished_run(tmp_path):
    (tmp_path / "run.json").write_text('{"status": "COMPL')
    assert finished_run(tmp_path) is None
    assert finished_run(tmp_path / "nowhere") is None


def test_masks_that_find_no_room_are_left_out(learner, full_disk, capsys):
    recorder = MaskRecorder(type("Logger", (), {"_run_obj": object()}), learner().networks.topology,
                            1000)  # fmt: skip
    with full_disk(50):
        recorder.after_update(0)
    assert "mast: warning: no snapshot of the masks at t_env=0" in capsys.readouterr().err


FULL = """
import resource, sys
from epymarl_mast.cli import main
from epymarl_mast.learners.q_learner import MastQLearner

train = MastQLearner.train

def train_and_fill(self, *args, **named):
    if self.training_steps == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    train(self, *args, **named)

MastQLearner.train = train_and_fill
sys.argv[0] = "mast"
main()
"""


@pytest.mark.long
def test_a_run_on_a_disk_that_fills_up_says_that_its_record_is_not_whole(
    host, run_program, small_run, tmp_path
):
    where = str(host.root) if host.name == "epymarl" else host.name
    done = run_program(
        [sys.executable, "-c", FULL],
        ["train", "--host", where, "--config=mast_qmix", "--env-config=gymma", "with", *small_run,
         "mast.engine=masked", "save_model=True", "save_model_interval=100"],
        tmp_path, code=1,
    )  # fmt: skip
    assert "mast: warning: no checkpoint in" in done.err
    assert "cannot be written (File too large): training goes on" in done.err
    assert (
        done.err.rstrip()
        .splitlines()[-1]
        .startswith(
            "mast: error: the run came to its end, but its record is not: results/sacred/mast_qmix/"
        )
    )


@pytest.mark.parametrize("name", ["agent.th", "mixer.th", "opt.th", "mast.pt"])
def test_a_flipped_bit_in_a_checkpoint_is_noticed(learner, tmp_path, name):
    """Torch alone reads such a file without a word."""
    own = learner()
    own.save_models(str(tmp_path))
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} is not what was saved, says SHA256SUMS"):
        load_learner(own, tmp_path)


def test_files_of_two_checkpoints_do_not_mix(learner, tmp_path):
    for folder, seed in (("1", 1), ("2", 2)):
        (tmp_path / folder).mkdir()
        learner(seed=seed).save_models(str(tmp_path / folder))
    (tmp_path / "2" / "mixer.th").replace(tmp_path / "1" / "mixer.th")
    with pytest.raises(CheckpointError, match=r"mixer\.th is not what was saved"):
        load_learner(learner(), tmp_path / "1")
    with pytest.raises(CheckpointError, match=r"mixer\.th is missing"):
        load_learner(learner(), tmp_path / "2")


def test_a_checkpoint_whose_writing_was_cut_off_names_the_one_before(learner, tmp_path):
    for step in ("100", "200", "300"):
        (tmp_path / step).mkdir()
        learner().save_models(str(tmp_path / step))
    (tmp_path / "300" / "mast.pt").unlink()
    with pytest.raises(CheckpointError, match=r"mast\.pt is missing.*load_step=200 is the newest"):
        load_learner(learner(), tmp_path / "300")


def test_a_checkpoint_from_before_there_were_digests_is_read(learner, tmp_path):
    own = learner(seed=5)
    own.save_models(str(tmp_path))
    (tmp_path / "SHA256SUMS").unlink()
    other = learner(seed=6)
    load_learner(other, tmp_path)
    for name, weight in own.networks.weights.items():
        assert (weight == other.networks.weights[name]).all()


OTHERS = {
    "another algorithm": ("mast_ow_qmix", {}, "the mask of central_agent.*only in the checkpoint"),
    "another mixer": ("mast_vdn", {}, r"mixer\.hyper.* is not in the checkpoint"),
    "wider": ("mast_qmix", {"hidden_dim": 9}, r"agent\.fc1\.weight has shape \(9, "),
    "sparser": ("mast_qmix", {"mast": {"sparsity": 0.95}}, "keeps .* weights in the checkpoint"),
    "another learner": (
        "mast_res",
        {},
        "with learner=mast_res_learner, this run has learner=mast_q",
    ),
    "another option": (
        "mast_qmix",
        {"mast": {"operator": "max"}},
        "with mast.operator=max, this run has mast.operator=soft_mellowmax",
    ),
    "nan": ("mast_qmix", {"nan": True}, r"agent\.fc1\.weight holds a number that is not finite"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_the_first_difference_of_another_checkpoint_is_named(learner, tmp_path, case):
    algorithm, changes, said = OTHERS[case]
    changes = dict(changes)
    spoilt = changes.pop("nan", False)
    other = learner(algorithm, changes.get("mast", {}), **{k: v for k, v in changes.items()
                                                          if k != "mast"})  # fmt: skip
    if spoilt:
        other.mac.agent.fc1.weight.data[0, 0] = float("nan")
    other.save_models(str(tmp_path))
    own = learner()
    before = {name: weight.clone() for name, weight in own.networks.weights.items()}
    with pytest.raises(CheckpointError, match=f"does not fit this run: .*{said}"):
        load_learner(own, tmp_path)
    assert all((weight == before[name]).all() for name, weight in own.networks.weights.items())


def test_options_that_teach_nothing_may_differ_and_all_where_nothing_is_learned(learner, tmp_path):
    for name, mast in (("kept", {"checkpoint_minutes": 3.0}), ("taught", {"operator": "max"})):
        (tmp_path / name).mkdir()
        learner("mast_qmix", mast).save_models(str(tmp_path / name))
    load_learner(learner(), tmp_path / "kept")
    load_learner(learner("mast_qmix", {}, evaluate=True), tmp_path / "taught")
