"""A dataset ready to learn from: what is refused, what is noted, and that conditions are paired."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy import pipeline

from src.data.split import Split, hash_part
from src.errors import UserError
from src.features.extract import extract
from src.features.labelled import Runtime, list_clips, prepare

STRATIFIED = Split("stratified", 0, 5, 0)
HASH = Split("hash", 0, 5, 0)


@pytest.fixture
def make(tmp_path, dataset_settings):
    """`make(folder, levels=, split=, window=, **settings)`: the Material of a folder."""

    def made(root, *, levels=None, split=STRATIFIED, **changes):
        settings = dataset_settings(root, **changes)
        place = Runtime(data=tmp_path, cache=tmp_path / "cache", workers=2, progress=lambda _: None)
        how = pipeline(levels=levels, window=settings.cut)
        return prepare(settings, list_clips(settings, place), how, split, place)

    return made


@pytest.fixture
def birds(tmp_path, write_clips):
    write_clips(tmp_path / "birds", ["owl", "wren"], 20)
    return tmp_path / "birds"


def test_features_labels_and_parts_belong_together(make, birds):
    found = make(birds)
    assert found.dataset.classes == ("owl", "wren")
    assert found.labels.tolist() == [0] * 20 + [1] * 20
    assert [len(found.examples(part).labels) for part in ("train", "validation", "test")] == [32, 4, 4]
    for part in ("train", "validation", "test"):
        chosen = [i for i, p in enumerate(found.parts) if p == part]
        np.testing.assert_array_equal(found.where(part), chosen)
        np.testing.assert_array_equal(found.examples(part).features, found.extraction.features[chosen])
        np.testing.assert_array_equal(found.examples(part).labels, found.labels[chosen])
    assert found.counts() == {
        "clips/train": 32.0, "clips/validation": 4.0, "clips/test": 4.0, "clips/unusable": 0.0, "clips/silent": 0.0,
        "clips/short": 0.0, "clips/black": 0.0, "clips/lost_in_mono": 0.0, "clips/cut_off": 0.0,
        "groups_on_both_sides": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("split", [HASH, STRATIFIED, Split("kfold", 0, 5, 3)])
def test_conditions_are_paired_clip_by_clip(make, birds, split):
    levels = [[], [0.0], [-35.0, -30.0, -25.0, -20.0, -15.0, -10.0, -5.0, 0.0]]
    found = [make(birds, levels=some, split=split) for some in levels]
    parts = [{clip.id: part for clip, part in zip(m.dataset.clips, m.parts, strict=True)} for m in found]
    assert parts[0] == parts[1] == parts[2]
    assert len(parts[0]) == 40
    features = [m.extraction.features.tobytes() for m in found]
    assert len(set(features)) == 3


def test_all_unusable_files_are_in_one_error(make, birds):
    bad = {"owl/00.wav": b"", "owl/07.wav": b"text" * 99, "wren/03.wav": b"RIFF", "wren/04.wav": None}
    for name, content in bad.items():
        path = birds / name
        if content is None:
            path.unlink()
            path.symlink_to("nowhere")
        else:
            path.write_bytes(content)
    soundfile.write(birds / "wren/05.wav", np.array([0.0, np.nan], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"birds: 5 of 40 files cannot be used:") as told:
        make(birds)
    message = str(told.value)
    for name in [*bad, "wren/05.wav"]:
        assert message.count(str(birds / name)) == 1
    assert "Mend or remove them, or leave them out with dataset.on_unreadable=skip" in message


def test_an_unusable_file_is_named_before_any_feature_is_computed(make, birds):
    (birds / "owl/00.wav").write_bytes((birds / "owl/00.wav").read_bytes()[:-99])
    with pytest.raises(UserError, match=r"birds: 1 of 40 files cannot be used:\n.*owl/00\.wav: truncated"):
        make(birds)
    found = make(birds, on_unreadable="skip")
    assert found.extraction.computed == len(found.dataset.clips) == 39  # nothing was there yet


def test_what_is_no_regular_file_is_named_and_not_waited_for(make, birds):
    os.mkfifo(birds / "owl" / "pipe.wav")
    (birds / "wren" / "zero.wav").symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"2 of 42 files cannot be used:") as told:
        make(birds)
    assert f"{birds}/owl/pipe.wav: cannot be read (a FIFO" in str(told.value)
    assert f"{birds}/wren/zero.wav: cannot be read (a character device" in str(told.value)
    assert len(make(birds, on_unreadable="skip").dataset.clips) == 40


def test_a_name_that_is_no_text_is_named_whether_the_file_can_be_used_or_not(make, birds):
    plain = make(birds)
    strange = birds / "owl" / os.fsdecode(b"M\xfasica.wav")
    soundfile.write(birds / "new.wav", np.full(800, 0.25), 8000)
    (birds / "new.wav").rename(strange)
    found = make(birds)
    assert [clip.id for clip in found.dataset.clips if clip not in plain.dataset.clips] == ["owl/M\\xfasica.wav"]
    strange.write_bytes(b"")
    with pytest.raises(UserError, match=r"M\\xfasica\.wav: an empty file"):
        make(birds)
    assert make(birds, on_unreadable="skip").notes["unusable"] == [f"{birds}/owl/M\\xfasica.wav: an empty file"]


@pytest.mark.parametrize("change", ["vanishes", "changes", "is touched"])
def test_a_file_that_is_another_once_it_is_read(tmp_path, birds, dataset_settings, change):
    settings = dataset_settings(birds, on_unreadable="skip")
    place = Runtime(data=tmp_path, cache=tmp_path / "cache", workers=2, progress=lambda _: None)
    contents, victim = list_clips(settings, place), birds / "owl" / "03.wav"
    old = victim.read_bytes()
    if change == "vanishes":
        victim.unlink()
    elif change == "changes":
        soundfile.write(victim, np.full(800, 0.5), 8000)
    else:
        os.utime(victim)
    found = prepare(settings, contents, pipeline(), STRATIFIED, place)
    if change == "is touched":
        assert found.notes["unusable"] == []
        return
    [message] = found.notes["unusable"]
    assert str(victim) in message
    assert ("it changed after it was listed" if change == "changes" else "No such file") in message
    # nothing of the other content is kept under the digest of the old one
    victim.write_bytes(old)
    features = [
        extract(list_clips(settings, place), pipeline(), cache=cache, workers=1).features.tobytes()
        for cache in (place.cache, tmp_path / "fresh")
    ]
    assert features[0] == features[1]


def test_skipping_leaves_them_out_and_records_them(make, birds, caplog):
    (birds / "owl/00.wav").write_bytes(b"")
    (birds / "wren/03.wav").write_bytes(b"text" * 99)
    with caplog.at_level(logging.WARNING):
        found = make(birds, on_unreadable="skip")
    assert len(found.dataset.clips) == len(found.labels) == len(found.extraction.features) == 38
    empty, text = found.notes["unusable"]
    assert empty == f"{birds}/owl/00.wav: an empty file"
    assert text.startswith(f"{birds}/wren/03.wav: not readable as audio")
    assert found.counts()["clips/unusable"] == 2
    assert "birds: 2 left out" in caplog.text


def test_skipping_everything_is_still_an_error(make, birds):
    for path in birds.glob("*/*.wav"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"birds: none of the 40 files in .*birds can be used"):
        make(birds, on_unreadable="skip")


def test_silent_and_short_clips_are_used_and_noted(make, birds, caplog):
    soundfile.write(birds / "owl/00.wav", np.zeros(800, np.int16), 8000)
    soundfile.write(birds / "wren/03.wav", np.full(400, 99, np.int16), 8000)
    with caplog.at_level(logging.WARNING):
        found = make(birds, duration=0.1)
    assert (found.notes["silent"], found.notes["short"]) == (["owl/00.wav"], ["wren/03.wav"])
    assert (found.counts()["clips/silent"], found.counts()["clips/short"]) == (1, 1)
    assert len(found.dataset.clips) == 40
    assert "1 silent" in caplog.text
    assert "1 shorter than dataset.duration" in caplog.text


def test_clips_of_which_too_little_is_drawn_are_noted_by_a_warm_run_as_by_a_cold_one(make, birds, caplog):
    t = np.arange(8000) / 8000
    left = (16_000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
    soundfile.write(birds / "owl/00.wav", np.stack([left, -left], axis=1), 8000)
    soundfile.write(birds / "owl/01.wav", np.full(800, -1, np.int16), 8000)  # within silence's row of the picture
    soundfile.write(birds / "wren/03.wav", 0.5 * np.sin(2 * np.pi * 9000 * np.arange(24_000) / 24_000), 24_000)
    expected = {"silent": ["owl/00.wav"], "lost in mono": ["owl/00.wav"], "black": ["owl/01.wav"]}
    for wanted, settings in (({}, {}), ({"cut off": ["wren/03.wav"]}, {"sample_rate": 8000})):
        told = []
        for _ in range(2):
            caplog.clear()
            found = make(birds, **settings)
            assert {kind: found.notes[kind] for kind in expected | wanted} == expected | wanted
            assert all(found.counts()[f"clips/{kind.replace(' ', '_')}"] == 1 for kind in expected | wanted)
            told.append(caplog.text)
        assert told[0] == told[1]
        assert all(f"birds: 1 {kind}" in told[0].replace("nearly ", "") for kind in expected | wanted)


def test_a_window_that_files_do_not_reach_is_an_error_for_each(make, birds):
    with pytest.raises(UserError, match=r"40 of 40 files cannot be used:\n.*lasts 0\.10 s, nothing is left"):
        make(birds, start=5.0)


def test_a_class_without_test_clips_is_a_warning(make, birds, caplog):
    for path in sorted((birds / "wren").iterdir())[3:]:
        path.unlink()
    noted = set()
    for seed in range(16):  # three clips of wren fall into any of the three parts
        try:
            with caplog.at_level(logging.WARNING):
                found = make(birds, split=replace(STRATIFIED, seed=seed))
        except UserError:
            continue
        where = [found.parts[i] for i, clip in enumerate(found.dataset.clips) if clip.label == "wren"]
        assert found.notes["classes without test clips"] == ["wren"] * ("test" not in where)
        noted.add(("test" in where, "validation" in where))
    assert {(False, True), (True, False)} <= noted
    assert "1 classes without test clips: their recall is not available (wren)" in caplog.text


def test_no_test_clips_at_all_is_an_error(make, tmp_path, write_clips):
    name = next(f"{i}" for i in range(99) if hash_part("few", f"a/{i}") == hash_part("few", f"b/{i}") == "train")
    write_clips(tmp_path / "few", ["a", "b"], 1, names=lambda i: name)
    with pytest.raises(UserError, match=r"few: split=hash leaves no test clips of 2 in all; add clips$"):
        make(tmp_path / "few", split=HASH)


SIZES = {"small": ["wren"], "large": ["owl"]}


@pytest.mark.parametrize("changes", [{}, {"label": "size", "relabel": {"size": SIZES}}])
def test_a_class_without_training_clips_is_reported_before_anything_is_computed(make, tmp_path, write_clips, changes):
    tested = next(f"{i}" for i in range(99) if hash_part("birds", f"wren/{i}") == "test")
    write_clips(tmp_path / "birds", ["owl"], 20)
    write_clips(tmp_path / "birds", ["wren"], 1, names=lambda _: tested)
    with pytest.raises(UserError, match=r"birds: split=hash leaves no training clips for (wren|small) \(1 clips\)"):
        make(tmp_path / "birds", split=HASH, **changes)
    assert not (tmp_path / "cache" / "features").exists()


def test_classes_that_are_not_there_are_reported_before_anything_is_computed(make, birds, tmp_path):
    with pytest.raises(
        UserError, match=r"dataset\.include_classes: got \['tiny', 'small'\]; expected two or more of small, large"
    ):
        make(birds, label="size", relabel={"size": SIZES}, include_classes=["tiny", "small"])
    with pytest.raises(UserError, match=r"dataset\.relabel: gull"):
        make(birds, label="size", relabel={"size": {"small": ["wren"], "large": ["owl", "gull"]}})
    assert not (tmp_path / "cache" / "features").exists()


def test_a_group_on_both_sides_is_a_warning(make, birds, caplog):
    with caplog.at_level(logging.WARNING):
        found = make(birds, group_pattern=r"^([a-z]+)/")
    assert found.notes["groups on both sides"] == ["owl", "wren"]
    assert found.counts()["groups_on_both_sides"] == 2
    assert "split=grouped parts them" in caplog.text
    fair = make(birds, group_pattern=r"^(.*/\d)", split=Split("grouped", 0, 5, 0))
    assert fair.notes["groups on both sides"] == []


def test_the_same_bytes_on_both_sides_or_under_two_labels_are_warned_of(make, birds, caplog):
    for i in range(10, 20):
        (birds / "owl" / f"{i}.wav").write_bytes((birds / "owl" / f"{i - 10:02d}.wav").read_bytes())
    (birds / "wren" / "19.wav").write_bytes((birds / "owl" / "00.wav").read_bytes())
    with caplog.at_level(logging.WARNING):
        found = make(birds, split=HASH)  # by the files' names alone, as in the paper
    assert found.notes["groups on both sides"]
    assert "split=kfold parts them" in caplog.text
    assert found.notes["labels in doubt"] == ["owl/00.wav = owl/10.wav = wren/19.wav"]
    assert "owl/00.wav = owl/10.wav = wren/19.wav" in caplog.text
    assert make(birds).notes["groups on both sides"] == []


def test_loudness_is_measured_before_any_levelling(make, birds):
    raw = make(birds, label="loudness", loudness_classes=4)
    levelled = make(birds, label="loudness", loudness_classes=4, levels=[0.0])
    assert raw.dataset.classes == ("loud1", "loud2", "loud3", "loud4")
    assert [(c.id, c.label) for c in raw.dataset.clips] == [(c.id, c.label) for c in levelled.dataset.clips]
    rms = {clip.id: facts.rms for clip, facts in zip(raw.dataset.clips, raw.extraction.facts, strict=True)}
    order = sorted(rms, key=lambda name: rms[name])
    label = {clip.id: clip.label for clip in raw.dataset.clips}
    assert [label[name] for name in order] == [f"loud{1 + i // 10}" for i in range(40)]


def test_relabelling_keeps_features_and_split_of_each_clip(make, tmp_path, write_clips):
    write_clips(tmp_path / "d", ["a", "b", "c"], 20)
    plain = make(tmp_path / "d", split=HASH)
    relabel = {"size": {"small": ["c"], "large": ["a", "b"]}}
    other = make(tmp_path / "d", split=HASH, label="size", relabel=relabel)
    assert other.dataset.classes == ("small", "large")
    assert [clip.label for clip in other.dataset.clips] == ["small"] * 20 + ["large"] * 40

    def facts(material):
        rows = zip(material.dataset.clips, material.extraction.features, material.parts, strict=True)
        return {clip.id: (row.tobytes(), part) for clip, row, part in rows}

    assert facts(plain) == facts(other)
    subset = make(tmp_path / "d", split=HASH, include_classes=["a", "c"])
    assert facts(subset).items() <= facts(plain).items()
    assert subset.dataset.classes == ("a", "c")


def test_hidden_copies_and_the_order_on_disk_change_nothing(make, birds, tmp_path):
    plain = make(birds)
    for path in sorted(birds.glob("*/*.wav"), reverse=True):  # a new inode and time for each, in another order
        path.with_suffix(".tmp").write_bytes(path.read_bytes())
        path.with_suffix(".tmp").replace(path)
    (birds / "owl" / ".hidden.wav").write_bytes(b"")
    again = make(birds)
    assert again.parts == plain.parts
    assert again.extraction.features.tobytes() == plain.extraction.features.tobytes()
    assert isinstance(again.dataset.root, Path)
