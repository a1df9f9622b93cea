import numpy as np
import pytest

from src.data.render import sound_font
from src.data.render.sampler import Note, Part, Sampler

RATE = 44100
PIANO, STEEL_GUITAR, DISTORTED_GUITAR, VIOLIN, TRUMPET, FLUTE = 0, 25, 30, 40, 56, 73
FONTS = [sound_font.bundled(), *([sound_font.FLUID] if sound_font.FLUID.is_file() else [])]


@pytest.fixture(scope="module", params=FONTS, ids=lambda path: path.stem)
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return Sampler(request.param, RATE)


@pytest.fixture(scope="module")
def bundled() -> Sampler:
    return Sampler(sound_font.bundled(), RATE)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def one(program: int, pitch: int = 60, velocity: float = 1.0, duration: float = 1.0, onset: float = 0.0) -> Part:
    return Part(program, (Note(onset, duration, pitch, velocity),))


def near(samples: np.ndarray, hertz: float) -> float:
    """Frequency of the strongest partial within a semitone."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 8 * len(samples)))
    frequencies = np.fft.rfftfreq(8 * len(samples), 1 / RATE)
    inside = np.abs(12 * np.log2(np.maximum(frequencies, 1) / hertz)) < 1
    return float(frequencies[inside][spectrum[inside].argmax()])


@pytest.mark.parametrize("program", [PIANO, STEEL_GUITAR, DISTORTED_GUITAR, VIOLIN, TRUMPET, FLUTE])
@pytest.mark.parametrize("pitch", [48, 64, 81])
def test_notes_are_in_tune(sampler: Sampler, program: int, pitch: int) -> None:
    sound = sampler.mix([one(program, pitch)], 1.0)
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    # 15 cents: vibrato recorded with the samples, and pianos are tuned wider than the scale.
    assert 12 * np.log2(near(sound, hertz) / hertz) == pytest.approx(0, abs=0.15)
    # The partial found is the note's and not the shoulder of another one.
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    width = round(hertz * 0.02) + 2
    assert spectrum[round(hertz) - width : round(hertz) + width].max() > 0.05 * spectrum.max()


def test_loudness_follows_the_square_of_the_velocity(bundled: Sampler) -> None:
    loud, soft = (rms(bundled.mix([one(VIOLIN, velocity=v)], 1.0)) for v in (1.0, 0.5))
    # TimGM6mb has one layer of samples, so nothing but the gain differs.
    assert loud / soft == pytest.approx(4.0, rel=1e-4)


def test_a_key_without_a_recording_sounds_like_its_neighbour(bundled: Sampler) -> None:
    whistle, played, silent = 78, 78, 82  # TimGM6mb's recordings of this program leave out the keys 79 to 101
    sound = bundled.mix([one(whistle, silent)], 1.0)
    # The same recording, only faster.
    assert rms(sound) == pytest.approx(rms(bundled.mix([one(whistle, played)], 1.0)), rel=0.02)


def test_gain_is_in_decibels(bundled: Sampler) -> None:
    part = one(VIOLIN)
    louder = Part(part.program, part.notes, gain=6.0206)
    assert rms(bundled.mix([louder], 1.0)) / rms(bundled.mix([part], 1.0)) == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize("program", [PIANO, VIOLIN, STEEL_GUITAR, FLUTE])
def test_programs_are_equally_loud(sampler: Sampler, program: int) -> None:
    # The reference is the first quarter second of middle C, which these velocities' layers share.
    sound = sampler.mix([one(program, velocity=100 / 127, duration=0.25)], 0.25)
    assert rms(sound) == pytest.approx(0.1 * (100 / 127) ** 2, rel=0.01)


@pytest.mark.parametrize("program", range(5, 112, 15))
@pytest.mark.parametrize("pitch", [21, 108])
def test_every_program_plays_the_whole_keyboard(sampler: Sampler, program: int, pitch: int) -> None:
    sound = sampler.mix([one(program, pitch)], 1.0)
    assert np.isfinite(sound).all()
    # 40 dB below the reference: the outermost keys are soft on many instruments.
    assert rms(sound) > 0.001


def test_a_plucked_note_fades_and_a_bowed_one_stays(bundled: Sampler) -> None:
    def change(program: int) -> float:
        sound = bundled.mix([one(program, duration=3.0)], 3.0)
        return float(20 * np.log10(rms(sound[2 * RATE :]) / rms(sound[RATE : 2 * RATE])))

    # TimGM6mb lets middle C of the steel guitar fall by 100 dB in 8.7 s (3747 time cents): 11.5 dB a second.
    assert change(STEEL_GUITAR) == pytest.approx(-11.5, abs=0.2)
    # A violin's sample is short and looped, with a beat in it.
    assert change(VIOLIN) == pytest.approx(0, abs=0.5)


def test_a_released_note_is_silent_soon(sampler: Sampler) -> None:
    sound = sampler.mix([one(VIOLIN, duration=0.5)], 1.5)
    assert rms(sound[: RATE // 2]) > 0.05
    assert np.abs(sound[round(1.31 * RATE) :]).max() == 0


def test_notes_begin_on_time_and_are_cut_at_the_end(bundled: Sampler) -> None:
    sound = bundled.mix([one(STEEL_GUITAR, onset=0.4, duration=9.0)], 0.6)
    assert len(sound) == round(0.6 * RATE)
    assert np.flatnonzero(np.abs(sound) > 0.01)[0] == pytest.approx(0.4 * RATE, abs=0.01 * RATE)


def test_a_note_after_the_end_adds_nothing(bundled: Sampler) -> None:
    assert not bundled.mix([one(PIANO, onset=2.0)], 1.0).any()


def test_overdriving_bends_peaks(bundled: Sampler) -> None:
    notes = tuple(Note(0.0, 1.0, pitch, 1.0) for pitch in (40, 47, 52))
    driven = bundled.mix([Part(DISTORTED_GUITAR, notes, drive=2.0)], 1.0)
    clean = bundled.mix([Part(DISTORTED_GUITAR, notes)], 1.0)
    assert np.abs(driven).max() <= 0.1
    assert np.abs(driven).max() / rms(driven) < np.abs(clean).max() / rms(clean)


@pytest.mark.parametrize("program", [PIANO, VIOLIN])
def test_what_was_played_before_does_not_matter(sampler: Sampler, program: int) -> None:
    part = Part(program, (Note(0.0, 0.31, 61, 0.5), Note(0.1, 0.07, 61, 0.7)))
    path = sampler._font.path  # the same font, nothing sounded yet
    fresh = Sampler(path, RATE).mix([part], 0.6)
    sampler.mix([one(program, 61, 0.6, duration=4.0)], 4.0)
    assert np.array_equal(sampler.mix([part], 0.6), fresh)


def test_drums_are_drums(sampler: Sampler) -> None:
    kick, hat = (sampler.mix([Part(0, (Note(0.0, 0.4, key, 1.0),), drums=True)], 0.4) for key in (36, 42))

    def centre(sound: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        return float((power * np.fft.rfftfreq(len(sound), 1 / RATE)).sum() / power.sum())

    assert centre(kick) < 1000
    assert centre(hat) > 4000
