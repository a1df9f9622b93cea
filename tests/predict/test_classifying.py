"""New audio through a finished run: the stored answers again, other files' own, and what cannot be read."""

import csv
import io
import json
import os
import shlex
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from running import command, environment

from src.errors import UserError
from src.predict.classify import predict


@pytest.fixture
def sounds(bench, write_clips):
    """Overrides for a folder whose clips are seconds 0.2 to 0.4 of files of 0.7 s."""
    write_clips(bench.folder / "sounds", ["high", "low"], 10, seconds=0.7)
    words = ["dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'", "dataset.start=0.2"]
    return [*words, "dataset.duration=0.2", "preprocess=normalized"]


@pytest.fixture
def said(bench, compose, capsys):
    """`said(words)`: what `python -m src.predict words` writes to standard output, for the bench's runs."""

    def act(*words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        runs = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment='{bench.experiment}'", "workers=2"]
        predict(compose([*places, *runs, "progress=false", *words], "predict"))
        return capsys.readouterr().out

    return act


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("words", [["head=linear"], ["backbone=marsyas", "head=random_forest"]])
def test_a_stored_clip_has_its_stored_prediction_first(bench, sounds, said, words):
    outcome = bench.run(*sounds, *words)
    stored = rows(bench.store().artifact(outcome.run_id, "predictions.csv").decode())
    found = rows(said(f"run={outcome.run_id}", f"audio='{bench.folder / 'sounds'}'", "output=csv"))
    root = str(bench.folder / "sounds") + "/"
    first = {row["file"].removeprefix(root): row for row in reversed(found)}
    assert first.keys() == {row["clip"] for row in stored}
    for row in stored:
        again = first[row["clip"]]
        assert (again["start"], again["end"], again["part"]) == ("0.200", "0.400", "window")
        assert again["label"] == row["predicted"]
        assert [again[key] for key in ("p_high", "p_low")] == [row[key] for key in ("p_high", "p_low")]
    assert len(found) == 20 * 4  # 0.2 to 0.4, to 0.6, to 0.7 (half a window), and the mean


def test_another_file_begins_at_its_beginning(bench, sounds, said, tmp_path):
    outcome = bench.run(*sounds)
    file = tmp_path / "new.wav"
    shutil.copy(bench.folder / "sounds" / "low" / "00.wav", file)
    [found] = json.loads(said("run=best", f"audio='{file}'", "output=json"))
    assert [one["start"] for one in found["windows"]] == [0, 0.2, 0.4, 0.6]
    assert found["label"] == "low"
    mean = np.mean([[one["probabilities"][c] for c in ("high", "low")] for one in found["windows"]], axis=0)
    # the mean is rounded to float32 once: half a unit in its last place, relative to 1
    assert list(found["probabilities"].values()) == pytest.approx(mean, abs=2**-24)
    own = json.loads(said("run=best", f"audio='{file}'", "output=json", "start=0.2", "window=0.2"))
    [stored] = [
        row
        for row in rows(bench.store().artifact(outcome.run_id, "predictions.csv").decode())
        if row["clip"] == "low/00.wav"
    ]
    assert str(own[0]["windows"][0]["probabilities"]["low"]) == stored["p_low"]


def test_files_that_cannot_be_read_are_named_and_the_others_done(bench, sounds, said, tmp_path, caplog, tone):
    bench.run(*sounds)
    folder = tmp_path / "new" / "below"
    folder.mkdir(parents=True)
    shutil.copy(bench.folder / "sounds" / "low" / "00.wav", folder / "good.wav")
    (folder / "bad.wav").write_bytes(b"RIFF nothing")
    (folder / "empty.flac").touch()
    (folder / "notes.txt").write_text("no audio, and not asked for")
    soundfile.write(folder / "silent.wav", np.zeros(1600), 8000)
    soundfile.write(folder / "opposed.wav", tone(seconds=0.2) * [1, -1], 8000, subtype="FLOAT")
    os.mkfifo(folder / "pipe.wav")
    (folder / "other.m4a").write_bytes(b"x")
    (folder / "up").symlink_to("..")
    out = tmp_path / "made" / "out.csv"
    with pytest.raises(UserError, match="3 of 6 files could not be used; see above"):
        said("run=best", f"audio='{folder.parent}'", f"out='{out}'")
    assert [row["file"] for row in rows(out.read_text()) if row["part"] == "file"] == [
        str(folder / "good.wav"), str(folder / "opposed.wav"), str(folder / "silent.wav"),
    ]  # fmt: skip
    told = [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "WARNING")]
    assert sum("bad.wav: not readable as audio" in text for text in told) == 1
    assert sum("empty.flac: an empty file" in text for text in told) == 1
    assert sum("2 files are silent" in text for text in told) == 1
    assert sum("1 files are lost in mono" in text and "opposed.wav" in text for text in told) == 1
    assert sum("pipe.wav: " in text and "a FIFO" in text for text in told) == 1
    assert sum("1 audio files" in text and "other.m4a" in text for text in told) == 1
    assert sum("1 links" in text for text in told) == 1


