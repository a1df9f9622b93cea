"""What of a recording reaches the network: silence, black images, channels that cancel, energy that is not drawn."""

import numpy as np
import pytest
import scipy.signal
import soundfile
from toy import Toy

from src.data.audio import Window
from src.data.waveform import Waveform
from src.features.pipeline import FeaturePipeline, ImageTransform
from src.features.preprocess import Preprocess
from src.features.render_stats import RenderStats, share_above
from src.spectrogram.asperes import Asperes
from src.spectrogram.mel import Mel
from src.spectrogram.phase import Phase
from src.spectrogram.sox import Sox
from src.spectrogram.waveform import WaveformPicture

PICTURES = {
    "asperes": Asperes(20.0, 20000.0, 12, 100, "full_scale", 0.1),
    "mel": Mel(2048, 100, 128, 20.0, 20000.0, 2.0, 80.0, "full_scale", 1.0),
    "phase": Phase(20.0, 20000.0, 12, 100, "full_scale", 0.1, "centre"),
    "sox": Sox(20.0, 20000.0, 12, 100, "full_scale", 1.0, 120.0),
    "waveform": WaveformPicture(121, 100, "full_scale"),
}
NORMALIZED = Preprocess("normalized", [0.0])
UNPROCESSED = Preprocess("unprocessed", [])


