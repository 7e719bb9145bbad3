"""Files that are whole or not there."""

from __future__ import annotations

import os
import threading

import pytest

from epymarl_mast.whole_files import read_json, write_in_order, write_json, write_whole


def test_nothing_is_left_of_a_file_that_finds_no_room(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", b"before")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a", b"after")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"


def test_none_is_renamed_before_all_are_on_the_disk(tmp_path, monkeypatch):
    sync, seen = os.fsync, []

    def noted(descriptor):
        seen.append(sorted(file.name.partition(".")[0] for file in tmp_path.glob("*.tmp")))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write_in_order({tmp_path / "one": b"1", tmp_path / "two": b"2"})
    assert seen == [["one"], ["one", "two"], []]  # the folder last
    assert (tmp_path / "two").read_bytes() == b"2"


def test_two_threads_write_one_file_and_it_is_one_of_theirs(tmp_path):
    contents = [bytes([letter]) * 50_000 for letter in b"ab"]

    def write(content):
        for _ in range(20):
            write_whole(tmp_path / "a", content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "a", {"b": [1.5, None], "a": "é"})
    assert read_json(tmp_path / "a") == {"a": "é", "b": [1.5, None]}


@pytest.mark.parametrize(
    "content",
    [
        None, b"", b'{"torn": [1,', b"[1]", b"\xff\xfe", b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=["missing", "empty", "torn", "list", "no text", "deep", "long number"],
)  # fmt: skip
def test_what_cannot_be_read_is_empty(tmp_path, content):
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    assert read_json(tmp_path / "a") == {}


def test_what_is_no_file_is_empty_and_never_waited_for(tmp_path):
    (tmp_path / "link").symlink_to("link")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "zeros", "folder", "pipe", "\0"):
        assert read_json(tmp_path / name) == {}