def test_a_table_for_a_person(bench, sounds, said):
    bench.run(*sounds)
    lines = said("run=best", f"audio='{bench.folder / 'sounds' / 'high' / '03.wav'}'").splitlines()
    assert lines[0].split() == ["label", "high", "low", "seconds", "file"]
    assert len(lines) == 5
    assert "(mean of 3 windows)" in lines[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["audio=nowhere"], "audio=nowhere: no such file or folder"),
        (["audio=/dev/null"], "audio=/dev/null: a character device"),
        (["audio='{folder}/empty'"], "no audio files in it; expected .wav"),
        (["audio='{folder}/sounds'", "output=xml"], "output=xml: expected table, csv, json"),
        (["audio='{folder}/sounds'", "window=long"], "window=long: expected seconds"),
        (["audio='{folder}/sounds'", "hop=0"], "hop=0: expected seconds"),
        (["audio='{folder}/sounds'", "threshold=2"], "threshold=2: expected a number"),
        (["audio='{folder}/sounds'", "threshold=0.5", "error=0.1"], "give one of them"),
        (["audio='{folder}/sounds'", "output=raven"], "give out=FOLDER"),
        (["audio='{folder}/sounds'", "resume=true"], "resume=true: give out"),
        (["audio='{folder}/sounds'", "start=-1"], "start=-1"),
        (["audio='{folder}/sounds'", "out='{folder}/sounds'"], "sounds: cannot be written"),
    ],
    ids=[
        "nowhere",
        "device",
        "empty",
        "format",
        "window",
        "hop",
        "threshold",
        "both",
        "folder",
        "resume",
        "start",
        "out",
    ],
)
def test_mistakes_are_told(bench, sounds, said, words, told):
    bench.run(*sounds)
    (bench.folder / "empty").mkdir()
    with pytest.raises(UserError, match=told):
        said("run=best", *(word.format(folder=bench.folder) for word in words))


def test_windows_overlap_where_they_are_asked_to(bench, sounds, said):
    bench.run(*sounds)
    file = bench.folder / "sounds" / "low" / "00.wav"
    apart, over = (
        json.loads(said("run=best", f"audio='{file}'", "output=json", "start=0", "window=0.2", *words))[0]["windows"]
        for words in ((), ("hop=0.1",))
    )
    assert [one["start"] for one in over] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert [one for one in over if one["start"] in (0, 0.2, 0.4, 0.6)] == apart


def test_a_label_track_for_each_recording(bench, sounds, said, tmp_path):
    bench.run(*sounds)
    folder, out = bench.folder / "sounds", tmp_path / "labels"
    words = ("run=best", f"audio='{folder}'", f"out='{out}'", "output=audacity", "start=0", "window=0.2")
    said(*words, "merge=true")
    assert len(list(out.rglob("*.wav.txt"))) == 20
    lines = [line.split("\t") for line in (out / "low" / "00.wav.txt").read_text().splitlines()]
    assert lines[0][0] == "0.000000"
    assert lines[-1][1] == "0.700000"
    assert {label for *_, label in lines} <= {"high", "low"}
    (out / "low" / "00.wav.txt").unlink()
    (out / "low" / "01.wav.txt").write_text("kept")
    said(*words, "merge=true", "resume=true")
    assert (out / "low" / "00.wav.txt").read_text().splitlines()[0].split("\t") == lines[0]
    assert (out / "low" / "01.wav.txt").read_text() == "kept"
    with pytest.raises(UserError, match=r"predictions\.json does not say that the same run and options"):
        said(*words, "resume=true")


