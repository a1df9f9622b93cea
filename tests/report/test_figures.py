"""Each figure draws, and what it draws is where its axes say."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from src.data.clip import Clip
from src.errors import UserError
from src.report import bars, pictures
from src.report.clip_loader import ClipLoader
from src.report.overrides import Typed
from src.spectrogram.asperes import Asperes
from src.spectrogram.mel import Mel
from src.tracking.figures import DPI, canvas, draw_confusion, draw_spectrogram

METRES = ("guitar_3_4", "guitar_4_4", "piano_3_4", "piano_4_4")


@pytest.fixture
def studio(tmp_path):
    """`studio(*overrides)`: draws clips below `tmp_path`, all from this thread."""

    def made(*overrides: str) -> ClipLoader:
        places = [f"paths.{key}='{tmp_path / key}'" for key in ("data", "cache")]
        return ClipLoader(Typed.of([*places, *overrides]), 1, lambda _: None)

    return made


def opened(report) -> np.ndarray:
    (picture,) = report.pictures
    image = Image.open(io.BytesIO(picture.png))
    assert image.format == "PNG"
    return np.asarray(image.convert("L"))


def test_figures_1_and_2_show_any_dataset_that_is_asked_for(studio, write_clips, tmp_path):
    write_clips(tmp_path / "mine", ["low", "high"], 1, seconds=0.5)
    room = studio("dataset=folder", f"dataset.root='{tmp_path / 'mine'}'")
    wave, spectrogram = (opened(draw(room)) for draw in (pictures.figure1, pictures.figure2))
    assert wave.shape == (2.6 * DPI, 9 * DPI) and spectrogram.shape[1] == 9 * DPI
    assert wave.mean() > 128 > spectrogram.mean(), "a line on white, and bands on black"
    (picture,) = pictures.figure1(room).pictures
    assert picture.notes[0].startswith("Drawn from high/00: recorded")


def test_figure_3_shows_the_same_variant_four_times(studio, write_clips, tmp_path):
    write_clips(tmp_path / "data" / "timing_timbre", METRES, 2, seconds=0.3)
    report = pictures.figure3(studio())
    assert opened(report).shape == (5.6 * DPI, 10 * DPI)
    assert "guitar_3_4/00, guitar_4_4/00, piano_3_4/00, piano_4_4/00: recorded" in report.pictures[0].notes[0]


def test_figure_6_shows_one_note_three_times(studio, write_clips, tmp_path):
    notes = ["keys_021-050", "keys_060-100", "keys_108-127"]
    write_clips(
        tmp_path / "data" / "nsynth_family",
        ["acoustic", "electronic", "synthetic"],
        3,
        seconds=0.3,
        names=notes.__getitem__,
    )
    report = pictures.figure6(studio())
    assert "acoustic/keys_060-100, electronic/keys_060-100, synthetic/keys_060-100" in report.pictures[0].notes[0]
    assert opened(report).shape[1] == 10 * DPI


def test_figure_7_grows_brighter_from_left_to_right(studio, write_clips, tmp_path):
    write_clips(tmp_path / "mine", ["low", "high"], 1, seconds=0.5)
    shown = opened(pictures.figure7(studio("dataset=folder", f"dataset.root='{tmp_path / 'mine'}'")))
    inside = shown[150:-100, 120:-20]  # without axes and titles
    brightness = [part.mean() for part in np.array_split(inside, 8, axis=1)]
    assert brightness == sorted(brightness) and brightness[-1] > 2 * brightness[0]


def test_alike_takes_what_all_classes_have_and_otherwise_the_first_of_each(tmp_path):
    def clips(*names):
        return [Clip(tmp_path / name, name.split("/")[0], name) for name in names]

    every = clips("a/x_030-100", "a/x_061-100", "b/y_059-100", "b/y_061-100")
    chosen = pictures.alike(every, ["a", "b"], pictures._note, best=pictures._near_middle_c)
    assert [clip.name for clip in chosen] == ["a/x_061-100", "b/y_061-100"]
    with pytest.raises(UserError, match="no clips of c to draw"):
        pictures.alike(every, ["a", "c"], pictures._note)
    strangers = clips("a/one", "a/two", "b/three")
    assert [clip.name for clip in pictures.alike(strangers, ["a", "b"], pictures._note)] == ["a/one", "b/three"]


def test_a_tone_lies_at_its_frequency():
    spectrogram = Asperes(20.0, 20000.0, 12, 100, "peak", 0.1)
    rate = 44100
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    picture = spectrogram.picture(tone, rate)
    figure = canvas(4.0, 3.0)
    axes = figure.add_subplot()
    draw_spectrogram(axes, picture, spectrogram, 1.0)
    ticks = dict(zip((label.get_text() for label in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    # bands are semitones: the brightest is the nearest to 1 kHz
    assert abs(ticks["1k"] - picture[:, 50].argmax()) <= 0.5
    assert axes.get_xlim() == (0, 1)
    bottom, top = axes.get_ylim()
    assert bottom > top, "the highest band is on top"


def test_other_pictures_have_no_hertz():
    axes = canvas(4.0, 3.0).add_subplot()
    draw_spectrogram(axes, np.zeros((8, 10), np.uint8), Mel(2048, 100, 128, 20.0, None, 2.0, None, "peak", 1.0), 1.0)
    assert len(axes.get_yticks()) == 0 and axes.get_ylabel() == "bands"


def test_bars_are_as_high_as_their_cells(shelf, cells):
    wanted = [one for e in bars.EXPERIMENTS for one in cells(e, "dataset=composer,genre", "preprocess=normalized")]
    network, missing, baseline, other = wanted
    shelf.add(network, 0, np.arange(40) < 30, origin="recorded")
    shelf.add(baseline, 0, np.arange(40) < 36, origin="rendered")
    desk = shelf.desk(wanted)
    rows = [desk.of(e) for e in bars.EXPERIMENTS]
    axes = bars.draw(["composer", "genre"], rows).axes[0]
    assert [patch.get_height() for patch in axes.patches] == [75.0, 90.0]
    assert [bool(patch.get_hatch()) for patch in axes.patches] == [False, True], "the stand-in's bar is hatched"
    assert [text.get_text() for text in axes.texts] == ["75.0", "missing", "90.0", "missing"]
    marks = {round(float(line.get_ydata()[0]), 1) for line in axes.lines if line.get_marker() == "D"}
    assert marks == {73.9, 85.8, 81.9, 97.0}, "the paper's values"
    del missing, other


def test_figures_4_and_5_tell_what_is_missing(shelf, cells):
    wanted = [one for e in bars.EXPERIMENTS for one in cells(e, "dataset=composer", "preprocess=normalized")]
    report = bars.bars(shelf.desk(wanted), "figure5", "normalized")
    assert opened(report).shape == (4.4 * DPI, 10.5 * DPI)
    assert len(report.missing) == 2 and report.title == "Figure 5: accuracy on normalized clips"


def test_true_classes_go_down_and_predicted_ones_across(figures, tmp_path):
    """Two of three a are called b and none of four b is called a: mistakes are in row a, column b."""
    draw_confusion(np.array([[1, 2], [0, 4]]), ["a", "b"], tmp_path / "confusion.png")
    (axes,) = figures[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "1", (1, 0): "2", (1, 1): "4"}
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), [[1 / 3, 2 / 3], [0, 1]])
    bottom, top = axes.get_ylim()
    assert bottom > top, "the first class is on top"


def test_figure_1_has_time_across_and_amplitude_up(figures, studio, tmp_path):
    """Half a second of silence, then a tone of amplitude a quarter."""
    wave = np.concatenate([np.zeros(4000), 0.25 * np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)])
    for label in ("a", "b"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        soundfile.write(tmp_path / "mine" / label / "0.wav", wave, 8000)
    pictures.figure1(studio("dataset=folder", f"dataset.root='{tmp_path / 'mine'}'"))
    (axes,) = figures[0].axes
    assert axes.get_xlabel().startswith("seconds") and axes.get_ylabel().startswith("amplitude")
    assert axes.get_xlim() == (0, 1)
    seconds, amplitude = axes.collections[0].get_paths()[0].vertices.T
    # The first half is silent, within a block of samples; the tone peaks at a quarter, within 16-bit steps.
    assert np.abs(amplitude[seconds < 0.49]).max() == 0
    assert np.abs(amplitude[seconds > 0.51]).max() == pytest.approx(0.25, abs=1e-3)
    assert seconds.max() == 1


def test_bars_name_their_datasets_in_order_and_reach_their_intervals(shelf, cells):
    wanted = [one for e in bars.EXPERIMENTS for one in cells(e, "dataset=composer,genre", "preprocess=normalized")]
    for cell, right in zip(wanted, (10, 20, 30, 36), strict=True):
        shelf.add(cell, 0, np.arange(40) < right)
    desk = shelf.desk(wanted)
    rows = [desk.of(e) for e in bars.EXPERIMENTS]
    axes = bars.draw(["composer", "genre"], rows).axes[0]
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == ["composer", "genre"]
    centres = [patch.get_x() + patch.get_width() / 2 for patch in axes.patches]
    assert [round(centre) for centre in centres] == [0, 1, 0, 1]
    assert centres[0] < centres[2], "the network's bar is left of the baseline's"
    assert [patch.get_height() for patch in axes.patches] == [25.0, 50.0, 75.0, 90.0]
    every = [row.score.interval for found in rows for row in found]
    ends = [segment[:, 1] for lines in axes.collections for segment in lines.get_segments()]
    for (low, high), interval in zip(ends, every, strict=True):
        assert (low, high) == pytest.approx((100 * interval.low, 100 * interval.high))
