"""Clips to features: computed once, the same bits on any number of workers, kept whatever happens."""

import logging
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy import Toy, recipe

from src import extract as extraction
from src.contents import read_contents
from src.data.audio import Window, decode
from src.data.dataset import recordings
from src.extract import extract
from src.preprocess import Preprocess
from src.recipe import Recipe


@pytest.fixture
def place(tmp_path, write_clips, dataset_settings):
    """`place(recipe, workers=1)`: the extraction of the ten clips in tmp_path/audio, and its parts as attributes."""

    class Place:
        root = tmp_path / "audio"
        cache = tmp_path / "cache"
        files = write_clips(tmp_path / "audio", ["a", "b"], 5)

        def contents(self):
            found = recordings(dataset_settings(self.root))
            assert found is not None
            return read_contents(found, cache=self.cache, workers=2)

        def __call__(self, how: Recipe | None = None, *, workers: int = 1, progress=None):
            return extract(self.contents(), how or recipe(), cache=self.cache, workers=workers, progress=progress)

    return Place()


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded."""
    names = []

    def counted(path, window):
        names.append(path.name)
        return decode(path, window)

    monkeypatch.setattr("src.recipe.decode", counted)
    return names


def test_a_feature_is_what_its_stages_make_of_the_file(place):
    how = recipe(levels=[-10.0, 0.0], window=Window(0.02, 0.05, None))
    found = place(how)
    assert [clip.id for clip in found.clips] == [f"{label}/{i:02d}.wav" for label in "ab" for i in range(5)]
    for clip, row, facts in zip(found.clips, found.features, found.facts, strict=True):
        waveform, expected = decode(clip.path, how.window)
        assert facts == expected
        processed = how.drawing.preprocess(waveform)
        picture = how.drawing.spectrogram.picture(processed.samples.mean(axis=0), 8000)
        np.testing.assert_array_equal(row, np.array([picture.mean(), picture.std()], np.float32))
    assert found.computed == 10
    assert set(found.seconds) == {"decode", "picture", "backbone"}


def test_a_waveform_backbone_gets_the_processed_waveform(place):
    found = place(recipe(Toy(input="waveform"), levels=[0.0]))
    waveform = Preprocess("x", [0.0])(decode(place.files[0], Window(0.0, None, None))[0])
    np.testing.assert_array_equal(found.features[0], [waveform.samples.mean(), waveform.samples.std()])


def test_a_hit_reads_no_audio_and_gives_the_same_bits(place, decoded):
    first = place()
    assert len(decoded) == 10
    toy = Toy()
    again = place(recipe(toy))
    assert len(decoded) == 10
    assert (again.computed, toy.embedded, again.seconds) == (0, [], {})
    assert again.features.tobytes() == first.features.tobytes()
    assert (again.digests, again.facts, again.clips) == (first.digests, first.facts, first.clips)


def test_a_changed_byte_is_computed_again_and_nothing_else(place, decoded):
    first = place()
    content = bytearray(place.files[3].read_bytes())
    content[-1] ^= 64
    place.files[3].write_bytes(content)
    decoded.clear()
    again = place()
    assert decoded == [place.files[3].name]
    assert again.computed == 1
    same = [i for i in range(10) if again.features[i].tobytes() == first.features[i].tobytes()]
    assert same == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_touching_and_moving_files_computes_nothing(place, decoded, tmp_path):
    first = place()
    decoded.clear()
    for file in place.files:
        os.utime(file, ns=(1, 1))
    assert place().computed == 0
    place.root.rename(tmp_path / "elsewhere")
    place.root = tmp_path / "elsewhere"
    moved = place()
    # Where a file lies is not what it holds; only what is known of each path is learnt again.
    assert moved.features.tobytes() == first.features.tobytes()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_same_clip_gives_the_same_bits_on_any_number_of_workers(place, tmp_path, batch_size):
    found = []
    for workers in (1, 2, 7):
        place.cache = tmp_path / f"cache{workers}"
        found.append(place(recipe(Toy(batch_size=batch_size)), workers=workers))
    assert found[0].features.tobytes() == found[1].features.tobytes() == found[2].features.tobytes()


def test_a_network_gives_the_same_bits_on_any_number_of_workers(place, tmp_path):
    from src.backbone.vision import Vision

    settings = Vision("test_efficientnet", "random", 0, "torch", "float32", "cpu", "timm", 32, True)
    found = []
    for workers in (1, 2, 5):
        place.cache = tmp_path / f"cache{workers}"
        found.append(place(recipe(settings.load(None, workers)), workers=workers).features)
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    assert len(np.unique(found[0], axis=0)) > 4  # the small pictures of neighbours may be equal


def test_batches_go_through_the_calling_thread_and_hold_what_fits(place):
    toy = Toy(batch_size=4)
    place(recipe(toy), workers=3)
    assert sorted(toy.embedded) == [2, 4, 4]
    assert toy.threads == {threading.current_thread().name}


def test_single_clips_go_through_the_workers(place):
    toy = Toy()
    place(recipe(toy), workers=2)
    assert toy.embedded == [1] * 10
    assert threading.current_thread().name not in toy.threads


def test_equal_files_are_computed_once(place, decoded):
    place.files[7].write_bytes(place.files[2].read_bytes())
    found = place()
    assert (found.computed, len(decoded), len(found.clips)) == (9, 9, 10)
    np.testing.assert_array_equal(found.features[7], found.features[2])


def test_another_recipe_is_another_entry(place):
    place()
    assert place(recipe(levels=[0.0])).computed == 10
    assert place(recipe(window=Window(0.0, 0.05, None))).computed == 10
    assert place().computed == 0


def test_lost_facts_are_found_again(place):
    first = place()
    for path in (place.cache / "index").glob("*.json"):
        path.unlink()
    again = place()
    assert again.facts == first.facts
    assert again.features.tobytes() == first.features.tobytes()


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


def test_what_was_finished_before_an_interrupt_is_kept(place, monkeypatch):
    monkeypatch.setattr(extraction, "_BATCH", 3)

    def interrupt(done, total):
        assert total == 10
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place(progress=interrupt)
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
        place(recipe(Failing()))
    # Six were finished; of those, what no one had taken yet (four in flight) may be lost.
    assert 4 <= place().computed <= 8


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

    monkeypatch.setattr("src.features.write_atomically", full)
    monkeypatch.setattr("src.data.index.write_atomically", full)
    for _ in range(2):
        assert place().computed == 10
    assert "cannot keep features (No space left on device); going on without" in caplog.text


def test_a_full_file_system_costs_time_only(place, tmp_path):
    """The same on a real one, where this user may mount it."""
    import subprocess

    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full], check=False, capture_output=True
    )
    try:
        if mounted.returncode == 0:
            (full / "filling").write_bytes(b"x" * 16384)
        expected = place().features
        place.cache = full
        assert place().features.tobytes() == expected.tobytes()
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", full], check=True)


PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import toy as t
from src.contents import read_contents
from src.data.dataset import DatasetSettings, recordings
from src.extract import extract

class Slow(t.Toy):
    def embed(self, inputs):
        time.sleep(0.1)
        return super().embed(inputs)

values = dict(name=None, base=None, root={root!r}, classes=None, keep=None, label="class", relabel={{}},
    loudness_classes=5, source="recordings", start=0.0, duration=None, sample_rate=None, mono="mean",
    on_error="fail", group_pattern=None, clips_per_class=60, render_seed=0)
contents = read_contents(recordings(DatasetSettings(**values)), cache=Path({cache!r}), workers=1)
print("begun", flush=True)
while not Path({go!r}).exists():
    time.sleep(0.01)
found = extract(contents, t.recipe(Slow()), cache=Path({cache!r}), workers=1)
print("computed", found.computed, found.features.tobytes().hex(), flush=True)
"""


def test_two_processes_at_once_compute_once(place, start_train, tmp_path):
    go = tmp_path / "go"
    program = PROGRAM.format(tests=str(Path(__file__).parent), root=str(place.root), cache=str(place.cache), go=str(go))
    processes = [start_train([], tmp_path, program=program) for _ in range(2)]
    for process in processes:
        process.until("begun")
    go.touch()
    for process in processes:
        process.process.wait(timeout=600)
    said = [line.split() for process in processes for line in process.said if line.startswith("computed")]
    assert sorted(int(words[1]) for words in said) == [0, 10]
    assert said[0][2] == said[1][2]
    assert place().computed == 0


def test_short_and_silent_clips_are_clips(place):
    soundfile.write(place.files[0], np.zeros(800, np.int16), 8000)
    soundfile.write(place.files[1], np.array([1000], np.int16), 8000)
    window = Window(0.0, 0.05, None)
    found = place(recipe(window=window, levels=[-20.0, 0.0]))
    assert [facts.warnings(window) for facts in found.facts[:3]] == [["silent"], ["short"], []]
    assert np.isfinite(found.features).all()
