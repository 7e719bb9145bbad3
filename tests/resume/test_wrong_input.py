"""``mast train --resume`` of what cannot be gone on with: one line, before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from epymarl_mast.errors import CheckpointError, HostError, OptionError
from epymarl_mast.learners.checkpoint import check_checkpoint
from epymarl_mast.resume.checkpoint import Checkpoint
from epymarl_mast.resume.command import Unfinished
from epymarl_mast.resume.files import StoredFile
from epymarl_mast.resume.lock import hold


@pytest.fixture
def run(mast_options):
    """Make a run's Sacred directory."""

    def make(folder, status="RUNNING", learner="mast_q_learner", host="pymarlzooplus", **noted):
        folder.mkdir(parents=True)
        config = {"learner": learner, "mast": mast_options(), "seed": 1, "name": "mast_qmix"}
        record = {"status": status, "host": {"epymarl_mast": {"host": host}}, **noted}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "run.json").write_text(json.dumps(record))
        return folder

    return make


def test_a_directory_that_is_not_there():
    with pytest.raises(OptionError, match="--resume nowhere: there is no such directory"):
        Unfinished.find("nowhere")


def test_a_results_directory_without_an_unfinished_run(run, tmp_path):
    run(tmp_path / "sacred/a/b/1", status="COMPLETED")
    run(tmp_path / "sacred/a/b/2", learner="q_learner")
    with pytest.raises(OptionError, match="there is no unfinished run in it of an algorithm of"):
        Unfinished.find(str(tmp_path))


def test_no_directory_at_all():
    with pytest.raises(OptionError, match="--resume needs a directory"):
        Unfinished.find("")


def test_the_folder_of_checkpoints_is_that_of_its_run(run, tmp_path):
    folder = run(tmp_path / "1")
    (folder / "checkpoints").mkdir()
    assert Unfinished.find(str(folder / "checkpoints")).folder == folder


def test_a_run_without_its_configuration(run, tmp_path):
    (run(tmp_path / "1") / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json: nobody can tell"):
        Unfinished.find(str(tmp_path / "1"))


def test_a_run_whose_checkpoints_are_gone_does_not_begin_again(run, tmp_path):
    folder = run(tmp_path / "1", last_checkpoint=4000)
    with pytest.raises(CheckpointError, match="had a checkpoint of step 4000, which is not in its"):
        Unfinished.find(str(folder))


def test_the_option_of_attached_checkouts(tmp_path, mast):
    words = ("train", "--config=mast_qmix", "--env-config=gymma", "with", "mast.resume=c3")
    said = mast(tmp_path, *words, code=2).err
    assert said == (
        "mast: error: mast.resume=c3 is for a checkout with the plugin; here: --resume 'c3'\n"
    )


def test_a_results_directory_with_two(run, tmp_path):
    for number in ("1", "2"):
        run(tmp_path / "sacred/a/b" / number)
    with pytest.raises(
        OptionError, match="2 unfinished runs, name one: sacred/a/b/1, sacred/a/b/2"
    ):
        Unfinished.find(str(tmp_path))


def test_the_only_unfinished_one_is_taken(run, tmp_path):
    run(tmp_path / "sacred/a/b/1", status="COMPLETED")
    run(tmp_path / "sacred/a/b/2", status="INTERRUPTED")
    run(tmp_path / "sacred/a/c/1", learner="q_learner")

    found = Unfinished.find(str(tmp_path))

    assert found.folder == tmp_path / "sacred/a/b/2"
    assert found.results == tmp_path
    assert found.say([]) == [f"{found.folder} has no whole checkpoint: it begins again"]


def test_a_run_of_another_learner(run, tmp_path):
    with pytest.raises(CheckpointError, match="is not that of a run of epymarl-mast"):
        Unfinished.find(str(run(tmp_path / "1", learner="q_learner")))


def test_a_run_that_has_completed(run, tmp_path):
    with pytest.raises(CheckpointError, match="has completed: there is nothing to go on with"):
        Unfinished.find(str(run(tmp_path / "1", status="COMPLETED")))


def test_a_run_on_another_host(run, tmp_path):
    found = Unfinished.find(str(run(tmp_path / "1", host="epymarl")))
    with pytest.raises(HostError, match="was trained on epymarl, this is pymarlzooplus"):
        found.check_host("pymarlzooplus")


def test_options_beside_it(run, tmp_path):
    found = Unfinished.find(str(run(tmp_path / "1")))
    with pytest.raises(OptionError, match="'with' is not allowed"):
        found.arguments(["with", "lr=0.1"])


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_run_started_from_is_needed_by_one_that_begins_again_alone(whole, tmp_path):
    masks, models = str(tmp_path / "masks"), str(tmp_path / "models")
    config = {"mast": {"mask_from": masks, "alpha": 1}, "checkpoint_path": models, "seed": 1}
    checkpoint = Checkpoint(tmp_path / "checkpoints", 5, StoredFile("state", 0, ""), {})
    checkpoint.folder.mkdir()
    if whole:
        checkpoint.write()
    goes_on = Unfinished(tmp_path, config, {}, checkpoint if whole else None, ())

    given = yaml.safe_load(Path(goes_on.arguments([])[0].partition("=")[2]).read_text())

    assert given["mast"] == {**config["mast"], "resume": str(tmp_path)}
    if whole:
        assert given["checkpoint_path"] == ""
        check_checkpoint(given)
    else:
        assert given["checkpoint_path"] == models
        with pytest.raises(OptionError, match=r"mast\.mask_from=.* holds neither"):
            check_checkpoint(given)


def test_a_run_that_another_process_trains(run, tmp_path, mast):
    folder = run(tmp_path / "1")
    hold(folder / "checkpoints")  # this process, until it ends
    done = mast(tmp_path, "train", "--resume", folder, code=2)
    assert f"{folder} is being trained by another process" in done.err
