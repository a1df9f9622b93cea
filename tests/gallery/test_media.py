import io
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from src.data.audio import Window
from src.data.clip import Clip
from src.errors import UserError
from src.features.pipeline import ImageTransform
from src.features.preprocess import Preprocess
from src.gallery.media import Media, collect, webp
from src.spectrogram.asperes import Asperes
from src.spectrogram.waveform import WaveformPicture

DRAWING = ImageTransform(
    Window(0.0, None, None), "mean", Preprocess("x", []), Asperes(20.0, 20000.0, 12, 100, "full_scale", 0.1)
)


def media(**changes) -> Media:
    return Media(**{"sounds": "embed", "clips": 10, "megabytes": 1.0, "seconds": 10.0, "cell": 5, **changes})


@pytest.fixture
def clips(tmp_path, write_clips):
    files = write_clips(tmp_path / "so und#s", ["a", "b"], 2, seconds=0.5)
    return {
        clip.id: clip for clip in (Clip(path, path.parent.name, f"{path.parent.name}/{path.stem}") for path in files)
    }


def test_a_picture_is_small_and_keeps_its_colours():
    picture = np.zeros((121, 3000, 3), np.uint8)
    picture[:, :1500, 0] = 200
    with Image.open(io.BytesIO(webp(picture))) as image:
        assert image.size == (640, 121)
        found = np.asarray(image.convert("RGB")).astype(int)
    assert abs(found[:, 10:300, 0].mean() - 200) < 5  # lossy
    assert found[:, 340:].max() < 30


def test_sounds_are_embedded_until_the_megabytes_are_used_up(clips, tmp_path):
    all_of_them = collect(list(clips), clips, DRAWING, media(), tmp_path / "p.html", 2)
    size = len(all_of_them["a/00.wav"].sound)
    assert size > 500
    assert all(shown.webp and shown.sound and shown.whole for shown in all_of_them.values())
    some = collect(list(clips), clips, DRAWING, media(megabytes=2.5 * size / 1e6), tmp_path / "p.html", 2)
    assert [bool(shown.sound) for shown in some.values()] == [True, True, False, False]
    assert all(shown.webp for shown in some.values())


def test_a_link_to_a_name_of_any_bytes(clips, tmp_path):
    first = clips["a/00.wav"]
    strange = first.path.with_name(os.fsdecode(b"M\xfasica.wav"))
    first.path.rename(strange)
    named = {"x": replace(first, path=strange)}
    (shown,) = collect(["x"], named, DRAWING, media(sounds="link"), tmp_path / "p.html", 1).values()
    assert shown.sound == "so%20und%23s/a/M%FAsica.wav"


def test_a_long_sound_is_cut_and_says_so(clips, tmp_path):
    (shown,) = collect(["a/00.wav"], clips, DRAWING, media(seconds=0.2), tmp_path / "p.html", 1).values()
    assert not shown.whole
    heard, rate = soundfile.read(io.BytesIO(shown.sound))
    assert len(heard) / rate == pytest.approx(0.2, abs=0.08)


def test_links_lead_from_the_page_to_the_file(clips, tmp_path):
    page = tmp_path / "reports" / "p.html"
    (shown,) = collect(["a/00.wav"], clips, DRAWING, media(sounds="link"), page, 1).values()
    assert shown.sound == "../so%20und%23s/a/00.wav"
    (silent,) = collect(["a/00.wav"], clips, DRAWING, media(sounds="none"), page, 1).values()
    assert silent.sound == b""
    assert silent.webp


def test_what_cannot_be_shown_says_why(clips, tmp_path):
    clips["a/00.wav"].path.write_text("text")
    found = collect(["a/00.wav", "gone.wav"], clips, DRAWING, media(), tmp_path / "p.html", 1)
    assert "not readable as audio" in found["a/00.wav"].trouble
    assert found["gone.wav"].trouble == "no longer in the dataset"


def test_marks_stand_at_their_frequencies(clips, tmp_path):
    (shown,) = collect(["a/00.wav"], clips, DRAWING, media(), tmp_path / "p.html", 1).values()
    row = 120 - 12 * np.log2(1000 / 20)
    assert dict(shown.ticks)["1k"] == pytest.approx((row + 0.5) / 121, abs=0.001)
    plain = ImageTransform(DRAWING.window, "mean", DRAWING.preprocess, WaveformPicture(21, 100, "full_scale"))
    (other,) = collect(["a/00.wav"], clips, plain, media(), tmp_path / "p.html", 1).values()
    assert other.ticks == ()


@pytest.mark.parametrize(("key", "value"), [("sounds", "mp3"), ("clips", 0), ("megabytes", -1.0), ("cell", 0)])
def test_settings_are_refused_by_name(key, value):
    with pytest.raises(UserError, match=rf"media\.{key}: got"):
        media(**{key: value})
