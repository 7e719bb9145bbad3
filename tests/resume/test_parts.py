"""Values, files, segments and checkpoints by themselves."""

from __future__ import annotations

import io
import json
import os
import random
import zlib
from collections import deque
from datetime import datetime
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from epymarl_mast.errors import CheckpointError
from epymarl_mast.learners.engines import MaskedEngine
from epymarl_mast.report.record import seconds_trained
from epymarl_mast.resume import record as records
from epymarl_mast.resume.arithmetic import arithmetic, differences
from epymarl_mast.resume.checkpoint import Checkpoint, newest_whole
from epymarl_mast.resume.files import StoredFile, fetch, store
from epymarl_mast.resume.keeper import first_token
from epymarl_mast.resume.rewind import Rewind, packed_clock, unpacked_clock
from epymarl_mast.resume.segments import SegmentBuilder, unpack
from epymarl_mast.resume.state import _fill, check_same_run
from epymarl_mast.resume.values import generator_state, plain, revive, set_generator_state
from epymarl_mast.resume.writer import CheckpointWriter

VALUES = [
    None, True, 3, 2**100, 0.1, "text", b"bytes", (1, 2), [1, 2.0, "x"], [], [1.5, 0.1], [3, 2**80],
    np.float32(0.1), np.float64(0.1), np.bool_(True), np.uint32(7), [np.float64(0.1)] * 3,
    [np.float32(0.1), np.float32(2)], {"a": {"b": (np.int64(3), [np.float64(1)])}},
    {(1, 2): 3, None: 4}, {"tuple": [1]}, {1, 2}, frozenset("a"), deque([1, (2,)], maxlen=4),
]  # fmt: skip


def through_torch(value):
    """As a checkpoint stores it."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def types_in(value):
    if isinstance(value, dict):
        return {key: types_in(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [types_in(item) for item in value]
    return type(value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_with_their_types(value):
    back = revive(through_torch(plain(value)))

    assert back == value
    assert types_in(back) == types_in(value)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)])
@pytest.mark.parametrize("kind", ["uint32", "float64", "bool"])
def test_arrays_come_back(shape, kind):
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(kind)
    back = revive(through_torch(plain(array)))

    assert np.asarray(back).dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_an_object_is_refused_by_its_type():
    with pytest.raises(TypeError, match="a SimpleNamespace cannot be kept"):
        plain({"a": [SimpleNamespace()]})


@pytest.mark.parametrize(
    ("make", "draw"),
    [
        (lambda: np.random.default_rng(3), lambda g: g.random(5).tolist()),
        (lambda: np.random.RandomState(3), lambda g: g.normal(size=5).tolist()),
        (lambda: random.Random(3), lambda g: [g.gauss(0, 1) for _ in range(5)]),
        (lambda: torch.Generator().manual_seed(3), lambda g: torch.rand(5, generator=g).tolist()),
    ],
)
def test_a_generator_goes_on(make, draw):
    generator, other = make(), make()
    draw(generator)
    state = through_torch(generator_state(generator))
    expected = draw(generator)

    set_generator_state(other, state)

    assert draw(other) == expected


def test_a_clock_comes_back():
    clock = np.cumsum(np.random.default_rng(0).integers(1, 50, 1000)).tolist()
    assert unpacked_clock(through_torch(packed_clock(clock))) == clock


def test_a_clock_that_unpacks_to_more_than_memory():
    zeros = zlib.compressobj(9)
    packed = b"".join(zeros.compress(bytes(2**24)) for _ in range(9)) + zeros.flush()
    assert len(packed) < 2**18
    with pytest.raises(CheckpointError, match="no clock: it is torn, or unpacks to more than 128"):
        unpacked_clock(torch.frombuffer(bytearray(packed), dtype=torch.uint8))


def test_the_hosts_loop_passes_through_without_a_trace():
    called = []
    part = SimpleNamespace(
        insert_episode_batch=called.append, can_sample=lambda size: True, save_models=called.append,
        log_stat=called.append, print_recent_stats=called.append, console_logger="console",
    )  # fmt: skip
    runner = SimpleNamespace(logger=part, t_env=0)
    rewind = Rewind([3, 7], runner, part, part)
    seen = []
    while rewind.step():
        part.insert_episode_batch(None)
        part.console_logger.info("nothing")
        seen.append((runner.t_env, part.can_sample(1)))

    assert seen == [(3, False), (7, False)]
    assert called == []
    part.log_stat("said")
    assert (called, part.console_logger, part.can_sample(1)) == (["said"], "console", True)


def test_a_stored_file_is_whole_or_refused(tmp_path):
    stored = store(tmp_path / "a", b"content")
    assert fetch(tmp_path, stored) == b"content"
    for damaged, said in ((b"contenT", "checksum"), (b"conten", "6 bytes, not 7")):
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(CheckpointError, match=said):
            fetch(tmp_path, stored)
    (tmp_path / "a").unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        fetch(tmp_path, stored)
    with pytest.raises(CheckpointError, match="is no file of the folder"):
        fetch(tmp_path, StoredFile("../a", 1, ""))


def episode(number, steps=6, used=4):
    """With zeros after its end; the number tells it from others."""
    filled = torch.zeros(steps, 1, dtype=torch.long)
    filled[:used] = 1
    return {"filled": filled, "obs": filled[:, :, None] * torch.full((steps, 2, 3), float(number))}


def test_episodes_come_back_without_their_trailing_zeros():
    late = episode(2)
    late["obs"][5, 1, 1] = 9.0  # after its end
    builder = SegmentBuilder()
    for fields in (episode(1), late):
        builder.add(fields)

    one, two = unpack(builder.content())

    assert len(one["obs"]) == 4
    for key, field in episode(1).items():
        torch.testing.assert_close(one[key], field[:4])
        torch.testing.assert_close(two[key], late[key])


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[]\nx", b'{"fields": {}, "steps": [1]}\nx'])
def test_no_segment_is_one_error(content):
    with pytest.raises(CheckpointError, match="it holds no episodes"):
        list(unpack(content))


class FakeRing:
    """A ring of numbered episodes that are overwritten like a replay buffer's."""

    def __init__(self, name, capacity):
        self.name, self.capacity, self.inserted = name, capacity, 0
        self.slots = [None] * capacity

    @property
    def first(self):
        return max(0, self.inserted - self.capacity)

    def insert(self):
        self.slots[self.inserted % self.capacity] = episode(self.inserted + 1)
        self.inserted += 1

    def episode(self, number):
        return self.slots[number % self.capacity]

    def prepare(self, state):
        self.slots = [None] * self.capacity

    def put(self, number, fields):
        self.slots[number % self.capacity] = fields


