import hashlib
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from loopback import Answer

from src.data import published
from src.data.published import extended_ballroom
from src.data.published.extended_ballroom import Song, groups, read_songs
from src.errors import UserError

# Two classes of the thirteen, with the kinds of repetition that the publication's read-me names.
SONGS = {
    "Waltz": [("100601", ""), ("100602", '<version id="100603"/>'), ("100603", '<version id="100602"/>')],
    "Viennesewaltz": [("200101", '<exact id="100603"/>')],
}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def describe(sound) -> bytes:
    lines = ["<ballroom>"]
    for folder, songs in SONGS.items():
        lines.append(f"  <{folder}>")
        for number, inner in songs:
            title = quoteattr('Theme From "Papillon" & more')
            attributes = f'album="A" artist="M" bpm="87" id="{number}" title={title} hash="{md5(sound(int(number)))}"'
            lines.append(f"    <song {attributes}>{inner}</song>")
        lines.append(f"  </{folder}>")
    return "\n".join([*lines, "</ballroom>"]).encode()


@pytest.fixture
def ballroom(server, sound):
    """A server with the metadata and all clips; WAV behind the name of an MP3 is read as the audio that it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("extendedballroom_v1.1/extendedballroom_v1.1.xml", describe(sound))
        archive.writestr("extendedballroom_v1.1/readme.txt", "We do not provide audio files")
        archive.writestr("__MACOSX/extendedballroom_v1.1/._extendedballroom_v1.1.xml", "resource fork")
    server.put("/extendedballroom_v1.1.zip", Answer(file.getvalue()))
    for songs in SONGS.values():
        for number, _ in songs:
            server.put(f"/mp3/{number}.mp3", Answer(sound(int(number))))
    return server


def fetch(server, tmp_path: Path, **options: object) -> Path:
    addresses = {
        "extended_ballroom": f"{server.address}/extendedballroom_v1.1.zip",
        "extended_ballroom_clips": f"{server.address}/mp3",
    }
    return published.fetch(
        "ballroom", tmp_path / "downloads", tmp_path / "ballroom", addresses=addresses, retries=0, pause=0.0, **options
    )


def clips(out: Path) -> dict[str, dict]:
    return {clip["file"]: clip for clip in json.loads((out / "manifest.json").read_text())["clips"]}


def test_the_published_songs_become_a_dataset(ballroom, tmp_path, sound):
    steps = []
    out = fetch(ballroom, tmp_path, progress=lambda *step: steps.append(step))
    found = clips(out)
    assert list(found) == ["viennese_waltz/200101.mp3", "waltz/100601.mp3", "waltz/100602.mp3", "waltz/100603.mp3"]
    first = found["waltz/100601.mp3"]
    assert first["label"] == "waltz"
    assert first["group"] == "100601"
    assert first["source"] == f'{ballroom.address}/mp3/100601.mp3 (Theme From "Papillon" & more, M, A)'
    assert first["duration"] == pytest.approx(0.1)
    assert first["digest"] == hashlib.sha256(sound(100601)).hexdigest()
    manifest = json.loads((out / "manifest.json").read_text())
    assert "Marchand and Peeters 2016" in manifest["provenance"]
    assert hashlib.sha256(describe(sound)).hexdigest() in manifest["provenance"]
    assert "classes of 3, 1 clips where the paper has 529, 507," in manifest["provenance"]
    assert manifest["licence"].startswith("not stated")
    assert ("ballroom: clips", 4, 4) in steps


def test_repetitions_share_a_group_across_classes(ballroom, tmp_path):
    found = clips(fetch(ballroom, tmp_path))
    assert Counter(clip["group"] for clip in found.values()) == {"100601": 1, "100602": 3}


def test_clips_take_no_room_twice(ballroom, tmp_path):
    out = fetch(ballroom, tmp_path)
    assert (out / "waltz" / "100601.mp3").stat().st_nlink == 2


def test_the_second_call_asks_for_nothing(ballroom, tmp_path):
    out = fetch(ballroom, tmp_path)
    before = len(ballroom.requests)
    assert fetch(ballroom, tmp_path) == out
    assert len(ballroom.requests) == before


def test_a_lost_clip_is_fetched_again_alone(ballroom, tmp_path):
    out = fetch(ballroom, tmp_path)
    before = len(ballroom.requests)
    (out / "waltz" / "100601.mp3").unlink()
    (tmp_path / "downloads/extended_ballroom/clips/Waltz/100601.mp3").unlink()
    fetch(ballroom, tmp_path)
    assert [path for path, _, _ in ballroom.requests[before:]] == ["/mp3/100601.mp3"]
    assert (out / "waltz" / "100601.mp3").is_file()


def test_clips_that_are_gone_are_counted_and_may_be_brought_by_hand(ballroom, tmp_path, sound):
    ballroom.put("/mp3/100602.mp3", Answer(status=404))
    ballroom.put("/mp3/200101.mp3", Answer(b"another recording"))
    with pytest.raises(UserError, match=r"2 of 4 clips could not be had \(viennese_waltz 1, waltz 1\)") as raised:
        fetch(ballroom, tmp_path)
    assert "downloads/extended_ballroom, at any depth, named by their id" in str(raised.value)
    assert "allow_missing=true" in str(raised.value)
    assert not (tmp_path / "ballroom" / "manifest.json").exists()
    # Both ways of naming that are about: by id, and by class and id.
    mine = tmp_path / "downloads" / "extended_ballroom" / "mine"
    mine.mkdir()
    (mine / "100602.mp3").write_bytes(sound(100602))
    (mine / "Viennesewaltz.200101.mp3").write_bytes(sound(200101))
    assert len(clips(fetch(ballroom, tmp_path))) == 4


def test_a_clip_by_hand_with_other_content_is_not_taken(ballroom, tmp_path, sound):
    mine = tmp_path / "downloads" / "extended_ballroom" / "mine"
    mine.mkdir(parents=True)
    (mine / "100602.mp3").write_bytes(sound(1))
    out = fetch(ballroom, tmp_path)
    assert (out / "waltz" / "100602.mp3").read_bytes() == sound(100602)


def test_missing_clips_can_be_accepted_and_are_told(ballroom, tmp_path):
    ballroom.put("/mp3/100602.mp3", Answer(status=404))
    out = fetch(ballroom, tmp_path, allow_missing=True)
    assert len(clips(out)) == 3
    assert "classes of 2, 1 clips" in json.loads((out / "manifest.json").read_text())["provenance"]


def test_none_at_all_are_never_accepted(ballroom, tmp_path):
    for songs in SONGS.values():
        for number, _ in songs:
            ballroom.put(f"/mp3/{number}.mp3", Answer(status=404))
    with pytest.raises(UserError, match="4 of 4 clips could not be had"):
        fetch(ballroom, tmp_path, allow_missing=True)


def test_a_server_that_is_gone_is_not_asked_thousands_of_times(ballroom, tmp_path, monkeypatch):
    monkeypatch.setattr(extended_ballroom, "_HOPELESS", 1)
    monkeypatch.setattr(extended_ballroom, "_CONNECTIONS", 1)
    for songs in SONGS.values():
        for number, _ in songs:
            ballroom.put(f"/mp3/{number}.mp3", Answer(status=404))
    with pytest.raises(UserError, match="4 of 4 clips"):
        fetch(ballroom, tmp_path)
    assert [path for path, _, _ in ballroom.requests if path.startswith("/mp3")] == ["/mp3/100601.mp3"]


def test_metadata_brought_by_hand_need_no_server(ballroom, tmp_path, sound):
    ballroom.put("/extendedballroom_v1.1.zip", Answer(status=404))
    with pytest.raises(UserError, match=r"by hand from http://anasynth\.ircam\.fr.*extendedballroom_v1\.1\.zip"):
        fetch(ballroom, tmp_path)
    (tmp_path / "downloads" / "extended_ballroom" / "extendedballroom_v1.1.xml").write_bytes(describe(sound))
    assert len(clips(fetch(ballroom, tmp_path))) == 4


def test_an_archive_without_the_metadata_is_refused(server, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "moved")
    server.put("/extendedballroom_v1.1.zip", Answer(file.getvalue()))
    with pytest.raises(UserError, match="holds 0 XML files"):
        fetch(server, tmp_path)


def test_an_archive_that_is_none_is_refused(server, tmp_path):
    server.put("/extendedballroom_v1.1.zip", Answer(b"not found, but politely"))
    with pytest.raises(UserError, match="no zip or tar archive"):
        fetch(server, tmp_path)


def test_the_published_metadata_are_known_by_their_digest(tmp_path, sound):
    """From the published address, or by hand where no other was named, no other file is taken."""
    assert extended_ballroom.METADATA_SHA256 == "a28cdd10086f2872a6bf35dbb68935eed5c507d1ae008c74f0c99e47c8888d08"
    folder = tmp_path / "downloads" / "extended_ballroom"
    folder.mkdir(parents=True)
    (folder / "extendedballroom_v1.1.xml").write_bytes(describe(sound))
    with pytest.raises(UserError, match=r"extendedballroom_v1\.1\.xml: not the metadata .*a28cdd10"):
        published.fetch("ballroom", tmp_path / "downloads", tmp_path / "ballroom", retries=0, pause=0.0)


def test_metadata_of_an_address_that_was_named_are_told_to_be_others(ballroom, tmp_path):
    manifest = json.loads((fetch(ballroom, tmp_path) / "manifest.json").read_text())
    assert any("a28cdd10" in note for note in manifest["notes"])


def test_the_same_bytes_under_two_labels_are_noted(ballroom, tmp_path, sound):
    """As songs 105714 and 105715 of the published set."""
    ballroom.put("/mp3/200101.mp3", Answer(sound(100601)))
    digest, other = md5(sound(200101)).encode(), md5(sound(100601)).encode()
    folder = tmp_path / "downloads" / "extended_ballroom"
    folder.mkdir(parents=True)
    (folder / "extendedballroom_v1.1.xml").write_bytes(describe(sound).replace(digest, other))
    manifest = json.loads((fetch(ballroom, tmp_path) / "manifest.json").read_text())
    assert any("viennese_waltz/200101.mp3 = waltz/100601.mp3" in note for note in manifest["notes"])


def song(number: str, repeats: tuple[str, ...] = (), digest: str | None = None) -> Song:
    return Song(number, "Waltz", "waltz", digest or md5(number.encode()), "", repeats)


def test_groups_join_through_others_and_by_content():
    songs = [song("5"), song("4", ("9",)), song("3", ("4",)), song("2", digest="a" * 32), song("1", digest="a" * 32)]
    assert groups(songs) == {"5": "5", "4": "3", "3": "3", "2": "1", "1": "1"}
    # A link of one side only joins, whichever side has it, and the order does not matter.
    assert groups(songs[::-1]) == groups(songs)


def test_all_thirteen_classes_have_their_slug_and_the_sizes_add_up():
    published_names = (
        "Chacha Foxtrot Jive Pasodoble Quickstep Rumba Salsa Samba Slowwaltz Tango Viennesewaltz Waltz Wcswing"
    )
    assert [extended_ballroom.LABELS.get(name.lower()) for name in published_names.split()] == [
        *("chacha", "foxtrot", "jive", "pasodoble", "quickstep", "rumba", "salsa", "samba", "slowwaltz", "tango"),
        *("viennese_waltz", "waltz", "wcswing"),
    ]
    assert sum(extended_ballroom.CARDINALITIES) == 4180
    assert len(extended_ballroom.CARDINALITIES) == 13


GOOD = f'<song id="1" hash="{"0" * 32}"/>'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no element"),
        ("<html><body>moved</body></html>", "no songs"),
        ("<ballroom><Waltz></Waltz></ballroom>", "no songs"),
        (f"<ballroom><Polka>{GOOD}</Polka></ballroom>", "unknown class 'Polka'"),
        ('<ballroom><Waltz><song id="1"/></Waltz></ballroom>', "hash"),
        (f'<ballroom><Waltz><song id="../1" hash="{"0" * 32}"/></Waltz></ballroom>', "id '../1'"),
        ('<ballroom><Waltz><song id="1" hash="short"/></Waltz></ballroom>', "hash 'short'"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]><ballroom><Waltz>{GOOD}</Waltz></ballroom>', "defines entities"),
        (
            f'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><ballroom><Waltz>{GOOD}</Waltz></ballroom>',
            "defines entities",
        ),
    ],
)
def test_other_metadata_are_refused(tmp_path, text, why):
    path = tmp_path / "extendedballroom_v1.1.xml"
    path.write_text(text)
    with pytest.raises(UserError, match=why):
        read_songs(path)


def test_entities_cannot_hide_behind_an_encoding(tmp_path):
    path = tmp_path / "extendedballroom_v1.1.xml"
    head = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "b">]>'
    path.write_bytes(f"{head}<ballroom><Waltz>{GOOD}</Waltz></ballroom>".encode("utf-16"))
    with pytest.raises(UserError, match="not the metadata of Extended Ballroom"):
        read_songs(path)
