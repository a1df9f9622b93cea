"""Clips to features: computed once, and the same bits on any number of workers."""

import hashlib
import os
import secrets

import numpy as np
import pytest
import soundfile
from toy import Toy, pipeline

from src.data.audio import Window, decode
from src.features import pipeline as pipeline_module
from src.features.preprocess import Preprocess


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded."""
    names = []

    def counted(path, window):
        names.append(path.name)
        return decode(path, window)

    monkeypatch.setattr(pipeline_module, "decode", counted)
    return names


def test_a_feature_is_what_its_stages_make_of_the_file(place):
    how = pipeline(levels=[-10.0, 0.0], window=Window(0.02, 0.05, None))
    found = place(how)
    assert [clip.id for clip in found.clips] == [f"{label}/{i:02d}.wav" for label in "ab" for i in range(5)]
    for clip, row, facts in zip(found.clips, found.features, found.facts, strict=True):
        waveform, expected = decode(clip.path, how.window)
        assert facts == expected
        processed = how.image_transform.preprocess(waveform)
        picture = how.image_transform.spectrogram.picture(processed.samples.mean(axis=0), 8000)
        np.testing.assert_array_equal(row, np.array([picture.mean(), picture.std()], np.float32))
    assert found.computed == 10
    assert set(found.seconds) == {"decode", "picture", "backbone"}


def test_files_are_read_from_anywhere_on_and_told_in_order(place, monkeypatch):
    began = []
    original = hashlib.file_digest

    def noted(file, kind):
        began.append(os.path.relpath(file.name, place.root))
        return original(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    monkeypatch.setattr(secrets, "randbelow", lambda stop: stop - 3)
    names = [f"{label}/{i:02d}.wav" for label in "ab" for i in range(5)]
    assert list(place.contents(workers=1).digests) == names
    assert began == names[-3:] + names[:-3]


def test_what_was_read_before_an_interrupt_is_kept(place, monkeypatch):
    original, read = hashlib.file_digest, []

    def interrupted(file, kind):
        read.append(file.name)
        if len(read) > 4:
            raise KeyboardInterrupt
        return original(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.contents(workers=1)
    monkeypatch.setattr(secrets, "randbelow", lambda _: 0)
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: read.append(file.name) or original(file, kind))
    before = len(read)
    place.contents(workers=1)
    assert len(read) - before == 10 - 4


def test_a_waveform_backbone_gets_the_processed_waveform(place):
    found = place(pipeline(Toy(input="waveform"), levels=[0.0]))
    waveform = Preprocess("x", [0.0])(decode(place.files[0], Window(0.0, None, None))[0])
    np.testing.assert_array_equal(found.features[0], [waveform.samples.mean(), waveform.samples.std()])


def test_a_hit_reads_no_audio_and_gives_the_same_bits(place, decoded):
    first = place()
    assert len(decoded) == 10
    toy = Toy()
    again = place(pipeline(toy))
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
        found.append(place(pipeline(Toy(batch_size=batch_size)), workers=workers))
    assert found[0].features.tobytes() == found[1].features.tobytes() == found[2].features.tobytes()


def test_a_network_gives_the_same_bits_on_any_number_of_workers(place, tmp_path):
    from src.backbone.vision import TimmBackbone

    settings = TimmBackbone("test_efficientnet", "random", 0, "torch", "float32", "cpu", "timm", 32, True)
    found = []
    for workers in (1, 2, 5):
        place.cache = tmp_path / f"cache{workers}"
        found.append(place(pipeline(settings.load(None, workers)), workers=workers).features)
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    assert len(np.unique(found[0], axis=0)) > 4  # the small pictures of neighbours may be equal


def test_batches_hold_what_fits_and_are_embedded_by_one_thread(place):
    toy = Toy(batch_size=4)
    place(pipeline(toy), workers=3)
    assert sorted(toy.embedded) == [2, 4, 4]
    assert len(toy.threads) == 1


def test_equal_files_are_computed_once(place, decoded):
    place.files[7].write_bytes(place.files[2].read_bytes())
    found = place()
    assert (found.computed, len(decoded), len(found.clips)) == (9, 9, 10)
    np.testing.assert_array_equal(found.features[7], found.features[2])


def test_another_pipeline_is_another_entry(place):
    place()
    assert place(pipeline(levels=[0.0])).computed == 10
    assert place(pipeline(window=Window(0.0, 0.05, None))).computed == 10
    assert place().computed == 0


def test_lost_facts_are_found_again(place):
    first = place()
    for path in (place.cache / "index").glob("*.json"):
        path.unlink()
    again = place()
    assert again.facts == first.facts
    assert again.features.tobytes() == first.features.tobytes()


def test_short_and_silent_clips_are_clips(place):
    soundfile.write(place.files[0], np.zeros(800, np.int16), 8000)
    soundfile.write(place.files[1], np.array([1000], np.int16), 8000)
    window = Window(0.0, 0.05, None)
    found = place(pipeline(window=window, levels=[-20.0, 0.0]))
    assert [facts.warnings(window) for facts in found.facts[:3]] == [["silent"], ["short"], []]
    assert np.isfinite(found.features).all()
