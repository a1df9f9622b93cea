"""WorkChunks of an extraction: each computed by one process, a dead one's taken over, nothing waited for in vain."""

import logging
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from src.features.pieces import PIECE, WorkChunks

DIGESTS = [f"{i * 7919:08x}" for i in range(5 * PIECE)]


def all_of(digests: Sequence[str]) -> Sequence[str]:
    return digests


def none_of(_: Sequence[str]) -> Sequence[str]:
    return []


def test_every_clip_is_in_one_piece_and_the_pieces_are_the_same_for_all(tmp_path):
    taken = list(WorkChunks(tmp_path / "one", DIGESTS).free(all_of))
    assert sorted(taken) == sorted(DIGESTS)
    assert list(WorkChunks(tmp_path / "two", DIGESTS[::-1]).free(all_of)) == taken


@pytest.mark.parametrize(("clips", "smallest", "largest"), [(3, 1, 1), (400, 90, 100), (6400, 190, 200)])
def test_small_datasets_have_small_pieces(tmp_path, clips, smallest, largest):
    pieces, locks = WorkChunks(tmp_path, [f"{i * 7919:08x}" for i in range(clips)]), set()
    for _ in pieces.free(all_of):
        locks |= {path.name for path in tmp_path.iterdir()}
    # digests fall into pieces at random, and into some none
    assert smallest <= len(locks) <= largest


def test_two_at_once_take_different_pieces_and_all_of_them(tmp_path):
    one, two = WorkChunks(tmp_path, DIGESTS), WorkChunks(tmp_path, DIGESTS)
    first, second = one.free(all_of), two.free(all_of)
    taken: list[list[str]] = [[], []]
    for _ in range(2 * PIECE):
        taken[0].append(next(first))
        taken[1].append(next(second))
    taken[0] += list(first)
    taken[1] += list(second)
    assert sorted(taken[0] + taken[1]) == sorted(DIGESTS)
    assert all(taken)


def test_what_others_hold_is_waited_for_and_then_asked_for_again(tmp_path):
    held, over = threading.Event(), threading.Event()

    def first() -> None:
        one = WorkChunks(tmp_path, DIGESTS)
        taken = list(one.free(all_of))
        held.set()
        over.wait()
        one.end(taken)

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    two = WorkChunks(tmp_path, DIGESTS)
    assert list(two.free(all_of)) == []
    assert two.some_are_busy
    threading.Timer(0.2, over.set).start()
    # whoever held them has computed them all
    assert [left for left in two.others(none_of) if left] == []
    assert over.is_set()
    thread.join()


def test_a_piece_is_free_when_its_last_clip_is_written_and_not_before(tmp_path):
    one = WorkChunks(tmp_path, DIGESTS[:4])
    held = list(one.free(all_of))
    one.end(held[:3])
    assert list(WorkChunks(tmp_path, DIGESTS[:4]).free(all_of)) == []
    one.end(held[3:])
    assert list(WorkChunks(tmp_path, DIGESTS[:4]).free(all_of)) == held


def test_a_piece_with_nothing_to_compute_is_free_at_once(tmp_path):
    one = WorkChunks(tmp_path, DIGESTS)
    assert list(one.free(none_of)) == []
    assert list(WorkChunks(tmp_path, DIGESTS).free(all_of)) != []


def test_the_piece_of_a_killed_process_is_free(tmp_path, start_train):
    program = (
        "import sys, time; from pathlib import Path; from src.features.pieces import WorkChunks\n"
        f"pieces = WorkChunks(Path(sys.argv[1]), {DIGESTS[:4]!r})\n"
        "print(list(pieces.free(list)), flush=True); time.sleep(60)"
    )
    process = start_train([str(tmp_path)], tmp_path, program=program)
    process.until(DIGESTS[0])
    pieces = WorkChunks(tmp_path, DIGESTS[:4])
    assert list(pieces.free(all_of)) == []
    process.stop(signal.SIGKILL)
    assert [sorted(left) for left in pieces.others(all_of)] == [sorted(DIGESTS[:4])]


def test_a_place_that_cannot_be_written_is_free_for_all(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert list(WorkChunks(tmp_path / "file", DIGESTS[:4]).free(all_of)) != []
        assert list(WorkChunks(tmp_path / "file", DIGESTS[:4]).free(all_of)) != []
    assert "features are computed but not kept" in caplog.text


def test_nothing_is_left_behind(tmp_path):
    pieces = WorkChunks(tmp_path, DIGESTS)
    pieces.end(list(pieces.free(all_of)))
    assert list(tmp_path.iterdir()) == []
