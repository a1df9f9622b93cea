"""Folders of classes: which files are clips, and what they are called."""

import unicodedata

import pytest

from src.data.folder import class_folders, scan, slug
from src.errors import UserError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("rock", "rock"),
        ("Viennese Waltz", "viennese_waltz"),
        ("  Paso-Doble (live) ", "paso_doble_live"),
        ("Tänze", "tänze"),
        (unicodedata.normalize("NFD", "Tänze"), "tänze"),
        ("ジャズ", "ジャズ"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("90s", "90s"),
        ("---", "_"),
    ],
)
def test_slug(name, label):
    assert slug(name) == label


def test_every_visible_folder_is_a_class(tmp_path):
    touch(tmp_path, "B/x.wav", "a a/x.wav", ".hidden/x.wav", "readme.txt")
    assert class_folders(tmp_path, None) == {"b": tmp_path / "B", "a_a": tmp_path / "a a"}


def test_a_folder_that_is_not_there_has_no_classes(tmp_path):
    assert class_folders(tmp_path / "none", None) == {}
    touch(tmp_path, "file")
    assert class_folders(tmp_path / "file", None) == {}


def test_aliases(tmp_path):
    touch(tmp_path, "Viennese-Waltz/x.wav", "WALTZ/x.wav", "other/x.wav")
    classes = {"waltz": [], "vwaltz": ["viennese waltz", "vw"]}
    assert class_folders(tmp_path, classes) == {"waltz": tmp_path / "WALTZ", "vwaltz": tmp_path / "Viennese-Waltz"}


def test_two_folders_of_one_class_are_refused(tmp_path):
    touch(tmp_path, "Hip Hop/x.wav", "hip_hop/x.wav")
    with pytest.raises(UserError, match=r"'Hip Hop' and 'hip_hop' both mean the class 'hip_hop'"):
        class_folders(tmp_path, None)
    with pytest.raises(UserError, match="both mean the class 'rap'"):
        class_folders(tmp_path, {"rap": ["hip hop"]})


def test_scan_finds_audio_at_any_depth_and_lists_the_rest(tmp_path):
    touch(
        tmp_path,
        "b.wav", "a.MP3", "disc 1/c.flac", "disc 1/deep/d.ogg", "cover.jpg", "disc 1/n.txt", ".ds.wav", ".git/e.wav",
    )  # fmt: skip
    clips, others = scan(tmp_path, "rock", None)
    assert [clip.id for clip in clips] == ["rock/a.MP3", "rock/b.wav", "rock/disc 1/c.flac", "rock/disc 1/deep/d.ogg"]
    assert [clip.name for clip in clips] == ["rock/a", "rock/b", "rock/disc 1/c", "rock/disc 1/deep/d"]
    assert {clip.label for clip in clips} == {"rock"}
    assert {clip.group for clip in clips} == {None}
    assert [path.name for path in others] == ["cover.jpg", "n.txt"]


def test_names_keep_every_dot_but_the_last(tmp_path):
    touch(tmp_path, "01. Intro (feat. X).wav", "v1.0.wav")
    assert [clip.name for clip in scan(tmp_path, "r", None)[0]] == ["r/01. Intro (feat. X)", "r/v1.0"]


def test_names_are_the_same_whichever_way_umlauts_are_written(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Händel") for form in ("NFC", "NFD"))
    touch(tmp_path / "one", f"{composed}.wav")
    touch(tmp_path / "two", f"{decomposed}.wav")
    names = [scan(tmp_path / folder, "r", None)[0][0].name for folder in ("one", "two")]
    assert names == ["r/" + composed] * 2


def test_links_are_followed_each_folder_once(tmp_path):
    touch(tmp_path / "elsewhere", "x.wav")
    touch(tmp_path / "class", "sub/y.wav")
    (tmp_path / "class" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "class" / "sub" / "loop").symlink_to(tmp_path / "class")
    (tmp_path / "class" / "z.wav").symlink_to(tmp_path / "elsewhere" / "x.wav")
    assert [clip.name for clip in scan(tmp_path / "class", "c", None)[0]] == ["c/linked/x", "c/sub/y", "c/z"]


def test_groups_come_from_the_pattern_on_class_folder_and_file(tmp_path):
    touch(tmp_path / "Rock", "song1_take1.wav", "song1_take2.wav", "cd/song2_take1.wav")
    clips, _ = scan(tmp_path / "Rock", "rock", r"^(.*)_take\d\.wav$")
    assert [clip.group for clip in clips] == ["Rock/cd/song2", "Rock/song1", "Rock/song1"]


def test_groups_are_the_same_whichever_way_umlauts_are_written(tmp_path):
    for form in ("NFC", "NFD"):
        touch(tmp_path / form / unicodedata.normalize(form, "Märsche"), unicodedata.normalize(form, "Händel_1.wav"))
    found = [scan(next((tmp_path / form).iterdir()), "m", "(Märsche/Händel)_")[0][0].group for form in ("NFC", "NFD")]
    assert found == ["Märsche/Händel"] * 2


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", r"'\(' is no regular expression with a first group \(missing"),
        ("song", r"'song' is no regular expression with a first group \(no such group"),
        ("(nothing)", r"does not match 'Rock/song1_take1.wav'; every clip needs a group"),
        ("song|(x)", r"does not match 'Rock/song1_take1.wav'; every clip needs a group"),
    ],
)
def test_patterns_that_name_no_group(tmp_path, pattern, reason):
    touch(tmp_path / "Rock", "song1_take1.wav")
    with pytest.raises(UserError, match=rf"dataset\.group_pattern: .*{reason}"):
        scan(tmp_path / "Rock", "rock", pattern)
