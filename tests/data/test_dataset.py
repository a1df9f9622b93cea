"""From settings to labelled clips: recordings, prepared folders, subsets and re-labellings."""

import os
import unicodedata
from pathlib import Path

import pytest

from src.data import manifest
from src.data.clip import Clip, Dataset
from src.data.dataset import by_loudness, prepared, recordings, relabelled, select_classes
from src.errors import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def dataset_of(labels: dict[str, int]) -> Dataset:
    clips = [Clip(Path(f"{label}/{i}.wav"), label, f"{label}/{i}") for label, n in labels.items() for i in range(n)]
    return Dataset("d", "d", Path(), tuple(labels), tuple(clips), "recorded", "made up")


def test_recordings(tmp_path, dataset_settings):
    touch(tmp_path / "My Songs", "B/2.wav", "B/1.wav", "A/3.flac", "A/x.txt")
    found = recordings(dataset_settings(tmp_path / "My Songs"))
    assert found is not None
    assert (found.name, found.base, found.origin) == ("my_songs", "my_songs", "recorded")
    assert found.classes == ("a", "b")
    assert [clip.id for clip in found.clips] == ["a/3.flac", "b/1.wav", "b/2.wav"]
    assert found.notes == ("passed over 1 files that are no audio, e.g. x.txt",)
    assert str(tmp_path) in found.provenance


def test_named_classes_keep_their_order_and_leave_others_out(tmp_path, dataset_settings):
    touch(tmp_path, "men/1.wav", "Women/1.wav", "children/1.wav")
    settings = dataset_settings(tmp_path, name="vocalist", classes={"male": ["men"], "female": ["women"]})
    found = recordings(settings)
    assert found is not None
    assert found.classes == ("male", "female")
    assert [clip.name for clip in found.clips] == ["male/1", "female/1"]


def test_no_class_folder_is_no_dataset(tmp_path, dataset_settings):
    assert recordings(dataset_settings(tmp_path / "none")) is None
    touch(tmp_path, "song.wav", "other/1.wav")
    assert recordings(dataset_settings(tmp_path, classes={"rock": [], "pop": []})) is None


def test_a_class_that_is_missing_is_named_with_a_way_out(tmp_path, dataset_settings):
    touch(tmp_path, "rock/1.wav", "pop/1.wav")
    settings = dataset_settings(tmp_path, name="genre", classes={"rock": [], "pop": [], "metal": []})
    with pytest.raises(UserError, match=r"no folder for metal.*'dataset\.include_classes=\[pop,rock\]'"):
        recordings(settings)
    found = recordings(
        dataset_settings(tmp_path, classes={"rock": [], "pop": [], "metal": []}, include_classes=["pop", "rock"])
    )
    assert found is not None
    assert found.classes == ("rock", "pop")


def test_an_empty_class_and_a_single_class_are_refused(tmp_path, dataset_settings):
    touch(tmp_path, "rock/1.wav", "pop/readme.txt")
    with pytest.raises(UserError, match=r"pop: no audio files; expected \.wav, "):
        recordings(dataset_settings(tmp_path))
    touch(tmp_path / "one", "rock/1.wav")
    with pytest.raises(UserError, match=r"found 1 class \(rock\); a classifier needs two or more"):
        recordings(dataset_settings(tmp_path / "one"))


def test_names_do_not_depend_on_the_form_of_umlauts(tmp_path, dataset_settings):
    found = []
    for form in ("NFC", "NFD"):
        touch(tmp_path / form, *(unicodedata.normalize(form, name) for name in ("Chöre/Müller.wav", "Soli/Bär.wav")))
        dataset = recordings(dataset_settings(tmp_path / form, name="d"))
        assert dataset is not None
        found.append([(clip.label, clip.name) for clip in dataset.clips])
    assert found[0] == found[1] == [("chöre", "chöre/Müller"), ("soli", "soli/Bär")]


def test_two_files_of_one_name_are_refused(tmp_path, dataset_settings):
    # The two spellings look the same to a person, and both would be the clip `a/Bär.wav`.
    touch(tmp_path, *(f"a/{unicodedata.normalize(form, 'Bär')}.wav" for form in ("NFC", "NFD")), "b/1.wav")
    if len(list((tmp_path / "a").iterdir())) == 2:  # some file systems see one file
        with pytest.raises(UserError, match=r"two files are the clip a/Bär\.wav"):
            recordings(dataset_settings(tmp_path))


def test_the_same_name_with_two_extensions_is_two_clips(tmp_path, dataset_settings):
    touch(tmp_path, "a/1.wav", "a/1.flac", "b/1.wav")
    found = recordings(dataset_settings(tmp_path))
    assert found is not None
    assert [clip.id for clip in found.clips] == ["a/1.flac", "a/1.wav", "b/1.wav"]


