"""Clips prepared by worker processes: the same results, and nothing of them is left behind, whatever happens."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import Toy, pipeline

from src.errors import UserError
from src.features.workers import WorkerPool

pytestmark = pytest.mark.skipif(not WorkerPool.can_be_had(), reason="processes are forked on Linux only")


@pytest.fixture(autouse=True)
def _always(monkeypatch):
    """Ten clips are many."""
    monkeypatch.setattr("src.features.embedding._MANY", 2)


class Telling(Toy):
    """Its features are the process that prepared a clip and the one that embedded it."""

    def prepare(self, source, /):
        return np.array([os.getpid(), 0], np.float32)

    def embed(self, inputs):
        super().embed(inputs)
        return np.stack(inputs) + np.array([0, os.getpid()], np.float32)


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


@pytest.mark.parametrize("batch_size", [1, 4])
def test_processes_prepare_and_this_one_embeds(place, batch_size):
    found = place(pipeline(Telling(batch_size=batch_size)), workers=2).features
    assert os.getpid() not in found[:, 0]
    assert set(found[:, 1]) == {os.getpid()}


@pytest.mark.parametrize("few", ["clips", "workers"])
def test_few_clips_and_one_worker_need_no_processes(place, monkeypatch, few):
    if few == "clips":
        monkeypatch.setattr("src.features.embedding._MANY", 11)
    found = place(pipeline(Telling()), workers=2 if few == "clips" else 1).features
    assert set(found[:, 0]) == {os.getpid()}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_bits_and_facts_are_those_of_threads(place, tmp_path, monkeypatch, batch_size):
    by_processes = place(pipeline(Toy(batch_size=batch_size)), workers=3)
    monkeypatch.setattr("src.features.embedding._MANY", 11)
    place.cache = tmp_path / "plain"
    by_threads = place(pipeline(), workers=3)
    assert by_processes.features.tobytes() == by_threads.features.tobytes()
    assert by_processes.facts == by_threads.facts
    assert (by_processes.computed, set(by_processes.seconds)) == (10, set(by_threads.seconds))


def test_unusable_files_are_listed(place):
    place.files[0].write_bytes(b"")
    place.files[4].write_bytes(b"text" * 100)
    found = place(workers=2)
    assert len(found.clips) == 8
    assert set(found.failed) == {"a/00.wav", "a/04.wav"}
    assert str(place.files[0]) in found.failed["a/00.wav"]


def test_what_a_spectrogram_refuses_is_told_as_it_says_it(place):
    class Refusing(Toy):
        def prepare(self, source, /):
            raise UserError("spectrogram.height: too high")

    with pytest.raises(UserError, match=r"^spectrogram\.height: too high$"):
        place(pipeline(Refusing()), workers=2)


def test_a_mistake_in_the_code_is_not_taken_for_the_users(place):
    class Broken(Toy):
        def prepare(self, source, /):
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        place(pipeline(Broken()), workers=2)


def test_nobodys_random_numbers_change(place):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    place(workers=2)
    assert torch.equal(torch.rand(3), expected)


def test_what_was_finished_before_an_interrupt_is_kept(place, monkeypatch):
    monkeypatch.setattr("src.features.extract._BATCH", 3)

    def interrupt(done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place(workers=2, progress=interrupt)
    assert place().computed == 2


class Dying(Toy):
    """Each worker process is killed once it has prepared some clips."""

    def __init__(self, after, batch_size=1):
        super().__init__(batch_size=batch_size)
        self.parent, self.left = os.getpid(), after

    def prepare(self, source, /):
        if os.getpid() != self.parent:
            self.left -= 1  # in this process's own copy
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(source)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("after", [0, 3])
def test_a_killed_worker_is_told(place, batch_size, after):
    with pytest.raises(UserError, match=r"worker process .* was killed.*workers=1"):
        place(pipeline(Dying(after, batch_size)), workers=2)
    assert place(workers=2).features.shape == (10, 2)


def test_a_processor_that_a_dead_worker_holds_is_not_waited_for_forever():
    hands = WorkerPool(1)
    gone = multiprocessing.get_context("fork").Process(
        target=lambda: (hands._processors.acquire(), hands._processors.acquire(), os._exit(0))
    )
    gone.start()
    gone.join()
    start = time.monotonic()
    with hands.processor():
        assert time.monotonic() - start < 30


def test_hardly_more_work_at_once_than_processors():
    hands, at_work, most = WorkerPool(2), [], []

    def work():
        with hands.processor():
            at_work.append(1)
            most.append(len(at_work))
            time.sleep(0.05)
            at_work.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 3


def test_a_process_that_may_have_no_children_does_without():
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    daemon = context.Process(target=lambda: answers.put(WorkerPool.can_be_had()), daemon=True)
    daemon.start()
    assert answers.get(timeout=60) is False
    daemon.join()


def test_a_system_without_semaphores_does_with_threads(place, monkeypatch, caplog):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("src.features.embedding.WorkerPool.__init__", none)
    with caplog.at_level("INFO"):
        found = place(pipeline(Telling()), workers=2).features
    assert set(found[:, 0]) == {os.getpid()}
    assert "by threads" in caplog.text


def test_a_worker_that_is_told_to_end_leaves_that_to_its_parent(place):
    class Told(Toy):
        def prepare(self, source, /):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().prepare(source)

    assert place(pipeline(Told()), workers=2).features.shape == (10, 2)


PROGRAM = """
    import sys, time
    sys.path.insert(0, {tests!r})
    import toy
    from src.features.workers import WorkerPool

    class Endless(toy.Toy):
        def prepare(self, source, /):
            print(__import__("os").getpid(), flush=True)
            time.sleep(600)

    from src.data.clip import Clip
    from pathlib import Path
    clips = [(str(i), Clip(Path({clip!r}), "a", "a/" + str(i))) for i in range(10)]
    list(WorkerPool(2).prepared(toy.pipeline(Endless()), clips))
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_workers_die_with_their_parent(place, blow):
    tests = Path(__file__).resolve().parents[1]
    program = textwrap.dedent(PROGRAM.format(tests=str(tests), clip=str(place.files[0])))
    with subprocess.Popen([sys.executable, "-c", program], cwd=tests.parent, stdout=subprocess.PIPE, text=True) as run:
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
