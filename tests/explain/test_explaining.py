"""`python -m src.explain` on a real run: what it writes, what it says, and mistakes that are told."""

import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image
from tones import HERTZ, clip

from src.errors import UserError
from src.explain.file import explain_file

BAND = ("spectrogram=asperes", "backbone.rows=32", "backbone.columns=42", "head=logistic", "preprocess=unprocessed")


@pytest.fixture
def toned(tmp_path):
    """A folder of clips whose class is made by a tone of 1 kHz."""
    for number in range(40):
        label = "toned" if number % 2 else "plain"
        path = tmp_path / "sounds" / label / f"{number:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = clip(number, toned=label == "toned", seconds=0.5)
        soundfile.write(path, sound.samples.T, sound.sample_rate, subtype="FLOAT")
    return tmp_path / "sounds"


@pytest.fixture
def explained(bench, compose, tmp_path, capsys):
    """`explained(run, words)`: what is printed; the files are in tmp_path/out."""

    def act(run, *words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        places += [f"paths.tracking='{bench.tracking}'", f"tracking.experiment={bench.experiment}", "workers=1"]
        files = [f"out='{tmp_path / 'out'}'"]
        explain_file(
            compose(
                [f"run={run}", *places, *files, "explanation.times=4", "explanation.n_resamples=5", *words], "explain"
            )
        )
        return capsys.readouterr().out

    return act


def test_a_file_is_explained_by_the_run_that_learned_it(bench, toned, explained, tmp_path):
    outcome = bench.run("dataset=folder", f"dataset.root='{toned}'", *BAND)
    told = explained(outcome.run_id, f"audio='{toned / 'toned' / '01.wav'}'")
    assert "01.wav: toned at 9" in told
    assert "no Grad-CAM: pixels is no network" in told
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "clip.wav", "effects.csv", "explanation.png", "only.wav", "summary.json", "without.wav",
    ]  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    assert summary["run"] == outcome.run_id
    assert summary["seconds"] == 0.5
    assert summary["deciding"]["regions"][0]["low_hz"] < HERTZ < summary["deciding"]["regions"][0]["high_hz"]
    assert summary["sound"]["without"]["toned"] < 0.5 < summary["probabilities"]["toned"]
    whole, only, without = (
        soundfile.read(out / name, dtype="float32")[0] for name in ("clip.wav", "only.wav", "without.wav")
    )
    np.testing.assert_array_equal(whole, soundfile.read(toned / "toned" / "01.wav", dtype="float32")[0])
    np.testing.assert_allclose(only + without, whole, atol=2.0**-22)
    # What is kept, not what is removed: files hold float32, the summary four digits.
    energy = [float((sound.astype(np.float64) ** 2).sum()) for sound in (only, whole)]
    assert summary["deciding"]["share_of_sound_energy"] == pytest.approx(energy[0] / energy[1], rel=1e-3)
    # Of two tones of one amplitude in faint noise, one decides.
    assert 0.4 < summary["deciding"]["share_of_sound_energy"] < 0.55
    with Image.open(io.BytesIO((out / "explanation.png").read_bytes())) as picture:
        assert picture.width > 1000
    again = explained(outcome.run_id, f"audio='{out / 'without.wav'}'", "target=toned")
    assert "without.wav: plain" in again  # what the summary said of this sound
    repeated = json.loads((out / "summary.json").read_text())["probabilities"]["toned"]
    assert repeated == pytest.approx(summary["sound"]["without"]["toned"], rel=1e-5)


def test_of_a_long_file_a_clip_is_explained(bench, toned, explained, tmp_path):
    outcome = bench.run("dataset=folder", f"dataset.root='{toned}'", *BAND)
    long = clip(77, toned=True, seconds=3.0)
    soundfile.write(tmp_path / "long.wav", long.samples.T, long.sample_rate, subtype="FLOAT")
    explained(outcome.run_id, f"audio='{tmp_path / 'long.wav'}'", "start=1.25")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["start_s"], summary["seconds"]) == (1.25, 0.5)
    kept = soundfile.read(tmp_path / "out" / "clip.wav", dtype="float32")[0]
    np.testing.assert_array_equal(kept, long.samples[0, 20000:28000])


def test_mistakes_are_told(bench, toned, explained, tmp_path):
    audio = f"audio='{toned / 'toned' / '01.wav'}'"
    outcome = bench.run("dataset=folder", f"dataset.root='{toned}'", *BAND)
    (tmp_path / "text.wav").write_text("text")
    for words, match in (
        ([audio, "target=loud"], r"target=loud: the run knows no such class; expected one of plain, toned"),
        ([audio, "explanation.bands=0"], r"explanation\.bands: got 0"),
        ([audio, "explanation.bands=many"], r"explanation\.bands='many'"),
        ([audio, "start=soon"], r"start: got 'soon'"),
        ([audio, "start=9"], r"nothing is left from"),
        ([f"audio='{tmp_path / 'text.wav'}'"], r"text\.wav: not readable as audio"),
        ([audio, f"out='{tmp_path / 'text.wav' / 'x'}'"], r"cannot be written"),
    ):
        with pytest.raises(UserError, match=match):
            explained(outcome.run_id, *words)
    with pytest.raises(UserError, match="no run of the experiment"):
        explained("feedbeef", audio)


def test_a_backbone_without_a_picture_is_refused(bench, toned, explained):
    outcome = bench.run("dataset=folder", f"dataset.root='{toned}'", "backbone=marsyas", "head=logistic")
    with pytest.raises(UserError, match="hears the waveform and sees no picture"):
        explained(outcome.run_id, f"audio='{toned / 'toned' / '01.wav'}'")