def writer_of(folder, rings, keep=2):
    said = []
    return CheckpointWriter(folder, rings, keep, said.append), said


def assert_holds(checkpoint, ring, first, end):
    found = dict(checkpoint.episodes(ring, first))
    assert sorted(found) == list(range(first, end))
    for number, fields in found.items():
        assert float(fields["obs"][0, 0, 0]) == number + 1


def test_writing_stays_ahead_of_every_ring(tmp_path, monkeypatch):
    """Even when there is never time: all that would be overwritten is written before."""
    monkeypatch.setattr("epymarl_mast.resume.writer.SECONDS_AT_ONCE", 0.0)
    rings = [FakeRing("replay", 8), FakeRing("online", 3)]
    writer, said = writer_of(tmp_path, rings)
    for _ in range(11):
        for ring in rings:
            ring.insert()
    state = {"t": 11, "config": "{}", "record": {}}
    writer.begin(11, state)
    while writer.busy:
        writer.advance(1)
        for ring in rings:
            ring.insert()

    checkpoint, problems = newest_whole(tmp_path)
    assert (said, problems, checkpoint.load_state()) == ([], (), state)
    assert_holds(checkpoint, "replay", 3, 11)
    assert_holds(checkpoint, "online", 8, 11)
    assert len(checkpoint.segments["replay"]) > 1


def test_what_is_written_is_not_written_again_and_old_files_go(tmp_path):
    ring = FakeRing("replay", 8)
    writer, _ = writer_of(tmp_path, [ring])
    for step in range(1, 6):
        for _ in range(3):
            ring.insert()
        writer.begin(step, {"step": step})
        writer.finish()

    newest_whole.cache_clear()
    checkpoint, _ = newest_whole(tmp_path)
    assert checkpoint.t_env == 5
    assert_holds(checkpoint, "replay", 7, 15)
    assert [(s.first, s.end) for s in checkpoint.segments["replay"]] == [(6, 9), (9, 12), (12, 15)]
    assert sorted(f.stem for f in tmp_path.glob("checkpoint_*")) == [
        "checkpoint_000000000004", "checkpoint_000000000005",
    ]  # fmt: skip
    assert sorted(f.stem for f in tmp_path.glob("*.episodes"))[0] == "replay_0000000003_0000000006"