def test_a_file_in_two_classes_by_a_link_is_an_error_that_names_both(tmp_path, dataset_settings):
    touch(tmp_path, "a/1.wav", "a/2.wav", "b/3.wav")
    (tmp_path / "b" / "same.wav").symlink_to("../a/2.wav")
    with pytest.raises(UserError, match=r"a/2\.wav \(a\) and .*b/same\.wav \(b\)"):
        recordings(dataset_settings(tmp_path))
    (tmp_path / "b" / "same.wav").unlink()
    os.link(tmp_path / "a" / "1.wav", tmp_path / "b" / "hard.wav")
    with pytest.raises(UserError, match=r"a/1\.wav \(a\) and .*b/hard\.wav \(b\)"):
        recordings(dataset_settings(tmp_path))
    (tmp_path / "b" / "hard.wav").unlink()
    (tmp_path / "c").symlink_to("a")
    with pytest.raises(UserError, match=r"2 files are in two classes.*\n.*a/1\.wav \(a\) and .*c/1\.wav \(c\)"):
        recordings(dataset_settings(tmp_path))
    found = recordings(dataset_settings(tmp_path, include_classes=["a", "b"]))
    assert found is not None
    assert len(found.clips) == 3


def test_a_link_to_the_dataset_itself_counts_nothing_twice(tmp_path, dataset_settings, caplog):
    touch(tmp_path, "a/1.wav", "a/2.wav", "b/3.wav")
    plain = recordings(dataset_settings(tmp_path))
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "all").symlink_to(".")
    found = recordings(dataset_settings(tmp_path))
    assert plain is not None
    assert found is not None
    assert (found.classes, found.clips) == (plain.classes, plain.clips)
    assert any("2 links" in note for note in found.notes)
    assert "2 links" in caplog.text


def test_files_that_are_not_decoded_are_mentioned_on_the_console(tmp_path, dataset_settings, caplog):
    touch(tmp_path, "a/1.wav", "a/2.m4a", "b/3.wav", "b/4.wma")
    found = recordings(dataset_settings(tmp_path))
    assert found is not None
    assert len(found.clips) == 2
    for text in (*found.notes, caplog.text):
        assert all(part in text for part in ("2 audio files", "2.m4a", "ffmpeg -i in.m4a out.wav"))
    (tmp_path / "b" / "3.wav").unlink()
    with pytest.raises(UserError, match=r"b: no audio files; expected .*1 audio files.*4\.wma.*ffmpeg -i in\.wma out"):
        recordings(dataset_settings(tmp_path))


def test_audio_beside_the_class_folders_is_mentioned_on_the_console(tmp_path, dataset_settings, caplog):
    touch(tmp_path, "loose.wav", "readme.txt", "a/1.wav", "b/2.wav", "c.wav/3.wav")
    found = recordings(dataset_settings(tmp_path))
    assert found is not None
    assert found.classes == ("a", "b", "c_wav")
    assert "1 audio files" in caplog.text
    assert "loose.wav" in caplog.text


def test_folders_that_cannot_be_listed_are_one_error(tmp_path, dataset_settings, ordinary_user, caplog):
    touch(tmp_path, "a/1.wav", "a/sub/2.wav", "b/3.wav", "b/sub/4.wav")
    (tmp_path / "b" / "disk").symlink_to("/not/mounted")
    locked = [tmp_path / label / "sub" for label in "ab"]
    for folder in locked:
        folder.chmod(0)
    try:
        with ordinary_user(tmp_path):
            with pytest.raises(UserError, match="3 folders cannot be listed") as error:
                recordings(dataset_settings(tmp_path))
            skipped = recordings(dataset_settings(tmp_path, on_unreadable="skip"))
        (tmp_path / "c").mkdir(0)
        with ordinary_user(tmp_path), pytest.raises(UserError, match=f"{tmp_path}/c: Permission denied"):
            recordings(dataset_settings(tmp_path))
    finally:
        for folder in locked:
            folder.chmod(0o755)
    for path in (*locked, tmp_path / "b" / "disk"):
        assert str(path) in str(error.value)
        assert str(path) in caplog.text
    assert skipped is not None
    assert len(skipped.clips) == 2
    assert sum("left out" in note for note in skipped.notes) == 3


@pytest.mark.parametrize("on_unreadable", ["fail", "skip"])
def test_classes_on_a_disk_that_is_not_mounted_are_named(tmp_path, dataset_settings, on_unreadable):
    """They would be taken for recordings that are not there, and a stand-in rendered."""
    for label in ("pop", "rock"):
        (tmp_path / label).symlink_to(f"/not/mounted/{label}")
    with pytest.raises(UserError, match="2 folders cannot be listed"):
        recordings(
            dataset_settings(tmp_path, name="genre", classes={"pop": [], "rock": []}, on_unreadable=on_unreadable)
        )


def test_a_root_that_cannot_be_listed_is_named(tmp_path, dataset_settings, ordinary_user):
    (tmp_path / "data").mkdir(0)
    with ordinary_user(tmp_path), pytest.raises(UserError, match="data: cannot be listed"):
        recordings(dataset_settings(tmp_path / "data"))


