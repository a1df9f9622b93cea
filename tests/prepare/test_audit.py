import json
import logging
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from audit_sounds import RATE, dataset, note, write

from src.data.audio import Window
from src.data.split import Split, hash_part
from src.errors import UserError
from src.features.pipeline import ImageTransform
from src.features.preprocess import Preprocess
from src.prepare.audit import measurement, probes
from src.prepare.audit.audit import audit
from src.prepare.audit.figure import draw
from src.prepare.audit.report import Report, as_text
from src.spectrogram.asperes import Asperes

WHOLE = Window(0.0, None, None)
STRATIFIED = Split("stratified", 0, 10, 0)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    """Ten trees: what a forest is worth is tested with the probes."""
    monkeypatch.setitem(probes._FOREST, "n_estimators", 10)


def scattered(root: Path) -> Path:
    """20 notes in two classes, of which low lasts longer; two of each are a group."""
    for i in range(10):
        write(root / "low" / f"n{i // 2}_{i}.wav", note(110 + 7 * i, i, 0.8))
        write(root / "high" / f"n{i // 2}_{i}.wav", note(700 + 40 * i, i, 0.4))
    return root


def audited(root: Path, split: Split = STRATIFIED, pattern: str | None = None, **how: object) -> Report:
    return audit(dataset(root, pattern), WHOLE, split, cache=root.parent / "cache", workers=2, **how)


def refuse(*_: object) -> None:
    raise AssertionError("not to be called")


def test_a_clean_dataset(tmp_path):
    report = audited(scattered(tmp_path / "data"))
    assert [(one.label, one.clips, one.parts["test"]) for one in report.classes] == [("high", 10, 1), ("low", 10, 1)]
    assert (report.unreadable, report.exact, report.near, report.leaked, report.split_problem) == ({}, (), (), (), None)
    # Two test clips are too few for any warning: Wilson's interval of 2 in 2 begins at 0.34, below chance.
    assert report.warnings() == []
    assert "Findings\n  none" in as_text(report)


def test_copies_across_classes_and_split(tmp_path):
    root, split = scattered(tmp_path / "data"), Split("hash", 0, 10, 0)
    part = {f"t{i}": hash_part("made", f"low/t{i}") for i in range(60)}
    tested, trained = (next(name for name in part if part[name] == wanted) for wanted in ("test", "train"))
    sound = note(300, 50)
    write(root / "low" / f"{tested}.wav", sound)
    write(root / "low" / f"{trained}.mp3", sound / 4)
    (root / "high" / "same.wav").write_bytes((root / "low" / f"{tested}.wav").read_bytes())
    report = audited(root, split)
    assert [one.clips for one in report.exact] == [("high/same.wav", f"low/{tested}.wav")]
    assert [one.clips for one in report.near] == [("high/same.wav", f"low/{trained}.mp3")]
    (recording,) = report.recordings
    assert set(recording.clips) == {"high/same.wav", f"low/{tested}.wav", f"low/{trained}.mp3"}
    assert recording.across_classes
    leaked = [clip for clip in recording.clips if hash_part("made", clip.split(".")[0]) == "test"]
    assert list(report.leaked) == leaked
    assert f"low/{tested}.wav" in leaked
    found = "\n".join(report.warnings())
    assert "1 recordings occur under more than one class" in found
    assert "test clips have a copy outside the test part" in found
    text = as_text(report)
    assert "Copies: 1 recordings occur in 3 clips" in text
    assert "same bytes: " in text
    assert "across the split" in text


def test_groups_on_both_sides(tmp_path):
    root, pattern = scattered(tmp_path / "data"), "/(n[0-9])_"
    both = audited(root, STRATIFIED, pattern)
    # Each group has two notes in each class; one note of each class tests, so that its group is torn.
    assert 1 <= len(both.groups_on_both_sides) <= 2
    assert any("groups lie on both sides" in line for line in both.warnings())
    assert audited(root, Split("grouped", 0, 10, 0), pattern).groups_on_both_sides == ()


