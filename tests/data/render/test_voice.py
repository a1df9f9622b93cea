import numpy as np
import pytest

from src.data.render import voice
from src.data.render.sampler import Note

RATE = 44100


def sung(sex: str, pitch: int, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    notes = [Note(0.0, seconds, pitch, 0.8)]
    return voice.sing(notes, sex, round(seconds * RATE), RATE, np.random.default_rng(seed))


def spectrum(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.fft.rfftfreq(len(samples), 1 / RATE), np.abs(np.fft.rfft(samples * np.hanning(len(samples))))


@pytest.mark.parametrize(("sex", "pitch"), [("male", 48), ("male", 57), ("female", 62), ("female", 74)])
def test_the_voice_sings_the_note(sex: str, pitch: int) -> None:
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    frequencies, amplitudes = spectrum(sung(sex, pitch))
    # Harmonics stand out of the breath between them by 14 dB and more, up to the fourth, vibrato (3 %) and all.
    for harmonic in range(1, 5):
        on = amplitudes[np.abs(frequencies / hertz - harmonic) < 0.035 * harmonic].max()
        off = amplitudes[np.abs(frequencies / hertz - harmonic - 0.5) < 0.2].max()
        assert on > 5 * off


def test_vibrato_sets_in_after_the_beginning() -> None:
    samples = sung("male", 57, seconds=3.0)

    def widths(part: np.ndarray) -> float:
        frequencies, amplitudes = spectrum(part)
        near = np.abs(frequencies - 220) < 22
        power = amplitudes[near] ** 2
        centre = (power * frequencies[near]).sum() / power.sum()
        return float(np.sqrt((power * (frequencies[near] - centre) ** 2).sum() / power.sum()))

    # Half a second at 0.4 semitones' vibrato spreads 220 Hz by 3.6 Hz; a steady tone by the window's 1.7 Hz.
    assert widths(samples[: RATE // 4]) < 5.0
    early, late = widths(samples[2000 : 2000 + RATE // 4]), widths(samples[-RATE:])
    assert late > 2.5
    assert early < 5.0


def test_formants_are_those_of_the_sex() -> None:
    def peaks(sex: str, vowel: int) -> list[float]:
        tract = voice.TRACTS[sex]
        from scipy import signal

        sections = voice.resonators((*tract.vowels[vowel], tract.fourth), RATE)
        frequencies, response = signal.sosfreqz(sections, 2**14, fs=RATE)
        gain = np.abs(response)
        top = (gain[1:-1] > gain[:-2]) & (gain[1:-1] > gain[2:])
        return [float(hertz) for hertz in frequencies[1:-1][top]]

    for sex, tract in voice.TRACTS.items():
        for vowel, formants in enumerate(tract.vowels):
            wanted = (*formants, tract.fourth)
            # Neighbouring resonances pull at each other by less than their bandwidths.
            assert peaks(sex, vowel) == pytest.approx(wanted, abs=60)


def test_women_have_higher_formants_than_men() -> None:
    for low, high in zip(voice.TRACTS["male"].vowels, voice.TRACTS["female"].vowels, strict=True):
        assert all(a < b for a, b in zip(low, high, strict=True))


def test_the_voice_is_at_the_reference_level_and_silent_between_notes() -> None:
    notes = [Note(0.5, 1.0, 60, 0.8), Note(2.0, 0.8, 62, 0.8)]
    samples = voice.sing(notes, "female", 3 * RATE, RATE, np.random.default_rng(0))
    sounding = np.concatenate([samples[round(0.5 * RATE) : round(1.5 * RATE)], samples[2 * RATE : round(2.8 * RATE)]])
    # Of both together, for vowels differ in loudness by 10 dB; the edges of the notes are left out of the level.
    assert np.sqrt(np.mean(sounding**2)) == pytest.approx(0.1, rel=0.03)
    # A resonance of 80 Hz bandwidth fades by 60 dB in 30 ms; notes end over 40 ms.
    for start, end in ((0.0, 0.45), (1.6, 1.95), (2.9, 3.0)):
        assert np.abs(samples[round(start * RATE) : round(end * RATE)]).max(initial=0.0) < 1e-3


def test_no_notes_no_sound() -> None:
    assert not voice.sing([], "male", RATE, RATE, np.random.default_rng(0)).any()


def test_the_generator_decides() -> None:
    assert np.array_equal(sung("male", 50), sung("male", 50))
    assert not np.array_equal(sung("male", 50), sung("male", 50, seed=1))