def write_manifest(folder: Path, clips: list[dict[str, str]], **more: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write(folder / "manifest.json", {"clips": clips, **more})


def test_prepared(tmp_path, dataset_settings):
    clips = [{"file": "rock/2.flac", "label": "rock", "group": "g"}, {"file": "pop/1.flac", "label": "pop"}]
    write_manifest(tmp_path / "p", clips, origin="rendered", provenance="a sound font, seed 0", notes=["n"])
    found = prepared(dataset_settings(tmp_path, name="genre"), tmp_path / "p")
    assert found is not None
    assert (found.origin, found.provenance, found.notes) == ("rendered", "a sound font, seed 0", ("n",))
    assert [(clip.id, clip.group) for clip in found.clips] == [("pop/1.flac", None), ("rock/2.flac", "g")]
    assert prepared(dataset_settings(tmp_path, name="genre"), tmp_path / "other") is None


def test_prepared_with_classes_that_the_settings_do_not_know(tmp_path, dataset_settings):
    clips = [{"file": "rock/2.flac", "label": "rock"}, {"file": "jazz/1.flac", "label": "jazz"}]
    write_manifest(tmp_path / "p", clips, origin="rendered")
    with pytest.raises(UserError, match=r"lists clips of jazz; dataset\.classes has rock, pop"):
        prepared(dataset_settings(tmp_path, name="genre", classes={"rock": [], "pop": []}), tmp_path / "p")


def test_relabelled_in_the_order_of_the_new_classes():
    found = relabelled(dataset_of({"a": 1, "b": 1, "c": 2}), {"z": ["c"], "y": ["a", "b"]})
    assert found.classes == ("z", "y")
    assert [(clip.label, clip.name) for clip in found.clips] == [("z", "c/0"), ("z", "c/1"), ("y", "a/0"), ("y", "b/0")]


@pytest.mark.parametrize(
    ("groups", "named"),
    [
        ({"x": ["a"], "y": ["b"]}, "c:"),
        ({"x": ["a", "b"], "y": ["b", "c"]}, "b:"),
        ({"x": ["a", "b"], "y": ["c", "d"]}, "d:"),
        ({"x": ["a", "a"], "y": ["b", "c"]}, "a:"),
    ],
)
def test_relabelling_takes_every_class_once(groups, named):
    with pytest.raises(UserError, match=rf"dataset\.relabel: {named} each of the classes a, b, c must belong"):
        relabelled(dataset_of({"a": 1, "b": 1, "c": 1}), groups)


def test_loudness_classes_are_equal_and_quietest_first():
    base = dataset_of({"a": 5, "b": 5})
    rms = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6, 0.0]
    found = by_loudness(base, rms, 5)
    assert found.classes == ("loud1", "loud2", "loud3", "loud4", "loud5")
    loudness = {clip.name: value for clip, value in zip(base.clips, rms, strict=True)}
    by_class = [[loudness[clip.name] for clip in found.clips if clip.label == label] for label in found.classes]
    assert [sorted(values) for values in by_class] == [[0.0, 0.1], [0.2, 0.3], [0.4, 0.5], [0.6, 0.7], [0.8, 0.9]]


def test_equal_loudness_is_ordered_by_name():
    found = by_loudness(dataset_of({"b": 2, "a": 2}), [0.5] * 4, 2)
    assert [(clip.label, clip.name) for clip in found.clips] == [
        ("loud1", "a/0"), ("loud1", "a/1"), ("loud2", "b/0"), ("loud2", "b/1"),
    ]  # fmt: skip


def test_uneven_loudness_classes_differ_by_one_clip():
    found = by_loudness(dataset_of({"a": 11}), [i / 11 for i in range(11)], 3)
    sizes = [sum(clip.label == label for clip in found.clips) for label in found.classes]
    assert sorted(sizes) == [3, 4, 4]


def test_kept():
    base = dataset_of({"a": 2, "b": 1, "c": 1})
    assert select_classes(base, None) is base
    found = select_classes(base, ["c", "a"])
    assert found.classes == ("a", "c")
    assert [clip.name for clip in found.clips] == ["a/0", "a/1", "c/0"]
    assert found.base == base.base


@pytest.mark.parametrize("labels", [["a"], ["a", "a"], [], ["a", "nine"]])
def test_keeping_less_than_two_classes_or_unknown_ones(labels):
    with pytest.raises(UserError, match=r"dataset\.include_classes: got .*; expected two or more of a, b"):
        select_classes(dataset_of({"a": 1, "b": 1}), labels)


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ({"source": "internet"}, "dataset.source: got 'internet'; expected one of auto, recordings"),
        ({"label": "colour"}, "dataset.label: got 'colour'; expected one of class, loudness"),
        ({"clips_per_class": 1}, "dataset.clips_per_class: got 1; expected 2 or more"),
        ({"loudness_classes": 1}, "dataset.loudness_classes: got 1; expected 2 or more"),
        ({"start": -1.0}, "dataset.start: got -1.0"),
        ({"duration": 0.0}, "dataset.duration: got 0.0"),
        ({"sample_rate": 44}, "dataset.sample_rate: got 44"),
    ],
)
def test_settings_that_make_no_sense_are_named_before_anything_is_read(dataset_settings, change, setting):
    with pytest.raises(UserError, match=setting):
        _ = dataset_settings("nowhere", **change).cut
