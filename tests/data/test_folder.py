"""Folders of classes: which files are clips, and what they are called."""

import os
import socket
import unicodedata

import pytest

from src.data.audio import EXTENSIONS
from src.data.folder import UNDECODED, class_folders, list_root, listing, notes, scan, slug
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
        ("\U0001f3b8", "guitar"),
        ("\U0001f3b8 Solo", "solo"),
        (os.fsdecode(b"M\xfasica"), "m_sica"),
    ],
)
def test_slug(name, label):
    assert slug(name) == label


def test_a_long_name_becomes_a_short_label_of_its_own():
    labels = [slug("ä" * 127 + last) for last in "ab"]
    assert labels[0] != labels[1]
    # MLflow takes 250 letters for "test/recall/" and the label
    assert all(len(label.encode()) <= 200 and label.startswith("ä" * 90) for label in labels)


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
    clips, found = scan(tmp_path, "rock", None)
    assert [clip.id for clip in clips] == ["rock/a.MP3", "rock/b.wav", "rock/disc 1/c.flac", "rock/disc 1/deep/d.ogg"]
    assert [clip.name for clip in clips] == ["rock/a", "rock/b", "rock/disc 1/c", "rock/disc 1/deep/d"]
    assert {clip.label for clip in clips} == {"rock"}
    assert {clip.group for clip in clips} == {None}
    assert [path.name for path in found.files if path not in found.audio] == ["cover.jpg", "n.txt"]
    assert sorted(path.name for path in found.ignored) == [".ds.wav", ".git"]


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
    clips, found = scan(tmp_path / "class", "c", None)
    assert [clip.name for clip in clips] == ["c/linked/x", "c/sub/y"]
    assert [path.name for path in found.repeated] == ["loop", "z.wav"]


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


@pytest.mark.parametrize("name", ["__MACOSX", ".git", "$RECYCLE.BIN", "@eaDir", "System Volume Information"])
def test_folders_of_a_system_are_no_class(tmp_path, name):
    touch(tmp_path, "a/x.wav", f"{name}/x.wav")
    found, rest = list_root(tmp_path, None)
    assert (list(found), [path.name for path in rest.ignored]) == (["a"], [name])


def test_files_of_a_system_are_no_clips_and_are_mentioned(tmp_path):
    touch(tmp_path, "x.wav", "._x.wav", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/y.wav", "sub/@eaDir/z.wav")
    clips, found = scan(tmp_path, "a", None)
    assert [clip.id for clip in clips] == ["a/x.wav"]
    minor, major = notes(found)
    assert len(minor) == 1
    assert "6 hidden" in minor[0]
    assert major == []


def test_audio_that_is_not_decoded_is_mentioned_with_the_way_out(tmp_path):
    touch(tmp_path, "x.wav", "1.m4a", "2.WMA", "sub/3.aac", "n.txt")
    _, found = scan(tmp_path, "a", None)
    minor, major = notes(found)
    assert len(minor) == len(major) == 1
    assert all(part in major[0] for part in ("3 audio files", "1.m4a", "ffmpeg -i in.m4a out.wav"))
    assert not set(UNDECODED) & set(EXTENSIONS)


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    touch(tmp_path, "data/a/x.wav", "data/a/sub/y.wav", "data/b/z.wav")
    a = tmp_path / "data" / "a"
    (a / "up").symlink_to("..")
    (a / "sub" / "here").symlink_to(".")
    (a / "sub" / "far_up").symlink_to(tmp_path)
    clips, found = scan(a, "a", None)
    assert [clip.name for clip in clips] == ["a/sub/y", "a/x"]
    assert {path.name for path in found.repeated} == {"up", "here", "far_up"}


def test_a_class_folder_that_is_a_link_and_leads_back_is_listed_once(tmp_path):
    touch(tmp_path, "elsewhere/x.wav", "data/b/z.wav")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    clips, found = scan(tmp_path / "data" / "a", "a", None)
    assert [clip.name for clip in clips] == ["a/x"]
    assert [path.name for path in found.repeated] == ["back"]


def test_a_link_beside_the_classes_to_what_holds_them_is_no_class(tmp_path):
    touch(tmp_path, "data/a/x.wav", "data/b/z.wav")
    for name, target in (("all", "."), ("up", ".."), ("c", "a/sub")):
        (tmp_path / "data" / name).symlink_to(target)
    (tmp_path / "data" / "a" / "sub").mkdir()
    found, rest = list_root(tmp_path / "data", None)
    assert list(found) == ["a", "b", "c"]
    assert [path.name for path in rest.repeated] == ["all", "up"]


def test_one_file_by_many_paths_is_one_clip_and_real_paths_come_first(tmp_path):
    touch(tmp_path, "z/real.wav", "z/other.wav")
    (tmp_path / "a.wav").symlink_to("z/real.wav")
    (tmp_path / "b").symlink_to("z")
    os.link(tmp_path / "z" / "other.wav", tmp_path / "hard.wav")
    clips, found = scan(tmp_path, "c", None)
    assert [clip.name for clip in clips] == ["c/hard", "c/z/real"]
    assert {path.name for path in found.repeated} == {"a.wav", "b", "other.wav"}


def test_copies_are_clips_of_their_own(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    assert len(scan(tmp_path, "c", None)[0]) == 2


def test_links_that_lead_nowhere(tmp_path):
    touch(tmp_path, "a.wav")
    for name in ("gone.wav", "cover.jpg", "disk"):
        (tmp_path / name).symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    clips, found = scan(tmp_path, "c", None)
    assert [clip.name for clip in clips] == ["c/a", "c/gone"]  # which fails when it is read
    assert {path.name for path in found.unreadable} == {"disk", "loop"}  # either may have been a folder of clips
    assert "nowhere" in found.unreadable[tmp_path / "disk"]


def test_a_folder_named_like_a_file_is_a_folder(tmp_path):
    touch(tmp_path, "x.wav/y.wav")
    assert [clip.id for clip in scan(tmp_path, "c", None)[0]] == ["c/x.wav/y.wav"]


def test_what_is_no_regular_file_is_listed_to_be_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.wav"))
        clips, found = scan(tmp_path, "c", None)
    assert [clip.name for clip in clips] == ["c/pipe", "c/s", "c/zero"]
    assert not found.real


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, ordinary_user):
    touch(tmp_path, "a.wav", "sub/b.wav", "deep/er/c.wav")
    (tmp_path / "sub").chmod(0)
    (tmp_path / "deep").chmod(0o444)  # its names can be read, but nothing in it can be opened
    try:
        with ordinary_user(tmp_path):
            found = listing(tmp_path)
    finally:
        for name in ("sub", "deep"):
            (tmp_path / name).chmod(0o755)
    assert {path.name for path in found.unreadable} == {"sub", "er"}
    assert set(found.unreadable.values()) == {"Permission denied"}
    assert [path.name for path in found.audio] == ["a.wav"]


def test_names_are_text_that_can_be_stored_whatever_bytes_they_are(tmp_path):
    names = {b"M\xfasica.wav": "M\\xfasica", b"a\nb.wav": "a\\nb", "\U0001f3b8.wav".encode(): "\U0001f3b8"}
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(b"x")
    clips, _ = scan(tmp_path, "c", r"/(.)[^/]*$")
    assert {(os.fsencode(clip.path.name), clip.name) for clip in clips} == {(b, f"c/{t}") for b, t in names.items()}
    assert {clip.group for clip in clips} == {"M", "a", "\U0001f3b8"}
    for clip in clips:
        assert clip.id.encode().decode() == clip.name + ".wav"