def test_unusable_files_are_listed(tmp_path):
    root = scattered(tmp_path / "data")
    (root / "low" / "text.wav").write_text("no audio at all")
    whole = (root / "low" / "n0_0.wav").read_bytes()
    (root / "low" / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (root / "high" / "cut_too.wav").write_bytes(whole[: len(whole) // 2])
    report = audited(root)
    assert sorted(report.unreadable) == ["high/cut_too.wav", "low/cut.wav", "low/text.wav"]
    for clip, message in report.unreadable.items():
        assert message.startswith(str(root / clip)), message
    assert "truncated" in report.unreadable["high/cut_too.wav"]
    assert {one.label: (one.clips, one.unreadable) for one in report.classes} == {"high": (11, 1), "low": (12, 2)}
    assert "3 files cannot be used" in report.warnings()
    assert "Files that cannot be used: 3" in as_text(report)


def test_nothing_usable_is_an_error(tmp_path):
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "x.wav").write_bytes(b"RIFF" + struct.pack("<I", 4) + b"WAVE")
    with pytest.raises(UserError, match=r"made: none of the 2 files in .* can be used:\n .*x\.wav"):
        audited(tmp_path / "data")


def test_a_split_that_cannot_be_made_is_a_finding(tmp_path):
    report = audited(scattered(tmp_path / "data"), Split("grouped", 0, 10, 0))
    assert report.split_problem is not None
    assert "have no groups" in report.split_problem
    assert report.warnings()[0].startswith("no split: split=grouped")
    assert (report.probes, report.groups_on_both_sides, report.classes[0].parts) == ((), (), {})
    assert "not available: no test clips" in as_text(report)
    draw(report, tmp_path / "picture.png")


def test_confounds_are_warned_of(tmp_path):
    for i in range(40):
        # 0.3 s, or 0.2: with a tenth of them, four of each class, testing, 8 of 8 is beyond doubt (from 0.68 on).
        write(tmp_path / "data" / "long" / f"{i}.wav", note(200 + 11 * i, i, 0.3))
        write(tmp_path / "data" / "short" / f"{i}.wav", note(200 + 11 * i, 100 + i, 0.2))
    report = audited(tmp_path / "data")
    (line,) = [line for line in report.warnings() if line.startswith("duration")]
    assert "gets 100.0% of 8 test clips, the best constant answer 50.0%" in line
    content = report.to_json()
    duration = next(probe for probe in content["probes"] if probe["name"] == "duration")
    assert duration["accuracy"] == 1
    assert duration["warning"] is True
    assert duration["chance"] == 0.5
    assert line in content["warnings"]


def test_json_holds_everything_and_no_nan(tmp_path):
    root = scattered(tmp_path / "data")
    write(root / "single" / "one.wav", note(500, 0))
    report = audited(root)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["dataset"] == "made"
    assert content["split"] == {"name": "stratified", "seed": 0}
    assert content["window"] == {"start": 0.0, "duration": None, "sample_rate": None}
    single = next(one for one in content["classes"] if one["label"] == "single")
    assert single["rms"]["std"] is None
    assert single["sample_rates"] == {str(RATE): 1}


def test_a_second_audit_decodes_nothing_that_it_knows(tmp_path, monkeypatch):
    root = scattered(tmp_path / "data")
    told = []
    first = audited(root, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 20) for i in range(1, 21)]
    monkeypatch.setattr(measurement, "decode", refuse)
    # The few pairs that only their samples tell apart are compared again.
    assert audited(root, progress=refuse).to_json() == first.to_json()
    write(root / "low" / "new.wav", note(333, 7))
    with pytest.raises(AssertionError, match="not to be called"):
        audited(root)


def test_what_an_interrupted_audit_decoded_is_kept(tmp_path):
    root = scattered(tmp_path / "data")

    def stop(done: int, _: int) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audited(root, progress=stop)
    told = []
    audited(root, progress=lambda done, total: told.append(total))
    assert max(told) <= 20 - 12


def test_another_window_is_measured_anew(tmp_path):
    made, cache = dataset(scattered(tmp_path / "data")), tmp_path / "cache"
    whole = audit(made, WHOLE, STRATIFIED, cache=cache, workers=2)
    part = audit(made, Window(0.1, 0.2, None), STRATIFIED, cache=cache, workers=2)
    assert whole.classes[0].duration.mean == pytest.approx(0.4)
    assert part.classes[0].duration.mean == pytest.approx(0.2)
    # Resampling happens after the facts: nothing is decoded for it.
    resampled = audit(made, Window(0.1, 0.2, 8000), STRATIFIED, cache=cache, workers=2, progress=refuse)
    assert resampled.classes == part.classes


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, caplog):
    root = scattered(tmp_path / "data")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder belongs")
    with caplog.at_level(logging.ERROR):
        report = audit(dataset(root), WHOLE, STRATIFIED, cache=blocked / "cache", workers=2)
    assert report.to_json() == audited(root).to_json()


def test_picture(tmp_path):
    from matplotlib.image import imread

    report = audited(scattered(tmp_path / "data"))
    draw(report, tmp_path / "picture.png")
    picture = imread(tmp_path / "picture.png")
    assert picture.shape[1] == 11 * 120  # inches times dots per inch
    assert 0.5 < np.mean(picture[..., :3].min(axis=2) > 0.95) < 0.99  # mostly white, not empty


def test_the_picture_of_many_classes_shows_the_quietest_and_the_loudest(tmp_path):
    from matplotlib.image import imread

    report = audited(scattered(tmp_path / "data"))
    draw(replace(report, classes=report.classes * 1000), tmp_path / "picture.png")
    assert imread(tmp_path / "picture.png").shape[0] <= 3000


def test_clips_of_which_too_little_is_drawn(tmp_path):
    root = scattered(tmp_path / "data")
    t = np.arange(96_000) / 96_000
    high, low = 0.5 * np.sin(2 * np.pi * 40_000 * t), note(200, 9)
    for i in range(2):
        write(root / "high" / f"bat{i}.wav", high * (1 - 0.1 * i), 96_000)
    write(root / "low" / "opposed.wav", np.stack([low, -low], axis=1), subtype="FLOAT")
    picture = Asperes(20.0, 20000.0, 12, 100, "full_scale", 0.1)
    image_transform = ImageTransform(WHOLE, "mean", Preprocess("normalized", [0.0]), picture)
    for _ in range(2):  # decoded, then from the cache
        report = audited(root, image_transform=image_transform)
        assert [one.rendered for one in report.classes] == [
            {"black": 2, "cut off": 2}, {"silent": 1, "lost in mono": 1},
        ]  # fmt: skip
        found = report.warnings()
        assert "1 clips are silent" in found
        for start in ("2 clips are nearly black", "2 clips are cut off", "1 clips are lost in mono"):
            assert any(line.startswith(start) for line in found)
        assert "class  silent  black  lost in mono  cut off" in as_text(report)
    other = audited(root, image_transform=replace(image_transform, mono="left"))
    assert [one.rendered for one in other.classes] == [{"black": 2, "cut off": 2}, {}]
    assert [one.rendered for one in audited(root).classes] == [{}, {}]
