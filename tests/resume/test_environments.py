"""Environments go on as they were, or it is said that nobody can tell."""

from __future__ import annotations

import functools
import io
import multiprocessing
import random
import threading
from collections import OrderedDict, defaultdict, deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from epymarl_mast.errors import CheckpointError
from epymarl_mast.hosts import environment_parts, random_states, reach
from epymarl_mast.hosts.environments import PACKAGES, installed
from epymarl_mast.overrides import shipped_environments
from epymarl_mast.plugin import register
from epymarl_mast.resume.state import doubt_about
from epymarl_mast.resume.values import process_random_state, set_process_random_state


def through_torch(value):
    """As a checkpoint stores it."""
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def gone_on(used, fresh):
    """A new environment with what another one goes on from."""
    assert random_states.restore(fresh, through_torch(random_states.of(used))) == ""
    return fresh


def with_generator(**parts):
    return SimpleNamespace(rng=np.random.default_rng(1), **parts)


def test_generators_are_found_wherever_they_are():
    def environment():
        inner = SimpleNamespace(np_random=np.random.default_rng(1), late=None)
        inner.parts = [SimpleNamespace(rng=random.Random(2))]
        return SimpleNamespace(_env=SimpleNamespace(env=inner), again=inner.np_random)

    used, fresh = environment(), environment()
    used._env.env.late = np.random.default_rng(5)
    for draw in (used.again.random, used._env.env.parts[0].rng.random, used._env.env.late.random):
        draw()
    states = random_states.of(used)

    random_states.restore(fresh, states)

    assert len(states["generators"]) == 3
    assert fresh.again.random() == used.again.random()
    assert fresh._env.env.parts[0].rng.random() == used._env.env.parts[0].rng.random()
    assert fresh._env.env.late.random() == used._env.env.late.random()


class OfItsClass:
    dice = random.Random(3)


class WithSlots:
    __slots__ = ("rng",)


@pytest.mark.parametrize("where", ["class", "slots", "closure", "partial", "method", "object key"])
def test_generators_in_unusual_places(where):
    def environment():
        rng = np.random.default_rng(7)
        if where == "class":
            return OfItsClass()
        if where == "slots":
            part = WithSlots()
            part.rng = rng
        elif where == "closure":
            part = lambda: rng.random()  # noqa: E731
        elif where == "partial":
            part = functools.partial(SimpleNamespace, rng)
        elif where == "method":
            part = SimpleNamespace(call=WithGenerator(rng).draw)
        else:
            part = {WithGenerator(rng): 1}
        return SimpleNamespace(part=part)

    assert len(random_states.of(environment())["generators"]) == 1


class WithGenerator:
    def __init__(self, rng):
        self.rng = rng

    def draw(self):
        return self.rng.random()


def test_values_come_back():
    """Level-based foraging puts players where others were not in the episode before."""

    def environment(position):
        player = SimpleNamespace(position=position, level=np.int64(2), sight=[1])
        return with_generator(players=[player])

    fresh = gone_on(environment((3, 4)), environment(None))

    assert fresh.players[0].position == (3, 4)
    assert fresh.players[0].level == 2


