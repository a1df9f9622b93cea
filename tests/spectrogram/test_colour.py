"""Pictures in colour: what the colours mean, physics, and their way through the rest."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from src.backbone.resize import resize
from src.errors import UserError
from src.spectrogram.asperes import Asperes
from src.spectrogram.phase import Phase, wheel
from src.spectrogram.sox import Sox, colours
from src.tracking.figures import canvas, draw_spectrogram, png

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000


def shipped(name: str, **changed: object) -> Asperes:
    values = yaml.safe_load((ROOT / f"conf/spectrogram/{name}.yaml").read_text())
    del values["_target_"]
    return {"asperes": Asperes, "sox": Sox, "phase": Phase}[name](**{**values, **changed})


def tone(hz: float, amplitude: float = 0.5, phase: float = 0.0, seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """A cosine; `phase` in turns."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.cos(2 * np.pi * (hz * time + phase))).astype(np.float32)


def noise(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


def hue(picture: np.ndarray) -> np.ndarray:
    """Turns around the wheel, by the definition of HSV."""
    colour = picture.astype(float)
    red, green, blue = np.moveaxis(colour, -1, 0)
    top, spread = colour.max(axis=-1), np.ptp(colour, axis=-1)
    sixths = np.select(
        [top == red, top == green], [(green - blue) / spread, 2 + (blue - red) / spread], 4 + (red - green) / spread
    )
    return sixths / 6 % 1


def row_of(spectrogram: Asperes, hz: float) -> int:
    return int(np.abs(np.log(spectrogram.frequencies(RATE) / hz)).argmin())


def apart(some: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distance around the circle, in turns."""
    return np.abs((some - other + 0.5) % 1 - 0.5)


# A byte at full brightness tells 6 x 255 hues apart; the filter passes a little of the clip's beginning and end.
HUE = 0.01


@pytest.mark.parametrize("hz", [317.0, 440.0, 1003.0])
def test_a_tones_hue_turns_as_often_as_the_tone(hz: float) -> None:
    phase = shipped("phase", origin="clip")
    row = hue(phase.picture(tone(hz), RATE)[row_of(phase, hz)])[50:150]
    assert apart(row, hz * np.arange(50, 150) / 100).max() < HUE


@pytest.mark.parametrize("off", [-3.0, 0.0, 2.0, 5.0])
def test_relative_to_the_centre_the_hue_turns_by_the_difference(off: float) -> None:
    phase = shipped("phase")
    centre = float(phase.frequencies(RATE)[row_of(phase, 440)])
    row = hue(phase.picture(tone(centre + off), RATE)[row_of(phase, 440)])[50:150]
    assert apart(row, off * np.arange(50, 150) / 100).max() < HUE


def test_the_hue_is_the_tones_own_phase() -> None:
    phase = shipped("phase", origin="clip")
    first, later = (
        hue(phase.picture(tone(500, phase=start), RATE)[row_of(phase, 500)])[50:150] for start in (0.0, 1 / 3)
    )
    # 500 Hz are five whole turns a column: red at phase 0, green a third of a turn later.
    assert apart(first, np.zeros(100)).max() < HUE
    assert apart(later, np.full(100, 1 / 3)).max() < HUE
    np.testing.assert_allclose(wheel(np.array([0, 1 / 3, 2 / 3, 1 / 6])), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
@pytest.mark.parametrize("reference", ["full_scale", "peak"])
def test_brightness_is_the_grey_picture_exactly(rate: int, reference: str) -> None:
    samples = noise(rate=rate) + tone(1000, 0.02, seconds=1.0, rate=rate)
    grey = shipped("asperes", reference=reference).picture(samples, rate)
    coloured = shipped("phase", reference=reference).picture(samples, rate)
    assert coloured.dtype == np.uint8
    np.testing.assert_array_equal(coloured.max(axis=2), grey)
    assert (coloured.min(axis=2) == 0).all()


def test_the_phase_is_the_same_however_loud() -> None:
    phase = shipped("phase", reference="peak")
    samples = noise()
    for gain in (1e-20, 1e10):
        louder = phase.picture(samples * np.float32(gain), RATE)
        # one grey level either way, as the grey picture has it
        assert np.abs(louder.astype(int) - phase.picture(samples, RATE)).max() <= 2


def test_a_band_wider_than_the_pixels_are_many_has_its_phase_at_the_pixels() -> None:
    phase = shipped("phase", origin="clip", pixels_per_second=25)
    row = hue(phase.picture(tone(5003), RATE)[row_of(phase, 5003)])[12:38]
    assert apart(row, 5003 * np.arange(12, 38) / 25).max() < HUE


def level_of(picture: np.ndarray) -> np.ndarray:
    """Place of each colour among the sox colours, 0 to 255."""
    return np.abs(picture[..., None, :].astype(int) - colours().astype(int)).sum(axis=-1).argmin(axis=-1)


def test_colours_go_by_level_in_decibels() -> None:
    sox = shipped("sox")
    row = row_of(sox, 440)
    centre = float(sox.frequencies(RATE)[row])
    found = [int(level_of(sox.picture(tone(centre, 10 ** (db / 20)), RATE)[row, 100])) for db in (0, -20, -60, -100)]
    # 255 places for 120 dB, each truncated; a tone in the middle of a band shows its own amplitude within 0.1 dB.
    np.testing.assert_allclose(found, [255, 212.5, 127.5, 42.5], atol=1.5)


def test_without_decibels_the_colour_is_that_of_the_grey_level() -> None:
    samples = noise()
    grey = shipped("asperes").picture(samples, RATE)
    coloured = shipped("sox", range_db=None, white_amplitude=0.1).picture(samples, RATE)
    # float32 may round a level across its edge
    assert np.abs(coloured.astype(int) - colours()[grey]).max() <= np.abs(np.diff(colours().astype(int), axis=0)).max()


def test_the_ramp_runs_from_black_through_blue_and_red_to_light_yellow() -> None:
    ramp = colours().astype(int)
    assert ramp.shape == (256, 3)
    assert ramp[0].tolist() == [0, 0, 0]
    assert ramp[-1].tolist() == [255, 255, 246]
    red, green = ramp.T[:2]
    assert (np.diff(red) >= 0).all()
    assert (np.diff(green) >= 0).all()
    assert [int(ramp[place].argmax()) for place in (40, 70, 150)] == [2, 2, 0]
    # The tool's own pictures: every twentieth of its 249 colours.
    seen = {
        20: (0, 0, 52), 32: (0, 0, 79), 56: (62, 0, 118), 80: (122, 0, 127), 104: (174, 0, 105), 128: (215, 0, 57),
        152: (242, 10, 0), 176: (254, 128, 0), 200: (255, 216, 23), 224: (255, 254, 134), 248: (255, 255, 246),
    }  # fmt: skip
    for place, colour in seen.items():
        # 6 levels by the lines, 2 by the different number of colours
        assert np.abs(ramp[round(place * 255 / 248)] - colour).max() <= 8, place


@pytest.mark.parametrize("name", ["sox", "phase"])
def test_silence_is_black_and_a_single_sample_drawn(name: str) -> None:
    assert not shipped(name).picture(np.zeros(3000, np.float32), RATE).any()
    assert shipped(name).picture(np.ones(1, np.float32), RATE).shape == (121, 1, 3)


@pytest.mark.parametrize(("name", "key", "value"), [("sox", "range_db", 0.0), ("phase", "origin", "middle")])
def test_wrong_settings_are_named(name: str, key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"spectrogram\.{key}: got"):
        shipped(name, **{key: value})


@pytest.mark.parametrize("name", ["sox", "phase"])
def test_a_network_gets_three_channels_and_a_figure_its_hertz(name: str) -> None:
    spectrogram = shipped(name)
    picture = spectrogram.picture(tone(440), RATE)
    small = resize(picture, 32, 32, antialias=True)
    assert small.shape == (3, 32, 32)
    assert np.abs(small[0] - small[2]).max() > 10
    figure = canvas(3.0, 2.0)
    axes = figure.add_subplot()
    draw_spectrogram(axes, picture, spectrogram, 2.0)
    assert axes.get_ylabel() == "Hz"
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["sox", "phase"])
def test_a_whole_job_in_colour(name, bench, write_clips) -> None:
    write_clips(bench.folder / "birds", ["owl", "wren"], 10)
    words = ["dataset=folder", f"dataset.root={bench.folder / 'birds'}", f"spectrogram={name}"]
    outcome = bench.run(*words)
    assert outcome.tags["spectrogram"] == name
    keys = [bench.configured(*words[:2], f"spectrogram={other}").pipeline.key() for other in (name, "asperes")]
    assert keys[0] != keys[1]
    assert keys[0]["spectrogram"]["spectrogram"] == name


def test_show_writes_colours(compose, tmp_path) -> None:
    from src.show import show

    soundfile.write(tmp_path / "a.wav", tone(440), RATE)
    for name in ("sox", "phase"):
        out = tmp_path / f"{name}.png"
        show(compose([f"audio={tmp_path / 'a.wav'}", f"picture={out}", f"spectrogram={name}"], "show"))
        with Image.open(out) as image:
            assert (image.mode, image.size) == ("RGB", (200, 121))
            assert np.ptp(np.asarray(image), axis=2).max() > 100
