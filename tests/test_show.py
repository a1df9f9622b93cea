"""One file as the network sees it: the exact picture, the features that a run uses, and mistakes that are told."""

import csv

import numpy as np
import pytest
import soundfile
from PIL import Image

from src.config import build
from src.data.audio import Window, decode
from src.data.dataset import recordings
from src.errors import UserError
from src.features.digests import read_digests
from src.features.extract import extract
from src.show import show

SMALL = ["dataset=genre", "backbone=pixels", "backbone.rows=4", "backbone.columns=4", "workers=1"]


@pytest.fixture
def shown(compose, tmp_path):
    """`shown(words)`: what `python -m src.show words` does, in this process."""

    def act(*words):
        places = [f"paths.{key}='{tmp_path / key}'" for key in ("data", "cache", "tracking", "weights")]
        small = SMALL if "backbone=marsyas" not in words else [w for w in SMALL if not w.startswith("backbone")]
        config = compose([*small, *places, *words], "show")
        show(config)
        return config

    return act


def stereo() -> np.ndarray:
    rng = np.random.default_rng(0)
    sound = rng.uniform(-0.5, 0.5, (4000, 2))
    sound[:, 1] *= np.linspace(0, 1, 4000)
    return sound


SOUNDS = {
    "one sample": np.array([[0.25]]),
    "silent": np.zeros((3000, 1)),
    "stereo": stereo(),
    "short": stereo()[:7],
}


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("spectrogram", ["asperes", "mel", "waveform"])
def test_the_picture_is_exact(shown, tmp_path, sound, spectrogram):
    soundfile.write(tmp_path / "a.wav", SOUNDS[sound], 22050, subtype="FLOAT")
    for condition in ("unprocessed", "augmented"):
        config = shown(
            f"audio='{tmp_path / 'a.wav'}'", f"picture='{tmp_path / 'out' / 'a.png'}'", f"spectrogram={spectrogram}",
            f"preprocess={condition}",
        )  # fmt: skip
        image_transform = build.image_transform(build.plain(config))
        waveform = image_transform.preprocess(decode(tmp_path / "a.wav", Window(0.0, None, None))[0])
        expected = image_transform.spectrogram.picture(waveform.samples.mean(axis=0, dtype=np.float32), 22050)
        with Image.open(tmp_path / "out" / "a.png") as picture:
            found = np.asarray(picture)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
        if sound == "silent" and spectrogram != "waveform":
            assert not found.any()


def test_the_window_and_the_channel_are_those_of_the_dataset(shown, tmp_path):
    soundfile.write(tmp_path / "a.wav", stereo(), 8000, subtype="FLOAT")
    shown(
        f"audio='{tmp_path / 'a.wav'}'", f"picture='{tmp_path / 'a.png'}'", "spectrogram=waveform", "dataset.mono=left",
        "dataset.start=0.1", "dataset.duration=0.2", "preprocess=unprocessed",
    )  # fmt: skip
    from src.spectrogram.waveform import WaveformPicture

    left = stereo()[800:2400, 0].astype(np.float32)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), WaveformPicture(121, 100, "full_scale").picture(left, 8000))


@pytest.mark.parametrize("word", ["picture='{}/a.png'", "features='{}/a.csv'"])
def test_a_file_of_which_nothing_is_drawn_is_told(shown, tmp_path, caplog, word):
    left = stereo()[:, :1]
    soundfile.write(tmp_path / "a.wav", np.concatenate([left, -left], axis=1), 22050, subtype="FLOAT")
    shown(f"audio='{tmp_path / 'a.wav'}'", word.format(tmp_path))
    assert "a.wav: silent" in caplog.text
    assert "dataset.mono=left" in caplog.text
    caplog.clear()
    shown(f"audio='{tmp_path / 'a.wav'}'", word.format(tmp_path), "dataset.mono=left")
    assert "a.wav: " not in "".join(record.getMessage() for record in caplog.records if record.levelname == "WARNING")


def read(path) -> tuple[list[str], list[str]]:
    header, row = list(csv.reader(path.read_text().splitlines()))
    return header, row


