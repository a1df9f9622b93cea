"""Sets that are one archive with a folder for each class: GTZAN and the original Ballroom."""

import hashlib
import io
import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import Answer

from src.data import published
from src.data.published import archive
from src.errors import UserError
from src.prepare.dataset import make_ready

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
DANCES = (
    "ChaChaCha", "Jive", "Quickstep", "Rumba-American", "Rumba-International", "Rumba-Misc", "Samba", "Tango",
    "VienneseWaltz", "Waltz",
)  # fmt: skip


def packed(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def miniature(server, monkeypatch, sound):
    """`miniature(name, files)`: puts an archive on the server in place of the published one; its address."""

    def put(name: str, files: dict[str, bytes], *answers: Answer) -> str:
        body = packed(files)
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
        monkeypatch.setattr(archive, "ARCHIVES", archive.ARCHIVES | {name: replace(archive.ARCHIVES[name], md5=digest)})
        return server.put(f"/{name}.tar.gz", *(answers or (Answer(body),)))

    return put


def gtzan(sound) -> dict[str, bytes]:
    """Two clips a genre, laid out as the published archive, with what else lies in it."""
    clips = {
        f"genres/{genre}/{genre}.{i:05d}.wav": sound(10 * number + i)
        for number, genre in enumerate(GENRES)
        for i in (0, 1)
    }
    return {**clips, "genres/bextract_single.mf": b"a list", "genres/blues/._blues.00000.wav": b"resource fork"}


def ballroom(sound) -> dict[str, bytes]:
    clips = {f"BallroomData/{dance}/Media-10{number:02d}01.wav": sound(number) for number, dance in enumerate(DANCES)}
    return {
        **clips,
        "BallroomData/Rumba-Misc/Albums-Latin_Jam-06.wav": sound(99),
        "BallroomData/Rumba-Misc/Albums-Latin_Jam-15.wav": sound(99),
        "BallroomData/Samba/Albums-Latin_Jam-07.wav": sound(6),  # that of Media-100601
        "BallroomData/Jive/Albums-Fire-14.wav": sound(0),  # that of a cha-cha-cha
        "BallroomData/allBallroomFiles": b"./ChaChaCha/Media-100001.wav",
    }


def fetch(name: str, address: object, tmp_path: Path) -> dict:
    out = published.fetch(
        name, tmp_path / "downloads", tmp_path / name, addresses={name: address}, retries=0, pause=0.0
    )
    return json.loads((out / "manifest.json").read_text())


def test_gtzan_has_ten_genres(miniature, tmp_path, sound):
    manifest = fetch("gtzan", miniature("gtzan", gtzan(sound)), tmp_path)
    assert Counter(clip["label"] for clip in manifest["clips"]) == dict.fromkeys(
        ("blues", "classical", "country", "disco", "hip_hop", "jazz", "metal", "pop", "reggae", "rock"), 2
    )
    first = manifest["clips"][0]
    assert first["file"] == "blues/blues.00000.wav"
    assert first["group"] is None
    assert first["digest"] == hashlib.sha256(sound(0)).hexdigest()
    assert "Tzanetakis and Cook 2002" in manifest["provenance"]
    assert (
        f"{', '.join(['2'] * 10)} clips where its publication has {', '.join(['100'] * 10)}" in manifest["provenance"]
    )
    assert any("Sturm 2013" in note for note in manifest["notes"])


def test_gtzan_comes_from_the_copy_that_is_served_and_is_checked_against_the_original():
    address = published.ADDRESSES["gtzan"][0]
    assert address == "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz"
    assert archive.ARCHIVES["gtzan"].md5 == "5b3d6dddb579ab49814ab86dba69e7c7"  # as mirdata 1.0 states it


def test_the_original_ballroom_has_eight_dances(miniature, tmp_path, sound):
    manifest = fetch("ballroom_original", miniature("ballroom_original", ballroom(sound)), tmp_path)
    counts = Counter(clip["label"] for clip in manifest["clips"])
    assert counts == {
        "chacha": 1, "jive": 2, "quickstep": 1, "rumba": 5, "samba": 2, "tango": 1, "viennese_waltz": 1, "waltz": 1,
    }  # fmt: skip
    assert "Gouyon et al. 2006" in manifest["provenance"]
    assert archive.ARCHIVES["ballroom_original"].address == (
        "https://mtg.upf.edu/ismir2004/contest/tempoContest/data1.tar.gz"
    )
    assert sum(archive.ARCHIVES["ballroom_original"].sizes) == 698
    assert sum(archive.ARCHIVES["gtzan"].sizes) == 1000


def test_repeated_recordings_share_a_group_and_two_labels_are_noted(miniature, tmp_path, sound):
    manifest = fetch("ballroom_original", miniature("ballroom_original", ballroom(sound)), tmp_path)
    groups = {clip["file"]: clip["group"] for clip in manifest["clips"]}
    assert groups["rumba/Albums-Latin_Jam-06.wav"] == groups["rumba/Albums-Latin_Jam-15.wav"] is not None
    assert groups["samba/Albums-Latin_Jam-07.wav"] == groups["samba/Media-100601.wav"] is not None
    assert groups["jive/Albums-Fire-14.wav"] == groups["chacha/Media-100001.wav"] is not None
    assert sum(group is not None for group in groups.values()) == 6
    assert any("chacha/Media-100001.wav = jive/Albums-Fire-14.wav" in note for note in manifest["notes"])
    assert any("Latin_Jam-06" in note for note in manifest["notes"])


@pytest.mark.parametrize("name", ["gtzan", "ballroom_original"])
def test_an_archive_that_is_gone_can_be_brought_by_hand(miniature, server, tmp_path, sound, name):
    files = gtzan(sound) if name == "gtzan" else ballroom(sound)
    address = miniature(name, files, Answer(status=404))
    file = archive.ARCHIVES[name].address.rpartition("/")[2]
    with pytest.raises(UserError, match=rf"download {file} by hand from https://.*put it at .*downloads/{name}/{file}"):
        fetch(name, address, tmp_path)
    (tmp_path / "downloads" / name / file).write_bytes(packed(files))
    before = len(server.requests)
    assert fetch(name, address, tmp_path)["clips"]
    assert len(server.requests) == before


@pytest.mark.parametrize("name", ["gtzan", "ballroom_original"])
def test_preparing_a_set_that_has_no_stand_in_fails_with_what_to_do(bench, server, monkeypatch, name):
    monkeypatch.setattr(published, "ADDRESSES", {**published.ADDRESSES, name: (f"{server.address}/gone",)})
    words = [word for word in bench.overrides(f"dataset={name}") if not word.startswith("trainer")]
    with pytest.raises(UserError, match="by hand from https://"):
        make_ready(bench.compose(words, "prepare"))
    with pytest.raises(UserError, match=f"python -m src.prepare dataset={name}"):
        bench.run(f"dataset={name}")


def test_another_archive_than_the_published_is_refused(server, tmp_path, sound):
    address = server.put("/genres.tar.gz", Answer(packed(gtzan(sound))))
    with pytest.raises(UserError, match=r"md5 is .*, the published one 5b3d6dddb579ab49814ab86dba69e7c7"):
        fetch("gtzan", address, tmp_path)
    assert not (tmp_path / "gtzan" / "manifest.json").exists()


def test_an_archive_without_a_class_is_refused(miniature, tmp_path, sound):
    files = {name: content for name, content in gtzan(sound).items() if "/jazz/" not in name}
    with pytest.raises(UserError, match="no clips of jazz"):
        fetch("gtzan", miniature("gtzan", files), tmp_path)


def test_what_was_unpacked_is_not_kept_twice(miniature, tmp_path, sound):
    fetch("gtzan", miniature("gtzan", gtzan(sound)), tmp_path)
    assert [path.name for path in (tmp_path / "downloads" / "gtzan").iterdir()] == ["genres.tar.gz"]
