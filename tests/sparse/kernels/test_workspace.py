"""Memory that is kept is never handed out too small, whoever gives it back, and whenever."""

import gc
import random
import sys
import threading

import pytest

pytest.importorskip("epymarl_mast.sparse.kernels")
from epymarl_mast.sparse.kernels import workspace
from epymarl_mast.sparse.kernels.workspace import Lease

SIZES = [500, 5_000, 60_000]


@pytest.fixture(autouse=True)
def empty_pool():
    workspace._free.clear()
    workspace._ended.clear()


def test_an_ended_lease_is_used_again():
    first = Lease(1000)
    place = first.array.ctypes.data
    del first
    again = Lease(900)

    assert again.array.ctypes.data == place
    assert again.array.size == 900
    assert Lease(1000).array.ctypes.data != place  # while that one lasts


def test_little_is_not_taken_from_much():
    large = Lease(1_000_000)
    place = large.array.ctypes.data
    del large

    assert Lease(1000).array.ctypes.data != place
    assert Lease(250_000).array.ctypes.data == place


def test_of_many_arrays_the_largest_are_kept():
    leases = [Lease(1000 * size) for size in range(1, 31)]
    leases.clear()
    Lease(1)

    sizes = sorted(array.size for array in [*workspace._free, *workspace._ended])
    assert len(sizes) <= 9
    assert sizes[-1] == 30_000


def test_leases_that_end_while_another_is_taken():
    class Knot:
        """Ends when garbage is collected, and takes its lease along."""

        def __init__(self, draw):
            self.itself, self.lease = self, Lease(draw.randint(1, 9000))

    draw, before = random.Random(1), gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(5000):
            Knot(draw)
            size = draw.choice(SIZES)
            assert Lease(size).array.size == size
    finally:
        gc.set_threshold(*before)


def test_leases_of_several_threads():
    wrong = []

    def work(seed):
        draw, held = random.Random(seed), []
        for _ in range(20_000):
            size = draw.choice(SIZES)
            try:
                lease = Lease(size)
                lease.array[:1] = seed
            except Exception as error:
                wrong.append(error)
                continue
            if lease.array.size != size or any(lease.array[0] != own.array[0] for own in held):
                wrong.append(size)
            held = [*held, lease][-3:]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
