"""What is known of files: trusted while nothing changed, never wrong, and no loss where it cannot be kept."""

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest

from src.data import index as index_module
from src.data.audio import AudioStats, Window
from src.data.index import AudioIndex

WHOLE = Window(0.0, None, None)
FACTS = AudioStats(44100, 2, "WAV/PCM_16", 1.5, 1.5, 0.9, 0.1, 0.0)


def index_of(tmp_path, name="audio") -> AudioIndex:
    (tmp_path / name).mkdir(exist_ok=True)
    return AudioIndex(tmp_path / "index", tmp_path / name)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were opened to be digested."""
    opened = []
    original = hashlib.file_digest

    def counted(file, kind):
        opened.append(Path(file.name).name)
        return original(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return opened


def test_a_digest_is_of_the_content_and_kept_across_processes(tmp_path, reads):
    index = index_of(tmp_path)
    file = tmp_path / "audio" / "a.wav"
    file.write_bytes(b"one")
    assert index.digest(file) == index.digest(file) == sha(b"one")
    index.save()
    assert index_of(tmp_path).digest(file) == sha(b"one")
    assert reads == ["a.wav"]


def test_a_changed_byte_is_seen_even_at_the_same_size_and_time(tmp_path):
    index = index_of(tmp_path)
    file = tmp_path / "audio" / "a.wav"
    file.write_bytes(b"one")
    index.digest(file)
    stamp = file.stat().st_mtime_ns
    file.write_bytes(b"two")
    assert index.digest(file) == sha(b"two")
    # Another file under the same name, size and time (a copy with its times kept) has another inode.
    other = tmp_path / "audio" / "b.wav"
    other.write_bytes(b"six")
    os.utime(other, ns=(stamp, stamp))
    os.utime(file, ns=(stamp, stamp))
    index.digest(file)
    other.replace(file)
    assert index.digest(file) == sha(b"six")


def test_touching_a_file_reads_it_again_and_changes_nothing(tmp_path, reads):
    index = index_of(tmp_path)
    file = tmp_path / "audio" / "a.wav"
    file.write_bytes(b"one")
    before = index.digest(file)
    os.utime(file, ns=(1, 1))
    assert index.digest(file) == before
    assert reads == ["a.wav"] * 2


def test_a_moved_dataset_keeps_its_own_index(tmp_path):
    first, second = index_of(tmp_path, "one"), index_of(tmp_path, "two")
    (tmp_path / "one" / "a.wav").write_bytes(b"one")
    (tmp_path / "two" / "a.wav").write_bytes(b"two")
    for index, name in ((first, "one"), (second, "two"), (first, "one")):
        assert index.digest(tmp_path / name / "a.wav") == sha(name.encode())
        index.save()


def test_a_file_that_cannot_be_read_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        index_of(tmp_path).digest(tmp_path / "audio" / "none.wav")


def test_facts_by_content_and_window(tmp_path):
    index = index_of(tmp_path)
    index.record("d1", Window(0.0, 30.0, None), FACTS)
    index.save()
    again = index_of(tmp_path)
    assert again.facts("d1", Window(0.0, 30.0, None)) == FACTS
    assert again.facts("d1", Window(0.0, 30.0, 8000)) == FACTS  # facts are of the file, before any resampling
    for window in (WHOLE, Window(30.0, 30.0, None), Window(0.0, 29.9999999, None), Window(1e-7, 30.0, None)):
        assert again.facts("d1", window) is None
    assert again.facts("d2", Window(0.0, 30.0, None)) is None


def test_saving_merges_with_what_another_process_saved(tmp_path):
    mine, theirs = index_of(tmp_path), index_of(tmp_path)
    mine.record("mine", WHOLE, FACTS)
    theirs.record("theirs", WHOLE, FACTS)
    mine.save()
    theirs.save()
    again = index_of(tmp_path)
    assert again.facts("mine", WHOLE) == again.facts("theirs", WHOLE) == FACTS


def test_refreshing_learns_what_another_process_saved_and_forgets_nothing(tmp_path):
    mine, theirs = index_of(tmp_path), index_of(tmp_path)
    mine.record("mine", WHOLE, FACTS)
    theirs.record("theirs", WHOLE, FACTS)
    theirs.save()
    mine.refresh()
    assert mine.facts("mine", WHOLE) == mine.facts("theirs", WHOLE) == FACTS


def test_long_reading_is_saved_on_the_way_and_what_others_read_is_not_read_again(tmp_path, monkeypatch, reads):
    monkeypatch.setattr(index_module, "_EXCHANGE_SECONDS", 0.0)
    one, two = index_of(tmp_path), index_of(tmp_path)
    paths = [tmp_path / "audio" / f"{number}.wav" for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    one.digest(paths[0])
    one.digest(paths[1])  # and then, perhaps, it is killed: nothing here calls save()
    assert index_of(tmp_path).digest(paths[1]) == sha(b"1.wav")
    two.digest(paths[3])
    assert reads == ["0.wav", "1.wav", "3.wav"]
    assert two.digest(paths[0]) == sha(b"0.wav")
    assert reads == ["0.wav", "1.wav", "3.wav"]


def test_what_was_read_lately_waits_to_be_saved(tmp_path):
    file = tmp_path / "audio" / "a.wav"
    learns = index_of(tmp_path)
    file.write_bytes(b"a")
    learns.digest(file)
    assert not (tmp_path / "index").exists()


def test_many_threads_at_once_lose_nothing(tmp_path):
    index = index_of(tmp_path)
    files = [tmp_path / "audio" / f"{i}.wav" for i in range(40)]
    for i, file in enumerate(files):
        file.write_bytes(str(i).encode())

    def work(part):
        for file in part:
            index.record(index.digest(file), WHOLE, FACTS)
            index.save()

    threads = [threading.Thread(target=work, args=(files[k::4],)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = index_of(tmp_path)
    assert all(again.facts(sha(str(i).encode()), WHOLE) == FACTS for i in range(40))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 999}', b'{"format": 2, "files": 3, "facts": 4}'])
def test_a_damaged_index_is_started_anew(tmp_path, content):
    index = index_of(tmp_path)
    file = tmp_path / "audio" / "a.wav"
    file.write_bytes(b"one")
    index.digest(file)
    index.save()
    [stored] = (tmp_path / "index").glob("*.json")
    stored.write_bytes(content)
    again = index_of(tmp_path)
    assert again.digest(file) == sha(b"one")
    again.save()
    assert json.loads(stored.read_bytes())["files"]["a.wav"][-1] == sha(b"one")


def test_many_saves_write_little_more_than_one(tmp_path, monkeypatch):
    monkeypatch.setattr(index_module, "JOURNAL_BYTES", 1000)
    index, written = index_of(tmp_path), 0
    for number in range(400):
        index.record(f"{number:064x}", WHOLE, FACTS)
        before = {path.name: path.stat() for path in (tmp_path / "index").glob("*.j*")}
        index.save()
        for path in (tmp_path / "index").glob("*.j*"):
            old = before.get(path.name)
            # a file of another inode was written whole
            written += path.stat().st_size - (old.st_size if old and old.st_ino == path.stat().st_ino else 0)
    size = sum(path.stat().st_size for path in (tmp_path / "index").glob("*.j*"))
    # each line once in the journal and, as the file doubles from one writing to the next, about twice in the file
    assert written < 4 * size
    again = index_of(tmp_path)
    assert all(again.facts(f"{number:064x}", WHOLE) == FACTS for number in range(400))


def test_a_journal_cut_off_by_a_kill_loses_its_last_line_only(tmp_path):
    index = index_of(tmp_path)
    for name in ("first", "second", "third"):
        index.record(name, WHOLE, FACTS)
        index.save()
    [journal] = (tmp_path / "index").glob("*.journal")
    journal.write_bytes(journal.read_bytes()[:-20])
    again = index_of(tmp_path)
    assert [again.facts(name, WHOLE) for name in ("first", "second", "third")] == [FACTS, FACTS, None]
    again.record("fourth", WHOLE, FACTS)
    again.save()
    assert [index_of(tmp_path).facts(name, WHOLE) for name in ("second", "third", "fourth")] == [FACTS, None, FACTS]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "index").write_bytes(b"a file where the folder should be")
    index = index_of(tmp_path)
    (tmp_path / "audio" / "a.wav").write_bytes(b"one")
    assert index.digest(tmp_path / "audio" / "a.wav") == sha(b"one")
    index.save()


def test_a_change_in_place_with_the_time_set_back_is_seen(tmp_path):
    file = tmp_path / "audio" / "a.wav"
    index = index_of(tmp_path)
    file.write_bytes(b"one")
    before = file.stat()
    assert index.digest(file) == sha(b"one")
    index.save()
    with file.open("r+b") as stream:
        stream.write(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert index.digest(file) == index_of(tmp_path).digest(file) == sha(b"two")


def test_anew_reads_what_is_known(tmp_path, reads):
    index = index_of(tmp_path)
    file = tmp_path / "audio" / "a.wav"
    file.write_bytes(b"one")
    assert index.digest(file) == index.digest(file, anew=True) == index.digest(file) == sha(b"one")
    assert reads == ["a.wav"] * 2


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "audio" / "a.wav"
    index = index_of(tmp_path)
    file.write_bytes(b"one")
    original = hashlib.file_digest

    def meanwhile(stream, kind):
        found = original(stream, kind)
        file.write_bytes(b"more")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "file_digest", meanwhile)
        with pytest.raises(OSError, match="changes while it is read"):
            index.digest(file)
    assert index.digest(file) == sha(b"more")


def test_an_index_of_another_format_is_not_read(tmp_path, reads):
    index = index_of(tmp_path)
    file = tmp_path / "audio" / "a.wav"
    file.write_bytes(b"one")
    index.digest(file)
    index.record("d", WHOLE, FACTS)
    index.save()
    for stored in (tmp_path / "index").glob("*.j*"):
        stored.write_bytes(stored.read_bytes().replace(b'{"format": 2, ', b'{"format": 1, '))
    again = index_of(tmp_path)
    assert again.facts("d", WHOLE) is None
    again.digest(file)
    assert reads == ["a.wav"] * 2
