from pathlib import Path

import numpy as np
import pytest
from audit_sounds import RATE, dataset, note, tune, write

from src.data.audio import Window
from src.data.clip import Clip
from src.data.waveform import Waveform
from src.prepare.audit.copies import Copies, Labelling, NearCopies, candidates, compare, exact, near, recordings
from src.prepare.audit.fingerprint import Fingerprint, resampled
from src.prepare.audit.measurement import measure

WHOLE = Window(0.0, None, None)

MAKERS = {
    "mp3 32 kbit/s": lambda path, x: write(path.with_suffix(".mp3"), x, bitrate_mode="CONSTANT", compression_level=0.8),
    "mp3, variable": lambda path, x: write(path.with_suffix(".mp3"), x, compression_level=0.7),
    "vorbis": lambda path, x: write(path.with_suffix(".ogg"), x, compression_level=0.9),
    "opus": lambda path, x: write(
        path.with_suffix(".opus"), resampled(Waveform(x[None], RATE), 24000), 24000, format="OGG", subtype="OPUS"
    ),
    "half the rate": lambda path, x: write(path.with_suffix(".wav"), resampled(Waveform(x[None], RATE), 11025), 11025),
    "-30 dB": lambda path, x: write(path.with_suffix(".wav"), x / 32, subtype="PCM_24"),
    "inverted, stereo": lambda path, x: write(path.with_suffix(".flac"), np.stack([-x, -0.5 * x], axis=1)),
    "cut by 0.1003 s": lambda path, x: write(path.with_suffix(".ogg"), 0.5 * x[2212:]),
    "padded by 0.2 s": lambda path, x: write(path.with_suffix(".ogg"), np.concatenate([np.zeros(4410), x])),
}


def found(root: Path, window: Window = WHOLE) -> tuple[list[Copies], list[NearCopies], Labelling]:
    made = dataset(root)
    measured, failed = measure(made, window, cache=root.parent / "cache", workers=2, progress=None)
    assert failed == {}
    labelling = Labelling(made.clips, [])
    return exact(measured, labelling), near(measured, window, labelling, workers=2), labelling


@pytest.mark.parametrize("how", MAKERS)
def test_copies_are_found_whatever_was_done_to_them(tmp_path, how):
    sounds = {"note": note(330, 0), "high": note(1500, 0), "tune": tune(0)}
    for name, sound in sounds.items():
        write(tmp_path / "data" / "original" / f"{name}.wav", sound)
        MAKERS[how](tmp_path / "data" / "copy" / name, sound)
    same, alike, _ = found(tmp_path / "data")
    assert same == []
    pairs = {tuple(sorted(Path(clip).stem for clip in pair.clips)) for pair in alike}
    assert pairs == {(name, name) for name in sounds}
    assert all(pair.across_classes and not pair.across_split for pair in alike)


