"""Manifests: whole or not there, and nothing outside their folder."""

import json
from pathlib import Path

import pytest

from src.data import manifest
from src.errors import UserError


def test_what_was_written_is_read(tmp_path):
    entry = {"file": "rock/Ä b.flac", "label": "rock", "group": "song 1", "source": "a score", "licence": "CC BY 4.0"}
    manifest.write(
        tmp_path / "manifest.json", {"origin": "rendered", "clips": [entry, {"file": "pop/c.x.wav", "label": "pop"}]}
    )
    content = manifest.read(tmp_path)
    assert content is not None
    assert content["origin"] == "rendered"
    first, second = manifest.clips(tmp_path, content)
    assert (first.path, first.label, first.name) == (tmp_path / "rock/Ä b.flac", "rock", "rock/Ä b")
    assert (first.group, first.source, first.licence, first.id) == ("song 1", "a score", "CC BY 4.0", "rock/Ä b.flac")
    assert (second.name, second.group, second.source, second.licence) == ("pop/c.x", None, "", "")


def test_no_manifest_is_no_dataset(tmp_path):
    assert manifest.read(tmp_path) is None
    assert manifest.read(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "damaged"), ("\udcff", "damaged"), ("[]", "not a manifest"), ('{"clips": 3}', "not a manifest")],
)
def test_a_damaged_manifest_says_what_to_do(tmp_path, content, reason):
    (tmp_path / "manifest.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=rf"manifest\.json: {reason}.*; delete the folder and prepare"):
        manifest.read(tmp_path)


@pytest.mark.parametrize("file", ["../x.wav", "a/../../x.wav", "/etc/x.wav"])
def test_a_file_outside_the_folder_is_refused(tmp_path, file):
    with pytest.raises(UserError, match="lies outside the dataset"):
        manifest.clips(tmp_path, {"clips": [{"file": file, "label": "a"}]})


@pytest.mark.parametrize("entry", [{}, {"file": "a.wav"}, {"label": "a"}, "a.wav", None, {"file": 3, "label": "a"}])
def test_an_entry_without_file_or_label_is_shown(tmp_path, entry):
    with pytest.raises(UserError, match="without file or label"):
        manifest.clips(Path(tmp_path), json.loads(json.dumps({"clips": [entry]})))
