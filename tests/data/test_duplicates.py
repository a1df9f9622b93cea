"""Files with the same bytes: grouped, marked and noted, whichever dataset they are in."""

from dataclasses import replace
from pathlib import Path

import pytest

from src.data.clip import Clip, Dataset
from src.data.duplicates import connected, merged_groups
from src.data.split import Split
from src.errors import UserError
from src.features.digests import read_digests


def made(folder: Path, contents: dict[str, bytes], groups: dict[str, str] | None = None) -> Dataset:
    """A dataset of files `label/name`, sorted as datasets are."""
    clips = []
    for name, content in sorted(contents.items()):
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        clips.append(Clip(path, name.split("/")[0], name, (groups or {}).get(name)))
    classes = tuple(sorted({clip.label for clip in clips}))
    return Dataset("toy", "toy", folder, classes, tuple(clips), "recorded", "made up", ("first note",))


def read(dataset: Dataset, folder: Path) -> Dataset:
    return read_digests(dataset, cache=folder / "cache", workers=2).dataset


def test_keys_are_connected_through_others():
    links = [("e", "d"), ("b", "c"), ("c", "d"), ("f",)]
    assert connected(links) == {"b": "b", "c": "b", "d": "b", "e": "b", "f": "f"}
    assert connected(links[::-1]) == connected(links)


@pytest.mark.parametrize(
    ("groups", "digests", "expected"),
    [
        ([None, None, None], ["x", "y", "z"], [None, None, None]),
        ([None, None, None], ["x", "y", "x"], ["same bytes as n0", None, "same bytes as n0"]),
        ([None, None, None], [None, None, None], [None, None, None]),  # unreadable files are not alike
        (["g", "h", "k"], ["x", "y", "x"], ["g", "h", "g"]),
        (["k", "k", "g"], ["x", "y", "x"], ["g", "g", "g"]),  # the second clip through the group of the first
        ([None, "h", None], ["x", "x", "z"], ["h", "h", None]),
    ],
)
def test_groups_of_the_same_bytes_are_one(groups, digests, expected):
    assert merged_groups(["n0", "n1", "n2"], groups, digests) == expected


def test_a_dataset_without_duplicates_stays_as_it_is(tmp_path):
    dataset = made(tmp_path, {"a/1": b"1", "b/1": b"2"})
    assert read(dataset, tmp_path) == dataset


def test_duplicates_in_a_folder_become_a_group(tmp_path):
    dataset = made(tmp_path, {"a/1": b"same", "a/2": b"other", "a/3": b"same", "b/1": b"third"})
    found = read(dataset, tmp_path)
    assert [clip.group for clip in found.clips] == ["same bytes as a/1", None, "same bytes as a/1", None]
    assert [clip.original for clip in found.clips] == ["a/1", None, "a/1", None]
    assert found.notes[0] == "first note"
    assert "2 clips" in found.notes[1]
    assert len(found.notes) == 2


def test_the_same_bytes_under_two_labels_are_named(tmp_path):
    found = read(made(tmp_path, {"a/1": b"same", "b/9": b"same", "b/2": b"other"}), tmp_path)
    assert "a/1.wav = b/9.wav" in found.notes[-1]
    assert "b/2" not in found.notes[-1]


@pytest.mark.parametrize("rule", ["stratified", "kfold", "grouped"])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_bytes_are_on_one_side(tmp_path, rule, seed):
    contents = {f"{label}/{i:02d}": f"{label}{i // 2}".encode() for label in "ab" for i in range(40)}
    names = {name: f"{name[:3]}{'x' if int(name[2:]) < 20 else 'y'}" for name in contents}
    dataset = read(made(tmp_path, contents, names if rule == "grouped" else None), tmp_path)
    parts = Split(rule, seed, 10, 0).parts(dataset)
    sides: dict[str, set[str]] = {}
    for clip, part in zip(dataset.clips, parts, strict=True):
        sides.setdefault(contents[clip.name].decode(), set()).add(part)
    assert all(len(found) == 1 for found in sides.values())
    assert {part for found in sides.values() for part in found} == {"train", "validation", "test"}


def test_duplicates_alone_are_no_groups_to_split_by(tmp_path):
    dataset = read(made(tmp_path, {f"{label}/{i}": b"same" for label in "ab" for i in range(4)}), tmp_path)
    with pytest.raises(UserError, match="have no groups"):
        Split("grouped", 0, 10, 0).parts(dataset)
    known = tuple(replace(clip, group=f"{clip.label}{i % 3}") for i, clip in enumerate(dataset.clips))
    assert set(Split("grouped", 0, 3, 0).parts(replace(dataset, clips=known))) >= {"train"}