def test_lag_and_gain_are_told(tmp_path):
    sound = tune(3)
    write(tmp_path / "data" / "a" / "1.wav", sound, subtype="FLOAT")
    write(tmp_path / "data" / "b" / "2.wav", sound[RATE // 2 :] / 2, subtype="FLOAT")
    (pair,) = found(tmp_path / "data")[1]
    assert pair.clips == ("a/1.wav", "b/2.wav")
    # The second begins half a second within the first, 6.02 dB below it; a quarter of a sample is 31 us.
    assert pair.lag == pytest.approx(0.5, abs=4e-5)
    assert pair.gain == pytest.approx(-6.02, abs=0.01)
    assert pair.similarity > 0.999


def test_different_notes_and_takes_are_no_copies(tmp_path):
    for step in range(25):
        write(tmp_path / "data" / "a" / f"note{step}.ogg", note(220 * 2 ** (step / 12), step))
    for take in range(100, 105):
        write(tmp_path / "data" / "b" / f"take{take}.ogg", note(330, take))
        write(tmp_path / "data" / "b" / f"tune{take}.ogg", tune(take))
    same, alike, _ = found(tmp_path / "data")
    assert (same, alike) == ([], [])


def test_an_excerpt_is_a_copy_and_a_mixture_is_not(tmp_path):
    one, other = tune(9, 6.0), tune(6, 6.0)
    write(tmp_path / "data" / "a" / "whole.wav", one)
    write(tmp_path / "data" / "b" / "excerpt.wav", one[RATE // 2 : 5 * RATE])
    # The whole piece, but another sounds with it: half of the energy is in common.
    write(tmp_path / "data" / "b" / "mixed.wav", one + other)
    (pair,) = found(tmp_path / "data")[1]
    assert pair.clips == ("a/whole.wav", "b/excerpt.wav")
    assert pair.lag == pytest.approx(0.5, abs=4e-5)


def test_takes_that_agree_only_where_they_are_loud_are_no_copies():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 1, 16000)).astype(np.float32)
    loudness = np.where(np.arange(16000) < 8000, 1, 0.2).astype(np.float32)
    taken = np.where(np.arange(16000) < 8000, one, other)
    # 25 of 26 parts of the energy are the same, but 5 of 6 of the amplitude: with a weight for each moment, no copy.
    assert compare(one * loudness, taken * loudness).similarity == pytest.approx(5 / 6, abs=0.02)
    assert compare(one * loudness, one * loudness / 7).similarity == pytest.approx(1, abs=1e-5)


def test_the_window_decides_what_is_compared(tmp_path):
    one, other = tune(7), tune(8)
    write(tmp_path / "data" / "a" / "1.wav", np.concatenate([one, other]))
    write(tmp_path / "data" / "b" / "2.wav", np.concatenate([one, tune(9)]))
    assert len(found(tmp_path / "data", Window(0.0, 4.0, None))[1]) == 1
    assert found(tmp_path / "data", Window(4.0, 4.0, None))[1] == []


def test_equal_files_are_exact_copies_and_stand_for_each_other(tmp_path):
    sound = note(440, 0)
    first = write(tmp_path / "data" / "a" / "1.wav", sound)
    (tmp_path / "data" / "a" / "2.wav").write_bytes(first.read_bytes())
    write(tmp_path / "data" / "b" / "3.flac", sound)
    write(tmp_path / "data" / "b" / "silent.wav", np.zeros(9000))
    write(tmp_path / "data" / "b" / "silence.wav", np.zeros(8000))
    same, alike, labelling = found(tmp_path / "data")
    assert [one.clips for one in same] == [("a/1.wav", "a/2.wav")]
    assert not same[0].across_classes
    assert [pair.clips for pair in alike] == [("a/1.wav", "b/3.flac")]
    (together,) = recordings([*same, *alike], labelling)
    assert together.clips == ("a/1.wav", "a/2.wav", "b/3.flac")
    assert together.across_classes


def test_chains_of_copies_are_one_recording():
    clips = [Clip(Path(f"{name}.wav"), name[0], name) for name in ("a1", "a2", "b3", "b4", "c5", "c6")]
    labelling = Labelling(clips, ["train", "train", "test", "train", "test", "test"])
    pairs = [("b3.wav", "b4.wav"), ("a1.wav", "a2.wav"), ("a2.wav", "b4.wav"), ("c5.wav", "c6.wav")]
    one, two = recordings([labelling.copies(pair) for pair in pairs], labelling)
    assert one.clips == ("a1.wav", "a2.wav", "b3.wav", "b4.wav")
    assert one.parts == ("train", "train", "test", "train")
    assert one.across_classes
    assert one.across_split
    assert (two.clips, two.across_classes, two.across_split) == (("c5.wav", "c6.wav"), False, False)


def test_hundreds_of_clips_leave_few_candidates():
    rng = np.random.default_rng(0)
    kinds = 4 * rng.standard_normal((40, 70))

    def one(kind: int) -> Fingerprint:
        spectrum = np.clip(kinds[kind] + 1.5 * rng.standard_normal(70) - 12, -25, 0)
        return Fingerprint(0.0, spectrum.astype(np.float32), 10 * rng.standard_normal((4, 100)).astype(np.float32))

    clips = [one(i % 40) for i in range(400)]
    copied = clips[365]
    clips.append(Fingerprint(0.0, copied.spectrum + np.float32(0.5), copied.course[:, 10:]))
    # Ten of each kind are near by spectrum; their courses tell them apart.
    assert candidates(clips) == [(365, 400)]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_clips_to_compare(count):
    one = Fingerprint(0.0, np.zeros(70, np.float32), np.zeros((4, 10), np.float32))
    assert candidates([one] * count) == []


def test_steady_sounds_are_compared_by_their_samples(tmp_path):
    # No ups and downs but at both ends; 440 and 441 Hz agree for a second and differ over two.
    seconds = np.arange(2 * RATE) / RATE
    for name, hz in (("440", 440), ("441", 441)):
        write(tmp_path / "data" / "a" / f"{name}.wav", 0.5 * np.sin(2 * np.pi * hz * seconds))
    write(tmp_path / "data" / "b" / "440.ogg", 0.1 * np.sin(2 * np.pi * 440 * seconds))
    assert {pair.clips for pair in found(tmp_path / "data")[1]} == {("a/440.wav", "b/440.ogg")}


@pytest.mark.parametrize(
    ("parts", "leak"),
    [
        (("train", "test"), True), (("validation", "test"), True), (("train", "validation", "test"), True),
        (("train", "validation"), False), (("test", "test"), False), (("train", "train"), False), ((), False),
    ],
)  # fmt: skip
def test_a_copy_leaks_where_a_test_clip_was_seen_before_the_test(parts, leak):
    ids = tuple("abc"[: max(len(parts), 2)])
    assert Copies(ids, ("x",) * len(ids), parts).across_split is leak