CONTENTS = {
    "array": (np.arange(4.0), np.zeros(4)),
    "array of another size": (np.arange(4.0), np.zeros(2)),
    "list": ([1, [2.0, "x"], (3,)], [0, [0.0, "y"], (4,)]),
    "longer list": ([1, 2, 3], [1]),
    "shorter list": ([1], [1, 2, 3]),
    "dict": ({"a": 1, (1, 2): [3]}, {"a": 0, (1, 2): [], "b": 1}),
    "a dict that looks like one of ours": ({"tuple": [1]}, {"tuple": [2]}),
    "OrderedDict": (OrderedDict(b=1, a=2), OrderedDict(a=1)),
    "set": ({1, 2}, {3}),
    "deque": (deque([1, 2], maxlen=3), deque([4], maxlen=3)),
    "list of arrays": ([np.arange(3), np.ones(2)], [np.zeros(3, int), np.zeros(2)]),
    "none before": ([1, 2], None),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_arrays_and_containers_come_back(name):
    used, new = CONTENTS[name]

    fresh = gone_on(with_generator(own=used), with_generator(own=new))

    assert type(fresh.own) is type(used)
    np.testing.assert_equal(fresh.own, used)
    if isinstance(used, deque):
        assert fresh.own.maxlen == 3
    if isinstance(used, OrderedDict):
        assert list(fresh.own) == list(used)


def test_what_two_parts_share_they_still_share():
    def environment(start):
        places = [np.full(2, start), np.full(2, start + 1)]
        return with_generator(places=places, agents=[SimpleNamespace(place=p) for p in places])

    fresh = gone_on(environment(5), environment(0))

    assert fresh.agents[1].place is fresh.places[1]
    np.testing.assert_array_equal(fresh.places, [[5, 5], [6, 6]])


def test_values_beside_objects_come_back():
    """In lists and dicts that hold both, and under keys that are objects."""

    def environment(number):
        part = WithGenerator(number)
        several = defaultdict(list, {part: [number], "n": number})
        return with_generator(mixed=[part, number], keyed=several)

    fresh = gone_on(environment(5), environment(0))

    assert (fresh.mixed[0].rng, fresh.mixed[1], fresh.keyed["n"]) == (5, 5, 5)
    assert fresh.keyed[fresh.mixed[0]] == [5]


class MadeAtReset:
    def __init__(self):
        self.rng, self.agents = np.random.default_rng(1), []

    def reset(self):
        self.agents = [SimpleNamespace(place=self.rng.integers(10, size=2))]


def test_parts_that_are_made_at_a_reset_come_back():
    used = MadeAtReset()
    used.reset()

    fresh = gone_on(used, MadeAtReset())

    np.testing.assert_array_equal(fresh.agents[0].place, used.agents[0].place)
    assert fresh.rng.random() == used.rng.random()


def test_a_part_that_a_new_one_lacks_is_said_where_the_next_reset_does_not_make_it():
    class Growing(MadeAtReset):
        def reset(self):
            self.agents[:] = self.agents or [SimpleNamespace(place=0)]

    for kind, expected in ((Growing, "had a part env.agents.1 that a new one lacks"),
                           (MadeAtReset, "")):  # fmt: skip
        used = kind()
        used.agents = [SimpleNamespace(place=1), SimpleNamespace(place=2)]
        assert random_states.restore(kind(), random_states.of(used)) == expected


def test_other_generators_are_refused():
    used = with_generator()
    with pytest.raises(CheckpointError, match=r"env\.rng is only in the checkpoint"):
        random_states.restore(SimpleNamespace(), random_states.of(used))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"generators": {}, "values": {}},
            r"^the environment's random generator env\.rng is only here",
        ),
        ({"generators": {"env.rng": {"tuple": [1]}}, "values": {}}, "Error: "),
        ({"generators": 5, "values": {}}, "AttributeError: "),
    ],
)
def test_a_worker_that_cannot_go_on_says_so_and_lives(wrong, said):
    """Else the run would only know that it is gone."""
    here, there = multiprocessing.Pipe()
    environment = reach._Noted(SimpleNamespace(x=with_generator))
    environment.x()
    worker = threading.Thread(target=reach._Ears(there, environment).recv)
    worker.start()
    before = process_random_state()
    [right] = reach.ask_random_states([here])
    with pytest.raises(CheckpointError, match=said):
        reach.set_random_states([here], [{**right, "environment": wrong}])
    assert reach.set_random_states([here], [right]) == [""]
    here.send(("close", None))
    worker.join()
    set_process_random_state(before)


class Unseen:
    __slots__ = ()


def of_itself():
    holds: list = []
    holds.append(holds)
    return holds