@pytest.mark.parametrize("which", ["checkpoint_", "state_", "replay_"])
@pytest.mark.parametrize("how", ["gone", "torn", "flipped"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(tmp_path, which, how):
    ring = FakeRing("replay", 4)
    writer, _ = writer_of(tmp_path, [ring])
    for step in (1, 2):
        ring.insert()
        writer.begin(step, {"step": step})
        writer.finish()
    victim = sorted(tmp_path.glob(f"{which}*"))[-1]
    content = bytearray(victim.read_bytes())
    if how == "gone" and which != "checkpoint_":
        victim.unlink()
    elif how == "torn" or which == "checkpoint_":
        victim.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)

    newest_whole.cache_clear()
    checkpoint, problems = newest_whole(tmp_path)

    assert checkpoint.t_env == 1
    assert len(problems) == 1
    assert victim.name in problems[0]
    assert "\n" not in problems[0]


@pytest.mark.parametrize(
    ("held", "gone", "said"),
    [
        ((3, 11), None, None),
        ((5, 11), None, None),  # a buffer that had become smaller
        ((3, 12), None, "cannot have held those from 3 to 12 after 11"),
        ((2, 11), None, "cannot have held those from 2 to 11"),
        ((-5, 11), None, "cannot have held"),
        ((12, 11), None, "cannot have held"),
        ((3, 11), 0, "episode 3 of the buffer replay is not in it"),
        ((3, 11), 1, "episode 6 of the buffer replay is not in it"),
        ((3, 11), 2, "episode 9 of the buffer replay is not in it"),
    ],
)
def test_a_buffer_has_all_its_episodes_or_the_checkpoint_is_refused(tmp_path, held, gone, said):
    ring = FakeRing("replay", 8)
    writer, _ = writer_of(tmp_path, [ring])
    for step, count in ((1, 6), (2, 3), (3, 2)):
        for _ in range(count):
            ring.insert()
        writer.begin(step, {"config": "{}", "record": {}})
        writer.finish()
    newest_whole.cache_clear()
    checkpoint, _ = newest_whole(tmp_path)
    if gone is not None:
        del checkpoint.segments["replay"][gone]
    own = {"first": held[0], "inserted": held[1]}
    if said is not None:
        with pytest.raises(CheckpointError, match=said):
            _fill(ring, own, checkpoint)
        return
    _fill(ring, own, checkpoint)
    assert [float(ring.episode(n)["obs"][0, 0, 0]) for n in range(*held)] == [
        n + 1 for n in range(*held)
    ]
    assert sum(slot is not None for slot in ring.slots) == held[1] - held[0]


def test_a_checkpoint_is_not_written_over_itself(tmp_path, monkeypatch):
    """A run that goes on and is told to end at once: a kill then would leave half of each."""
    ring = FakeRing("replay", 4)
    ring.insert()
    writer, _ = writer_of(tmp_path, [ring], keep=1)
    writer.begin(7, {"config": "{}", "record": {"of": "first"}})
    writer.finish()
    newest_whole.cache_clear()
    checkpoint, _ = newest_whole(tmp_path)
    again, said = writer_of(tmp_path, [ring], keep=1)
    again.go_on_from(checkpoint)

    def killed(self):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "write", killed)
        again.begin(7, {"config": "{}", "record": {"of": "second"}})
        again.finish()

    newest_whole.cache_clear()
    assert newest_whole(tmp_path) == (checkpoint, ())
    assert (again.newest, said) == (7, [])
    again.begin(8, {"config": "{}", "record": {}})
    again.finish()
    newest_whole.cache_clear()
    assert newest_whole(tmp_path)[0].t_env == 8


def test_another_format_is_refused(tmp_path, monkeypatch):
    ring = FakeRing("replay", 4)
    writer, _ = writer_of(tmp_path, [ring])
    writer.begin(1, {})
    monkeypatch.setattr("epymarl_mast.resume.checkpoint.FORMAT", 2)
    writer.finish()
    monkeypatch.undo()
    [path] = tmp_path.glob("checkpoint_*")
    with pytest.raises(CheckpointError, match="is of format 2, this version reads 1"):
        Checkpoint.read(path)


def test_a_full_disk_costs_a_checkpoint_and_one_line(tmp_path, monkeypatch):
    ring = FakeRing("replay", 4)
    writer, said = writer_of(tmp_path, [ring])
    ring.insert()
    writer.begin(1, {"step": 1})
    writer.finish()

    def full(path, content, **named):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("epymarl_mast.resume.writer.store", full)
        for step in (2, 3):
            writer.begin(step, {})
            writer.finish()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    newest_whole.cache_clear()
    assert newest_whole(tmp_path)[0].t_env == 1

    ring.insert()
    writer.begin(4, {})
    writer.finish()
    newest_whole.cache_clear()
    assert_holds(newest_whole(tmp_path)[0], "replay", 0, 2)


@pytest.mark.parametrize(
    ("saved", "here", "said"),
    [
        ('{"name": "a"}', '{"name": "b"}', "a run with name='a', this one has name='b'"),
        ('{"mast": {"alpha": 1.0}}', '{"mast": {"alpha": 2.0}}', "mast.alpha=1.0"),
        ('{"a": 1}', '{"a": 1, "b": 2}', "no b, this one has b=2"),
    ],
)
def test_another_configuration_is_refused_by_its_first_difference(saved, here, said):
    with pytest.raises(CheckpointError, match=said):
        check_same_run(saved, here)