def test_an_interrupted_table_is_gone_on_with(bench, sounds, said, tmp_path, caplog):
    bench.run(*sounds)
    out = tmp_path / "out.csv"
    words = ("run=best", f"audio='{bench.folder / 'sounds'}'", f"out='{out}'")
    said(*words)
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])  # within a row
    caplog.set_level("INFO")
    said(*words, "resume=true")
    assert out.read_bytes() == whole
    assert any("of 20 files are there already" in record.getMessage() for record in caplog.records)


def test_confidence_by_the_validation_clips(bench, sounds, said, caplog):
    bench.run(*sounds, "head.learning_rate=1")
    caplog.set_level("INFO")
    words = ("run=best", f"audio='{bench.folder / 'sounds'}'", "output=csv")
    (sure, calibrated) = (
        [row for row in rows(said(*words, *more)) if row["part"] == "window"]
        for more in ((), ("calibrate=true", "coverage=0.5", "threshold=0.5"))
    )
    assert [row["label"] for row in sure] == [row["label"] for row in calibrated]
    assert [row["p_high"] for row in sure] != [row["p_high"] for row in calibrated]
    assert all(set(row["set"].split("|")) <= {"high", "low", ""} for row in calibrated)
    assert any("validation clips: temperature" in record.getMessage() for record in caplog.records)
    with pytest.raises(UserError, match="coverage="):
        said(*words, "coverage=0.99")


def test_what_resembles_no_training_clip_is_unknown(bench, sounds, said, tmp_path):
    bench.run(*sounds)
    clip, out = tmp_path / "00.wav", tmp_path / "out.csv"
    shutil.copy(bench.folder / "sounds" / "low" / "00.wav", clip)
    options = ("run=best", "window=0.2", "novelty=0.5", f"out='{out}'")
    said(*options, f"audio='{bench.folder / 'sounds'}'")
    farthest = json.loads(out.with_name("out.csv.json").read_text())["farthest"]
    found = [row for row in rows(out.read_text()) if abs(float(row["distance"]) - farthest) > 1e-4]  # their rounding
    assert {row["label"] == "unknown" for row in found} == {True, False}
    assert all((row["label"] == "unknown") == (float(row["distance"]) > farthest) for row in found)
    said(*options, f"audio='{clip}'")
    here = rows(out.read_text())
    shutil.move(bench.folder / "sounds", tmp_path / "elsewhere")
    moved = f"root='{tmp_path / 'elsewhere'}'"
    said(*options, f"audio='{clip}'", moved)
    assert rows(out.read_text()) == here
    (tmp_path / "elsewhere" / "low" / "09.wav").unlink()
    with pytest.raises(UserError, match="root=FOLDER"):
        said(*options, f"audio='{clip}'", moved)


@pytest.mark.slow
def test_as_a_person_types_it(bench, sounds, run_train, tmp_path):
    outcome = bench.run(*sounds)
    places = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment='{bench.experiment}'"]
    typed = [*places, f"run={outcome.run_id[:12]}", f"audio='{bench.folder / 'sounds'}'", "output=csv"]
    done = run_train(typed, tmp_path, "src.predict")
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == 80
    assert "20 files, 60 windows in" in done.stderr
    (bench.folder / "sounds" / "low" / "bad.mp3").write_bytes(b"\0" * 5000)
    done = run_train(typed, tmp_path, "src.predict")
    assert done.returncode == 1
    assert len(rows(done.stdout)) == 80
    assert "bad.mp3" in done.stderr
    assert "Traceback" not in done.stderr
    shell = f"{shlex.join([*command(typed, 'src.predict')])} | head -1"
    words = ["bash", "-c", shell]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout == "file,part,start,end,label,p_high,p_low\n"
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    done = run_train([*places, "run=best", "dataset=genre", "audio=x.wav"], tmp_path, "src.predict")
    assert (done.returncode, done.stdout) == (1, "")
    assert "audio=x.wav: no such file or folder" in done.stderr
