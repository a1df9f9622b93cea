import json
import logging
import os
from pathlib import Path

import pytest

from src.data import manifest, published
from src.data.published import source
from src.data.published.source import Collection, Piece, assemble, is_ready
from src.errors import UserError


@pytest.fixture
def collection(tmp_path, sound) -> Collection:
    pieces = []
    for number, label in enumerate(["tango", "waltz", "waltz"]):
        path = tmp_path / "downloads" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound(number))
        pieces.append(Piece(path, label, path.name, f"song {number}", "address"))
    (tmp_path / "temporary").mkdir()
    return Collection("made for a test", "public domain", pieces, (tmp_path / "temporary",))


def test_the_names_are_those_of_the_datasets():
    assert published.NAMES == (
        "ballroom",
        "nsynth_family",
        "nsynth_instrument",
        "nsynth_organ",
        "gtzan",
        "ballroom_original",
        "irmas",
        "tinysol",
        "medley_solos_db",
    )


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(UserError, match=r"'ballrom': no published dataset.*known are ballroom, nsynth_family"):
        published.fetch("ballrom", tmp_path / "downloads", tmp_path / "out")


def test_an_unknown_address_lists_the_known(tmp_path):
    with pytest.raises(
        UserError, match="unknown ballroom; known are extended_ballroom, extended_ballroom_clips, nsynth, gtzan"
    ):
        published.fetch("ballroom", tmp_path / "downloads", tmp_path / "out", addresses={"ballroom": "http://x"})


def test_a_file_in_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "downloads").write_text("")
    with pytest.raises(UserError, match="downloads: cannot be made a folder"):
        published.fetch("ballroom", tmp_path / "downloads", tmp_path / "out")


def test_what_is_assembled_is_ready_and_reads_as_clips(tmp_path, out, collection):
    assemble("dances", out, collection, None)
    assert is_ready("dances", out)
    clips = manifest.clips(out, manifest.read(out))
    assert [(clip.label, clip.name, clip.group) for clip in clips] == [
        ("tango", "tango/0", "song 0"),
        ("waltz", "waltz/1", "song 1"),
        ("waltz", "waltz/2", "song 2"),
    ]
    assert all(clip.path.is_file() and clip.licence == "public domain" for clip in clips)
    assert not (tmp_path / "temporary").exists()


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_interrupted_it_is_not_ready_and_goes_on(out, collection):
    def stop(what: str, done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assemble("dances", out, collection, stop)
    assert not is_ready("dances", out)
    assemble("dances", out, collection, None)
    assert is_ready("dances", out)


def test_a_lost_clip_makes_it_unready(out, collection):
    assemble("dances", out, collection, None)
    (out / "waltz" / "1.wav").unlink()
    assert not is_ready("dances", out)


def test_the_manifest_goes_before_clips_change(out, collection, monkeypatch):
    assemble("dances", out, collection, None)
    (out / "waltz" / "1.wav").unlink()

    def fail(path: Path, target: Path, digest: str) -> None:
        assert not (out / manifest.NAME).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "_place", fail)
    with pytest.raises(KeyboardInterrupt):
        assemble("dances", out, collection, None)


def test_another_dataset_is_not_overwritten(out, collection):
    assemble("dances", out, collection, None)
    with pytest.raises(UserError, match="holds the dataset 'dances', not 'ballroom'"):
        published.fetch("ballroom", out.parent / "downloads", out)


def test_other_files_in_the_folder_are_not_mixed_in(out, collection):
    (out / "waltz").mkdir()
    (out / "waltz" / "mine.wav").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds 1 files that are not of this dataset, such as .*mine\.wav"):
        assemble("dances", out, collection, None)


def test_a_clip_of_the_same_name_is_not_overwritten(out, collection):
    (out / "waltz").mkdir()
    (out / "waltz" / "1.wav").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"1\.wav: is there with other content"):
        assemble("dances", out, collection, None)
    assert (out / "waltz" / "1.wav").read_bytes() == b"mine"


def test_without_hard_links_the_clips_are_copied(out, collection, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assemble("dances", out, collection, None)
    assert is_ready("dances", out)
    assert (out / "waltz" / "1.wav").stat().st_nlink == 1
    assert {path.name for path in (out / "waltz").iterdir()} == {"1.wav", "2.wav"}


def test_what_is_no_audio_is_named(out, collection):
    collection.pieces[1].path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"1\.wav: not readable as audio"):
        assemble("dances", out, collection, None)
    assert not (out / manifest.NAME).exists()


def test_the_manifest_is_plain_json(out, collection):
    assemble("dances", out, collection, None)
    content = json.loads((out / manifest.NAME).read_text(encoding="utf-8"))
    assert set(content) == {"dataset", "origin", "provenance", "licence", "clips"}
    assert set(content["clips"][0]) == {"file", "label", "group", "source", "licence", "duration", "digest"}


def test_sizes_are_compared_with_the_paper(collection, caplog):
    assert source.against_table(collection.pieces, (1, 2)) == ""
    with caplog.at_level(logging.WARNING):
        note = source.against_table(collection.pieces, (3, 2))
    assert note == "; classes of 2, 1 clips where the paper has 3, 2"
    assert "classes of 2, 1 clips where the paper has 3, 2" in caplog.text