NOTED = {"info": {}, "stats": {}, "artifacts": [], "run_entry": "{}", "log": 0}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("info", [1]), ("info", {"x": 1, "x_T": [1]}), ("info", {"x": [1.0], "x_T": ["?"]}),
        ("stats", None), ("log", -1), ("log", "x"),
        ("artifacts", 5), ("artifacts", [5]), ("artifacts", [".."]),
        ("artifacts", ["../../../etc/passwd"]), ("artifacts", ["/etc/passwd"]),
        ("run_entry", "["), ("run_entry", "[]"), ("run_entry", 3), ("run_entry", "[" * 100_000),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_record_that_none_of_ours_wrote_is_refused(part, said):
    records.check(NOTED)
    with pytest.raises(CheckpointError, match=f"holds no record of a run: its {part} is none"):
        records.check({**NOTED, part: said})


@pytest.mark.parametrize("metrics", [{"x": 5}, {"x": {"timestamps": 5}}, {"x": {}}, {}])
@pytest.mark.parametrize("resumed", [5, ["2026-01-01"], None])
def test_files_of_a_record_with_other_values_are_rebuilt(tmp_path, metrics, resumed):
    (tmp_path / "run.json").write_text(json.dumps({"status": "FAILED", "resumed": resumed}))
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    kept = {**NOTED, "info": {"x": [0.5], "x_T": [7]}}
    records.cut_back(tmp_path, kept, "2026-01-02", 0.0, {})
    rebuilt = json.loads((tmp_path / "metrics.json").read_text())
    assert rebuilt == {"x": {"steps": [7], "timestamps": ["2026-01-02"], "values": [0.5]}}
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["status"] == "RUNNING"
    assert len(run["resumed"]) == (2 if isinstance(resumed, list) else 1)


@pytest.mark.parametrize("noted", ["", "..", ".", "a/b", "\x1b[2J"])
def test_a_token_that_names_no_folder_is_not_taken(tmp_path, noted):
    (tmp_path / "token").write_text(noted)
    assert first_token(tmp_path, "mine") == "mine"
    assert first_token(tmp_path, "other") == "mine"


def test_time_between_the_end_of_a_run_and_its_resume_is_not_training(monkeypatch):
    start = datetime(2026, 1, 1, 8)
    record = {"start_time": start.isoformat(), "stop_time": datetime(2026, 1, 1, 20).isoformat()}
    monkeypatch.setattr(records, "_now", lambda: datetime(2026, 1, 1, 12))
    kept = {"run_entry": json.dumps({"away_seconds": 100.0})}

    assert records.seconds_away(kept, record, datetime(2026, 1, 1, 10)) == 100 + 2 * 3600
    assert records.seconds_away({"run_entry": "{}"}, record, datetime(2026, 1, 1, 13)) == 0
    assert records.seconds_away(None, record, start) == 4 * 3600  # begun again

    assert seconds_trained(record) == 12 * 3600
    assert seconds_trained({**record, "away_seconds": 7200.0}) == 10 * 3600
    assert seconds_trained({"start_time": start}) is None


@pytest.mark.parametrize("when", [None, "?", 5])
def test_a_checkpoint_that_was_copied_is_as_old_as_it_was(tmp_path, when):
    file = tmp_path / "checkpoint"
    file.touch()
    os.utime(file, (0, 0))
    assert records.written_at({**NOTED, "when": "2026-01-01T10:00:00"}, file) == datetime(
        2026, 1, 1, 10
    )
    unknown = NOTED if when is None else {**NOTED, "when": when}  # from before it was noted
    assert records.written_at(unknown, file) == datetime(1970, 1, 1)
    assert records.written_at(None, None) > datetime(2026, 1, 1)


def test_arithmetic_that_differs_is_named():
    here = arithmetic(SimpleNamespace(engine=MaskedEngine()))
    assert here["engine"] == "masked"
    assert here["torch"] == metadata.version("torch")

    assert differences(here, here) == differences({}, here) == ""
    assert differences({**here, "torch": "1.0"}, here) == f"torch 1.0 (here {here['torch']})"


def test_where_results_go_may_differ():
    check_same_run(
        '{"local_results_path": "a", "mast": {"resume": null, "checkpoint_keep": 1}}',
        '{"local_results_path": "b", "mast": {"resume": "x", "checkpoint_keep": 2}}',
    )
    check_same_run(
        '{"checkpoint_path": "a", "mast": {}}',
        '{"checkpoint_path": "", "mast": {}}',
    )
