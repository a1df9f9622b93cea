"""Chunks of an extraction: each computed by one process, a dead one's taken over, nothing waited for in vain."""

import logging
import signal
import threading

import pytest

from src.features.sharing import CHUNKS, WorkChunks

DIGESTS = [f"{i * 7919:08x}" for i in range(160)]


def none_of(_):
    return []


def test_every_clip_is_in_one_chunk_and_the_chunks_are_the_same_for_all(tmp_path):
    taken = list(WorkChunks(tmp_path / "one", DIGESTS).free(list))
    assert sorted(taken) == sorted(DIGESTS)
    assert list(WorkChunks(tmp_path / "two", DIGESTS[::-1]).free(list)) == taken


@pytest.mark.parametrize(("clips", "smallest", "largest"), [(3, 1, 1), (200, 40, 50), (6400, 90, CHUNKS)])
def test_small_datasets_have_small_chunks(tmp_path, clips, smallest, largest):
    chunks = WorkChunks(tmp_path, [f"{i * 7919:08x}" for i in range(clips)])
    list(chunks.free(list))
    # digests fall into chunks at random, and into some none
    assert smallest <= len(list(tmp_path.iterdir())) <= largest
    chunks.release()
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_take_different_chunks_and_all_of_them(tmp_path):
    one, two = WorkChunks(tmp_path, DIGESTS), WorkChunks(tmp_path, DIGESTS)
    first, second = one.free(list), two.free(list)
    taken: list[list[str]] = [[], []]
    for _ in range(64):
        taken[0].append(next(first))
        taken[1].append(next(second))
    taken[0] += list(first)
    taken[1] += list(second)
    assert sorted(taken[0] + taken[1]) == sorted(DIGESTS)
    assert all(taken)


def test_what_others_hold_is_waited_for_and_then_asked_for_again(tmp_path):
    held, over = threading.Event(), threading.Event()

    def first():
        one = WorkChunks(tmp_path, DIGESTS)
        list(one.free(list))
        held.set()
        over.wait()
        one.release()

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    two = WorkChunks(tmp_path, DIGESTS)
    assert list(two.free(list)) == []
    assert two.some_are_busy
    threading.Timer(0.2, over.set).start()
    # whoever held them has computed them all
    assert [left for left in two.others(none_of) if left] == []
    assert over.is_set()
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_the_chunk_of_a_killed_process_is_free(tmp_path, start_train):
    program = (
        "import sys, time; from pathlib import Path; from src.features.sharing import WorkChunks\n"
        f"chunks = WorkChunks(Path(sys.argv[1]), {DIGESTS[:4]!r})\n"
        "print(list(chunks.free(list)), flush=True); time.sleep(60)"
    )
    process = start_train([str(tmp_path)], tmp_path, program=program)
    process.until(DIGESTS[0])
    chunks = WorkChunks(tmp_path, DIGESTS[:4])
    assert list(chunks.free(list)) == []
    process.stop(signal.SIGKILL)
    assert [sorted(left) for left in chunks.others(list)] == [sorted(DIGESTS[:4])]


def test_a_place_that_cannot_be_written_is_free_for_all(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert list(WorkChunks(tmp_path / "file", DIGESTS[:4]).free(list)) != []
    assert "not kept" in caplog.text