@pytest.mark.parametrize("words", [["preprocess=augmented"], ["backbone=marsyas"]])
def test_features_are_those_that_a_run_uses(shown, tmp_path, write_clips, dataset_settings, words):
    files = write_clips(tmp_path / "data" / "genre", ["rock", "metal"], 2, seconds=0.5)
    config = shown(f"audio='{files[1]}'", f"features='{tmp_path / 'f.csv'}'", "spectrogram=mel", *words)
    pipeline = build.pipeline(build.plain(config), tmp_path / "decision")
    dataset = recordings(dataset_settings(tmp_path / "data" / "genre"))
    contents = read_digests(dataset, cache=tmp_path / "cache", workers=1)
    found = extract(contents, pipeline, cache=tmp_path / "cache", workers=1)
    expected = found.features[[clip.path for clip in found.clips].index(files[1])]
    header, row = read(tmp_path / "f.csv")
    assert header == ["file", *pipeline.backbone.feature_names]
    assert row[0] == files[1].name
    assert np.array([np.float32(value) for value in row[1:]]).tobytes() == expected.tobytes()


def test_both_at_once(shown, tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(), 8000)
    shown(f"audio='{tmp_path / 'a.wav'}'", f"picture='{tmp_path / 'p.PNG'}'", f"features='{tmp_path / 'f.csv'}'")
    assert (tmp_path / "p.PNG").exists()
    assert (tmp_path / "f.csv").exists()


@pytest.mark.parametrize(
    "words", [["backbone=pixels", "backbone.rows=32", "backbone.columns=42"], ["backbone=marsyas"],
              ["backbone=timm", "backbone.model=test_efficientnet", "backbone.weights=random", "backbone.size=32"]],
)  # fmt: skip
def test_columns_have_names_of_their_own(compose, tmp_path, tone, words):
    soundfile.write(tmp_path / "a, b (ä).wav", tone(seconds=1.0, rate=22050), 22050)
    places = [f"paths.{key}='{tmp_path / key}'" for key in ("data", "cache", "tracking", "weights")]
    files = [f"audio='{tmp_path / 'a, b (ä).wav'}'", f"features='{tmp_path / 'f.csv'}'"]
    show(compose(["dataset=genre", "spectrogram=mel", "workers=1", *words, *places, *files], "show"))
    header, row = read(tmp_path / "f.csv")
    assert len(set(header)) == len(header) == len(row) > 100
    assert row[0] == "a, b (ä).wav"
    assert np.isfinite([float(value) for value in row[1:]]).all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["audio=a.wav"], r"show: give picture=OUT\.png, features=OUT\.csv, or both"),
        (["audio=a.wav", "picture=a.jpg"], r"picture=a\.jpg: expected a name ending in \.png"),
        (["audio=none.wav", "picture=a.png"], r"none\.wav: not readable as audio \(No such file"),
        (["audio=none.wav", "features=a.csv"], r"none\.wav: not readable as audio \(No such file"),
        (["audio=text.wav", "picture=a.png"], r"text\.wav: not readable as audio"),
        (["audio=a.wav", "picture=text.wav/a.png"], r"text\.wav/a\.png: cannot be written \(File exists\)"),
        (["audio=a.wav", "features=text.wav/a.csv"], r"text\.wav/a\.csv: cannot be written \(File exists\)"),
        (["audio=a.wav", "picture=a.png", "dataset.start=99"], r"nothing is left from dataset\.start=99"),
        (["picture=a.png"], r"audio: must be given, e\.g\. audio="),
        (["audio=2024", "picture=a.png"], r"2024: not readable as audio"),
    ],
)
def test_mistakes_are_told(shown, tmp_path, tone, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", tone(), 8000)
    (tmp_path / "text.wav").write_text("text")
    with pytest.raises(UserError, match=told):
        shown(*words)


def test_as_a_person_runs_it(run_train, tmp_path, tone):
    soundfile.write(tmp_path / "a.wav", tone(), 8000)
    words = ["audio=a.wav", "picture=p.png", "spectrogram=waveform", "backbone=pixels"]
    done = run_train(words, tmp_path, "src.show")
    assert done.returncode == 0, done.stderr
    assert "p.png: 50 x 121 pixels" in done.stderr
    wrong = run_train(["audio=b.wav", "picture=p.png", "backbone=pixels"], tmp_path, "src.show")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("b.wav: not readable as audio")
    assert "Traceback" not in wrong.stderr