def many(count):
    return [SimpleNamespace() for _ in range(count)]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (io.BytesIO(b"x"), "keeps a _io.BytesIO in env.part"),
        ({SimpleNamespace: 1, "x": iter([1])}, "keeps a builtins.list_iterator in env.part.x"),
        ({WithGenerator(1), WithGenerator(2)}, "keeps a builtins.set in env.part"),
        (torch.zeros(2), "keeps a torch.Tensor in env.part"),
        (random.SystemRandom(), "cannot be searched (NotImplementedError)"),
        (np.zeros(2**22), "keeps more than 16 MiB"),
        (many(environment_parts.MOST_PARTS), "has more than 20000 parts"),
        (list(range(environment_parts.MOST_ITEMS)), "has more than 20000 parts"),
        ([1, of_itself()], ""),
        ([len, np, np.float32, print, range(3), np.dtype("f4"), Unseen, slice(1)], ""),
    ],
    ids=["file", "iterator", "set", "tensor", "no state", "large", "many", "long", "loop", "none"],
)
def test_what_cannot_be_told_is_said(part, said):
    assert random_states.of(with_generator(part=part)).get("doubt", "") == said


def test_without_a_generator_nobody_can_tell():
    assert random_states.of(SimpleNamespace(steps=3)) == {
        "doubt": "keeps no random state that can be read"
    }


@pytest.mark.parametrize("name", ["sc2", "sc2v2", "smaclite"])
def test_what_cannot_go_on_is_said_whatever_is_found_in_it(name):
    runner = SimpleNamespace(args=SimpleNamespace(env=name), env=with_generator())
    assert doubt_about(runner)
    runner.args.env = "gymma"
    assert doubt_about(runner) == ""


# All that one or both hosts make without more packages than tests have: what docs/resume.md lists.
EXACT = {
    "epymarl": ["gymma lbforaging:Foraging-8x8-2p-3f-v3", "mast_mamujoco HalfCheetah"],
    "pymarlzooplus": [
        "gymma lbforaging:Foraging-8x8-2p-3f-v3", "gymma lbforaging:Foraging-8x8-2p-3f-coop-v3",
        "gymma rware:rware-tiny-2ag-v1", "gymma mpe:SimpleSpread-3-v0",
        "gymma mpe:SimpleSpeakerListener-v0", "pressureplate pressureplate-linear-4p-v0",
        "capturetarget CaptureTarget-6x6-1t-2a-v0", "boxpushing BoxPushing-6x6-2a-v0",
        "mast_mamujoco HalfCheetah",
    ],
}  # fmt: skip
TASKS = sorted({task for tasks in EXACT.values() for task in tasks})


def made(host, task):
    """An environment of a host, as a run makes it."""
    name, _, key = task.partition(" ")
    file = shipped_environments().get(name) or host.config_dir / "envs" / f"{name}.yaml"
    arguments = yaml.safe_load(file.read_text())["env_args"]
    arguments |= {"key": key, "time_limit": 12, "seed": 3}
    if host.name == "epymarl" or name == "mast_mamujoco":
        arguments |= {"common_reward": True, "reward_scalarisation": "sum"}
    return register(host).environments[name](**arguments)


def played(environment, task, seed):
    """All that two episodes of random actions show."""
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(2):
        environment.reset()
        for _ in range(12):
            seen += [np.asarray(o).tolist() for o in environment.get_obs()]
            available = environment.get_avail_actions()
            if "mujoco" in task:
                actions = rng.uniform(-1, 1, (2, 3))
            else:
                actions = [rng.choice(np.flatnonzero(own)) for own in available]
            answer = environment.step(torch.as_tensor(np.array(actions)))
            reward, ended = answer[-4:-2] if len(answer) == 5 else answer[:2]
            seen.append(float(np.sum(reward)))
            if np.all(ended):
                break
    return seen


@pytest.mark.parametrize("task", TASKS)
def test_environments_of_the_hosts_go_on_as_they_were(host, task):
    if task not in EXACT[host.name]:
        pytest.skip(f"{host.name} does not make it")
    if "mujoco" in task and not installed(PACKAGES["mamujoco"]):
        pytest.skip("Multi-Agent MuJoCo is not installed")
    used = made(host, task)
    played(used, task, 1)
    state, of_process = through_torch(random_states.of(used)), process_random_state()
    assert state["doubt"] == ""
    expected = played(used, task, 2)

    fresh = made(host, task)
    said = random_states.restore(fresh, state)
    set_process_random_state(of_process)

    assert said == ""
    assert played(fresh, task, 2) == expected
