"""Extraction when something goes wrong: damaged caches, full disks, interrupts, unusable files, two at once."""

import logging
from pathlib import Path

import pytest
from toy import Toy, pipeline

from src.data import index as index_module
from src.features import cache as cache_module


@pytest.mark.parametrize("damage", [lambda c: c[:-1] + bytes([c[-1] ^ 1]), lambda c: c[: len(c) // 2], lambda c: b""])
def test_a_damaged_segment_is_computed_again(place, caplog, damage):
    first = place()
    [path] = (place.cache / "features").glob("*/*.safetensors")
    path.write_bytes(damage(path.read_bytes()))
    again = place()
    assert again.computed == 10
    assert again.features.tobytes() == first.features.tobytes()
    assert "corrupt" in caplog.text
    assert place().computed == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_what_was_finished_before_an_interrupt_is_kept(place, workers):
    def interrupt(done, total):
        assert total == 10
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place(workers=workers, progress=interrupt)
    rest = place()
    assert rest.computed == 2
    assert place().features.tobytes() == rest.features.tobytes()


def test_an_error_in_the_backbone_keeps_what_was_finished(place):
    class Failing(Toy):
        def embed(self, inputs):
            if len(self.embedded) == 6:
                raise RuntimeError("the engine broke")
            return super().embed(inputs)

    with pytest.raises(RuntimeError, match="the engine broke"):
        place(pipeline(Failing()))
    assert place().computed == 4


def test_every_unusable_file_is_listed_and_the_rest_is_there(place):
    place.files[0].write_bytes(b"")
    place.files[4].write_bytes(b"text" * 100)
    place.files[5].write_bytes(b"text" * 100)  # the same content as another unusable one
    place.files[9].unlink()
    place.files[9].symlink_to("nowhere.wav")
    found = place()
    assert len(found.clips) == len(found.features) == 6
    assert set(found.failed) == {"a/00.wav", "a/04.wav", "b/00.wav", "b/04.wav"}
    for name, path in (("a/00.wav", 0), ("a/04.wav", 4), ("b/00.wav", 5), ("b/04.wav", 9)):
        assert str(place.files[path]) in found.failed[name]
    # They are looked at again next time: nothing is remembered of a failure.
    place.files[0].write_bytes(place.files[1].read_bytes())
    assert len(place().clips) == 7


def test_no_usable_file_at_all(place):
    for file in place.files:
        file.write_bytes(b"")
    found = place()
    assert (found.clips, found.features.shape[0], len(found.failed)) == ([], 0, 10)


def test_a_cache_that_cannot_be_written_costs_time_only(place, caplog):
    expected = place().features
    place.cache = place.cache / "file"
    place.cache.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            found = place()
            assert found.computed == 10
            assert found.features.tobytes() == expected.tobytes()
    assert "cannot" in caplog.text


def test_a_full_disk_costs_time_only(place, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "write_atomically", full)
    monkeypatch.setattr(index_module, "write_atomically", full)
    for _ in range(2):
        assert place().computed == 10
    assert "cannot keep features (No space left on device); going on without" in caplog.text


def test_a_full_file_system_costs_time_only(place, small_disk):
    full = small_disk("full", 1)
    (full / "filling").write_bytes(b"x" * 2**20)
    expected = place().features
    place.cache = full
    assert place().features.tobytes() == expected.tobytes()


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import toy as t
from src.features.digests import read_digests
from src.data.dataset import DatasetSettings, recordings
from src.features.extract import extract

class Slow(t.Toy):
    def embed(self, inputs):
        time.sleep(0.1)
        return super().embed(inputs)

values = dict(name=None, base=None, root={root!r}, layout="classes", lists={{}}, table=None, columns={{}}, where={{}},
    window=None, hop=None, classes=None, include_classes=None, label="class", relabel={{}},
    loudness_classes=5, source="recordings", start=0.0, duration=None, sample_rate=None, mono="mean",
    on_unreadable="fail", group_pattern=None, clips_per_class=60, render_seed=0)
contents = read_digests(recordings(DatasetSettings(**values)), cache=Path({cache!r}), workers=1)
print("begun", flush=True)
while not Path({go!r}).exists():
    time.sleep(0.01)
found = extract(contents, t.pipeline(Slow()), cache=Path({cache!r}), workers=1)
print("computed", found.computed, found.features.tobytes().hex(), flush=True)
"""


def test_two_processes_at_once_compute_once(place, start_train, tmp_path):
    go = tmp_path / "go"
    program = PROGRAM.format(
        tests=str(Path(__file__).resolve().parents[1]), root=str(place.root), cache=str(place.cache), go=str(go)
    )
    processes = [start_train([], tmp_path, program=program) for _ in range(2)]
    for process in processes:
        process.until("begun")
    go.touch()
    for process in processes:
        process.process.wait(timeout=600)
    said = [line.split() for process in processes for line in process.said if line.startswith("computed")]
    assert sum(int(words[1]) for words in said) == 10  # each clip by one of them, whichever
    assert said[0][2] == said[1][2]
    assert place().computed == 0