def tone(hz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def bat(rate: int = 384_000) -> np.ndarray:
    """Five calls a second of 5 ms that fall from 80 to 40 kHz, over noise 60 dB lower."""
    t = np.arange(rate // 200) / rate
    call = np.hanning(len(t)) * scipy.signal.chirp(t, 80_000, t[-1], 40_000)
    sound = 0.0003 * np.random.default_rng(0).standard_normal(rate)
    for start in range(0, rate, rate // 5):
        sound[start : start + len(call)] += 0.3 * call
    return sound


def stats(tmp_path, sound, rate, *, picture="asperes", preprocess=NORMALIZED, mono="mean", sample_rate=None, **changes):
    """As a job has them of a file that holds the sound; shape (samples,) or (samples, channels)."""
    soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
    spectrogram = (
        PICTURES[picture] if not changes else type(PICTURES[picture])(**{**vars(PICTURES[picture]), **changes})
    )
    image_transform = ImageTransform(Window(0.0, None, sample_rate), mono, preprocess, spectrogram)
    found = FeaturePipeline(image_transform, Toy()).prepare(tmp_path / "a.wav").stats
    return found.rendered


@pytest.mark.parametrize("preprocess", [NORMALIZED, UNPROCESSED])
def test_bats_on_a_picture_up_to_20_khz(tmp_path, preprocess):
    found = stats(tmp_path, bat(), 384_000, preprocess=preprocess)
    assert found.warnings() == ["black", "cut off"]
    assert found.lost > 0.95
    whole = stats(tmp_path, bat(), 384_000, preprocess=preprocess, fmin=1000.0, fmax=150_000.0)
    assert whole.warnings() == []
    assert whole.contrast > 50


def test_bats_resampled_away(tmp_path):
    """Levelling raises what the filter left to full scale, so that the image alone shows nothing wrong."""
    found = stats(tmp_path, bat(), 384_000, sample_rate=44_100)
    assert found.contrast > 2
    assert found.warnings() == ["cut off"]


@pytest.mark.parametrize("picture", ["asperes", "phase", "mel", "sox", "waveform"])
def test_channels_that_cancel(tmp_path, picture):
    left = tone(440, 8000)
    found = stats(tmp_path, np.stack([left, -left], axis=1), 8000, picture=picture)
    assert found.warnings() == ["silent", "lost in mono"]
    assert found.contrast == 0
    assert stats(tmp_path, np.stack([left, -left], axis=1), 8000, picture=picture, mono="left").warnings() == []


@pytest.mark.parametrize("reference", ["full_scale", "peak"])
def test_channels_that_cancel_but_for_their_noise(tmp_path, reference):
    noise = 1e-4 * np.random.default_rng(0).standard_normal((8000, 2))
    sound = tone(440, 8000)[:, None] * [1, -1] + noise
    found = stats(tmp_path, sound, 8000, reference=reference)
    assert "lost in mono" in found.warnings()
    assert "silent" not in found.warnings()
    # the noises, of equal power and independent: half of one's power is left, of a mean power of 0.125 in each channel
    assert found.mono == pytest.approx(2 * 0.5e-8 / 0.125, rel=0.1)


def test_an_empty_first_channel(tmp_path):
    sound = np.stack([np.zeros(8000), tone(440, 8000)], axis=1)
    assert stats(tmp_path, sound, 8000, mono="left").warnings() == ["silent", "lost in mono"]
    assert stats(tmp_path, sound, 8000).warnings() == []


@pytest.mark.parametrize("channels", [1, 2, 6, 64])
def test_independent_channels_lose_nothing_in_particular(tmp_path, channels):
    sound = 0.1 * np.random.default_rng(0).standard_normal((20_000, channels))
    # the estimate of a power from n samples has a relative deviation of sqrt(2 / n) = 0.01
    assert stats(tmp_path, sound, 8000).mono == pytest.approx(1, abs=0.05)
    assert stats(tmp_path, np.repeat(sound[:, :1], channels, axis=1), 8000).mono == pytest.approx(channels, rel=1e-4)


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("preprocess", [NORMALIZED, UNPROCESSED])
def test_silence_is_silent_and_nothing_else(tmp_path, picture, preprocess):
    for sound in (np.zeros(4000), np.zeros((4000, 2)), np.zeros(1)):
        found = stats(tmp_path, sound, 44_100, picture=picture, preprocess=preprocess)
        assert (found.warnings(), found.contrast, found.lost) == (["silent"], 0, 0)


@pytest.mark.parametrize("picture", PICTURES)
def test_a_quiet_clip_is_black_unless_it_is_levelled(tmp_path, picture):
    """-90 dBFS is 0.08 of a level where white is 0.1, below the 80 dB of mel, and a 250th of the waveform's row."""
    quiet = tone(440, 8000, amplitude=10 ** (-90 / 20))
    assert stats(tmp_path, quiet, 8000, picture=picture).warnings() == []
    # the colours of sox reach 120 dB down
    expected = [] if picture == "sox" else ["black"]
    assert stats(tmp_path, quiet, 8000, picture=picture, preprocess=UNPROCESSED).warnings() == expected


@pytest.mark.parametrize(("rate", "picture"), [(8000, "mel"), (44_100, "asperes"), (48_000, "mel"), (96_000, "mel")])
def test_ordinary_sounds_have_no_warnings(tmp_path, rate, picture):
    rng = np.random.default_rng(0)
    click = np.zeros(rate)
    click[rate // 2] = 1
    pink = np.cumsum(rng.standard_normal(rate)) - rng.standard_normal(rate)
    sounds = {
        "tone": tone(440, rate),
        "low": tone(30, rate),
        "offset": 0.3 + 0.01 * tone(1000, rate),
        "constant": np.full(rate, 0.3),
        "falling noise": pink / abs(pink).max(),
    }
    if rate < 96_000:  # from there on more than half of a white spectrum is above 20 kHz
        sounds |= {"click": click, "white noise": 0.1 * rng.standard_normal(rate)}
    found = {name: stats(tmp_path, sound, rate, picture=picture).warnings() for name, sound in sounds.items()}
    assert found == {name: [] for name in sounds}


@pytest.mark.parametrize(
    ("picture", "changes", "top"),
    [("asperes", {"fmax": 1000.0}, 1000 * 2 ** (1 / 12)), ("mel", {"fmax": 1000.0}, 1000.0)],
)
def test_energy_above_the_picture_is_lost(tmp_path, picture, changes, top):
    for share, below in ((0.4, 0.9 * top), (0.6, 0.9 * top)):
        # the powers of two tones add: share above, the rest below
        sound = tone(below, 8000, amplitude=0.5 * (1 - share) ** 0.5) + tone(2000, 8000, amplitude=0.5 * share**0.5)
        found = stats(tmp_path, sound, 8000, picture=picture, **changes)
        assert found.warnings() == (["cut off"] if share > 0.5 else [])
        if share > 0.5:
            assert found.lost == pytest.approx(share, abs=0.01)
    assert stats(tmp_path, tone(1.02 * top, 8000), 8000, picture=picture, **changes).lost > 0.9


def test_energy_lost_by_resampling(tmp_path):
    for share in (0.4, 0.6):
        sound = tone(500, 32_000, amplitude=0.5 * (1 - share) ** 0.5) + tone(6000, 32_000, amplitude=0.5 * share**0.5)
        found = stats(tmp_path, sound, 32_000, sample_rate=8000)
        assert found.lost == pytest.approx(share, abs=0.01)
        assert found.warnings() == (["cut off"] if share > 0.5 else [])


@pytest.mark.parametrize("exponent", [0.0, 0.5, -0.5])
@pytest.mark.parametrize("hz", [100.0, 2000.0, 3500.0])
def test_the_share_above_a_frequency_is_that_of_the_whole_transform(exponent, hz):
    """And where it is below half, it may be 0."""
    n, rate = 3 * 4096 + 100, 8000
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(n))
    spectrum[1:] *= np.arange(1, len(spectrum)) ** exponent
    signal = np.fft.irfft(spectrum, n).astype(np.float32) + 3  # the mean is no energy
    power = np.abs(np.fft.rfft(signal)) ** 2
    expected = power[np.fft.rfftfreq(n, 1 / rate) > hz].sum() / power[1:].sum()
    found = share_above(signal, rate, hz)
    # blocks of 4096 smear a frequency over a bin or two: 4 Hz of 4000
    assert found == pytest.approx(expected, abs=0.01) or (found == 0 and expected < 0.5)
    assert share_above(signal, rate, 4000.0) == 0


def test_a_network_that_takes_the_waveform_has_no_image_to_be_black(tmp_path):
    left = tone(440, 8000)
    for sound, expected in ((left * 1e-6, []), (np.stack([left, -left], axis=1), ["silent", "lost in mono"])):
        soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
        image_transform = ImageTransform(Window(0.0, None, None), "left", UNPROCESSED, PICTURES["asperes"])
        found = FeaturePipeline(image_transform, Toy(input="waveform")).prepare(tmp_path / "a.wav").stats
        assert found.rendered.warnings() == expected


def test_copies_at_several_levels_are_judged_by_the_brightest(tmp_path):
    quiet = tone(440, 8000, amplitude=1e-5)
    assert stats(tmp_path, quiet, 8000, preprocess=Preprocess("x", [-90.0, 0.0])).warnings() == []
    assert stats(tmp_path, quiet, 8000, preprocess=Preprocess("x", [-90.0])).warnings() == ["black"]


def test_a_row_holds_all_of_it():
    found = RenderStats(0.0, 3.0, 0.5, 0.25)
    assert RenderStats.from_row(found.row()) == found


def test_loud_and_tiny_samples_overflow_nothing(tmp_path):
    for amplitude in (1e-40, 1e30):
        waveform = Waveform(np.full((2, 100), amplitude, np.float32), 8000)
        image_transform = ImageTransform(Window(0.0, None, None), "mean", NORMALIZED, PICTURES["asperes"])
        assert "silent" not in image_transform.stats(waveform, image_transform.picture(waveform), None).warnings()


def test_a_tiny_clip_that_is_levelled_loses_nothing(tmp_path):
    assert stats(tmp_path, tone(440, 8000, amplitude=1e-25), 8000).warnings() == []  # its square is below float32
