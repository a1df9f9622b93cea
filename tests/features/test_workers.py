"""Items prepared by worker processes or threads: the same results, and nothing is left behind, whatever happens."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch

from src.data.audio import UnreadableAudio
from src.errors import UserError
from src.features.workers import MANY, in_batches, prepared

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

BY = pytest.mark.parametrize("count", [MANY, 1], ids=["processes", "threads"])


def results(function, items=10, *, workers=2, count=MANY, in_order=False):
    with prepared(function, enumerate(range(items)), workers=workers, count=count, in_order=in_order) as found:
        return list(found)


def children():
    """Processes of this one that still run, whoever started them."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(word) for path in tasks for word in path.read_text().split()}


@pytest.fixture(autouse=True)
def _none_is_left():
    before = children()
    yield
    end = time.monotonic() + 10
    while children() - before:
        assert time.monotonic() < end, "worker processes are still there"
        time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


@BY
@pytest.mark.parametrize("in_order", [True, False])
def test_every_item_has_its_result(count, in_order):
    def slow_at_first(value):
        time.sleep(0.05 if value == 0 else 0)
        return value * value

    found = results(slow_at_first, count=count, in_order=in_order)
    assert sorted(found) == [(i, i * i) for i in range(10)]
    if in_order:
        assert found == sorted(found)


def test_processes_do_the_work_where_items_are_many():
    assert os.getpid() not in {pid for _, pid in results(lambda _: os.getpid())}
    for few in ({"count": MANY - 1}, {"workers": 1}):
        assert {pid for _, pid in results(lambda _: os.getpid(), **few)} == {os.getpid()}


def test_threads_do_the_work_in_a_daemon_and_outside_the_main_thread():
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def answer():
        found = {pid for _, pid in results(lambda _: os.getpid())}
        answers.put(found == {os.getpid()})

    for worker in (context.Process(target=answer, daemon=True), threading.Thread(target=answer)):
        worker.start()
        assert answers.get(timeout=60)
        worker.join()


@BY
def test_an_unusable_item_is_a_value_and_any_other_error_ends_the_run_as_it_is(count):
    def refuse(value):
        if value == 3:
            raise UnreadableAudio("3.wav: empty")
        return value

    found = dict(results(refuse, count=count))
    assert isinstance(found[3], UnreadableAudio)
    assert str(found.pop(3)) == "3.wav: empty"
    assert found == {i: i for i in range(10) if i != 3}

    def raising(error):
        def work(_):
            raise error

        return work

    with pytest.raises(UserError, match=r"^spectrogram\.height: too high$"):
        results(raising(UserError("spectrogram.height: too high")), count=count)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        results(raising(ZeroDivisionError("a bug")), count=count)


@BY
def test_no_more_are_begun_than_needed(count):
    """Thousands of files take the memory of a few."""
    begun = []

    def items():
        for i in range(10**9):
            begun.append(i)
            yield i, i

    with prepared(lambda value: value, items(), workers=2, count=count) as found:
        for taken, _ in enumerate(found, start=1):
            assert len(begun) <= taken + 9  # four a worker, and the one taken
            if taken == 30:
                break


def test_nobodys_random_numbers_change():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    results(lambda value: value)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("after", [0, 3])
def test_a_killed_worker_is_told(after):
    def die(value):
        if value >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match=r"worker process .* was killed.*workers=1"):
        results(die)


def test_a_worker_that_is_told_to_end_leaves_that_to_its_parent():
    assert len(results(lambda _: os.kill(os.getpid(), signal.SIGTERM))) == 10


def test_batches_are_applied_while_the_next_one_is_collected():
    collected = threading.Event()

    def items():
        for i in range(10):
            if i == 7:
                collected.set()
            yield i, UnreadableAudio("2.wav") if i == 2 else i

    def double(batch):
        sizes.append(len(batch))
        assert collected.wait(10)  # of the second batch, while the first one is here
        return [2 * value for value in batch]

    sizes: list[int] = []
    found = list(in_batches(double, items(), 4))
    assert [key for key, _ in found] == list(range(10))
    assert [value for key, value in found if key != 2] == [2 * i for i in range(10) if i != 2]
    assert isinstance(found[2][1], UnreadableAudio)
    assert sizes == [3, 4, 2]


PROGRAM = """
    import os, time
    from src.features.workers import MANY, prepared

    def endless(_):
        print(os.getpid(), flush=True)
        time.sleep(600)

    with prepared(endless, enumerate(range(10)), workers=2, count=MANY) as results:
        list(results)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_parent(blow):
    program, root = textwrap.dedent(PROGRAM), Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as run:
        workers = {int(run.stdout.readline()) for _ in range(2)}
        assert len(workers) == 2
        run.send_signal(blow)
        run.wait(timeout=60)
        end = time.monotonic() + 10
        while any(Path(f"/proc/{worker}/stat").exists() and not dead(worker) for worker in workers):
            assert time.monotonic() < end, "they live on"
            time.sleep(0.02)


def dead(process):
    """A process without a parent may stay as a zombie, where nobody asks for it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
