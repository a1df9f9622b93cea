import numpy as np
import pytest
from audit_sounds import Wanted, measured

from src.data.parts import Part
from src.evaluation.intervals import accuracy_interval
from src.prepare.audit.probes import PROBES, Probe, probe_all

RNG = np.random.default_rng(0)


def probed(clips: list[Wanted]) -> dict[str, Probe]:
    """Probes of some clips, every fourth of which tests."""
    parts: list[Part] = ["test" if i % 4 == 0 else "train" for i in range(len(clips))]
    return {probe.name: probe for probe in probe_all(measured({f"{i:03}": c for i, c in enumerate(clips)}), parts)}


def labels(count: int, classes: str = "ab") -> list[str]:
    """Classes in turn, a quarter of each among the test clips."""
    return [classes[i // 4 % len(classes)] for i in range(count)]


def anything() -> dict[str, float]:
    """Loudness and length that say nothing."""
    peak = RNG.uniform(0.3, 1)
    return {"rms": peak * RNG.uniform(0.1, 0.5), "peak": peak, "duration": RNG.uniform(1, 5)}


TELLTALE = {
    "duration": [{"duration": 2.0}, {"duration": 3.0}],
    # Quieter by 20 dB: once the peak is at full scale, nothing is left of it.
    "loudness": [{"rms": 0.1, "peak": 0.5}, {"rms": 0.01, "peak": 0.05}],
    "file format": [{"codec": "WAV/PCM_16"}, {"codec": "MP3/MPEG_LAYER_III"}],
}


@pytest.mark.parametrize("name", TELLTALE)
def test_what_gives_the_classes_away_is_found_and_the_rest_is_not_blamed(name):
    clips = [Wanted(label, **{**anything(), **TELLTALE[name]["ab".index(label)]}) for label in labels(240)]
    # Sizes that fit the durations: 88200 bytes a second, whatever the codec.
    clips = [Wanted(**{**vars(c), "size": round(88200 * c.duration)}) for c in clips]
    found = probed(clips)
    for probe in (found[name], found["all together"]):
        assert probe.accuracy == 1
        assert probe.warns
    for other in set(PROBES) - {name, "all together"}:
        # Thirty test clips of each class: guessing stays within three standard deviations of a half.
        assert abs(found[other].accuracy - 0.5) < 3 * 0.5 / np.sqrt(60)
        assert not found[other].warns


def test_bit_rate_counts_as_format():
    clips = [Wanted(label, size=16000 if label == "a" else 32000) for label in labels(80)]
    assert probed(clips)["file format"].accuracy == 1


def test_normalization_does_not_hide_how_dense_a_sound_is():
    # Equal peaks: RMS relative to the peak tells as much as before.
    clips = [Wanted(label, rms=0.3 if label == "a" else 0.05, peak=0.9) for label in labels(80)]
    assert probed(clips)["loudness, normalized"].accuracy == 1


def test_a_class_between_two_others_is_found():
    level = {"a": (0.01, 0.2), "b": (0.05,)}
    clips = [Wanted(label, rms=float(RNG.choice(level[label]))) for label in labels(120)]
    assert probed(clips)["loudness"].accuracy == 1


def test_silence_has_a_level_too():
    clips = [Wanted(label, rms=0.0, peak=0.0) if label == "a" else Wanted(label) for label in labels(40)]
    assert probed(clips)["loudness"].accuracy == 1


def test_chance_is_the_largest_class_of_the_test_part():
    # Of 25 test clips 20 are b; all clips look the same, so the forest answers b, the largest class in training.
    clips = [Wanted("a" if i // 4 % 5 == 0 else "b") for i in range(100)]
    for probe in probed(clips).values():
        assert (probe.clips, probe.correct, probe.chance) == (25, 20, 0.8)
        assert probe.interval == accuracy_interval(np.arange(25)[None] < 20)
        assert not probe.warns


@pytest.mark.parametrize(
    # Wilson's lower end ((p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)) is 0.502 for 60 and 0.512 for 61
    ("correct", "warns"),
    [(50, False), (59, False), (61, True), (100, True), (0, False)],
)
def test_warning_where_the_whole_interval_lies_above_chance(correct, warns):
    interval = accuracy_interval(np.arange(100)[None] < correct)
    assert Probe("x", (), correct, 100, interval, 0.5).warns is warns


def test_the_same_each_time():
    clips = [Wanted(label, **anything()) for label in labels(80)]
    assert probed(clips) == probed(clips)


@pytest.mark.parametrize("parts", [["train"] * 8, ["train", "validation", "test", "test"] * 2])
def test_nothing_to_test_or_one_class_to_learn_from(parts):
    # The second has training clips 0 and 4, both of class a.
    clips = measured({str(i): Wanted("a" if i % 4 == 0 else "b") for i in range(8)})
    assert probe_all(clips, parts) == ()


def test_without_a_split_there_are_no_probes():
    assert probe_all(measured({"x": Wanted("a"), "y": Wanted("b")}), []) == ()


def test_probes_learn_from_training_clips_alone():
    """Loudness tells the classes in training, and the other way round among the test clips: every answer is wrong."""
    clips, parts = [], []
    for i in range(60):
        part: Part = "test" if i % 3 == 0 else "train"
        label = "ab"[i % 2]
        loud = (label == "a") == (part == "train")
        clips.append(Wanted(label, rms=0.2 if loud else 0.02, peak=0.5 if loud else 0.05))
        parts.append(part)
    probes = {p.name: p for p in probe_all(measured({f"{i:03}": c for i, c in enumerate(clips)}), parts)}
    assert (probes["loudness"].correct, probes["loudness"].clips) == (0, 20)


def test_chance_is_the_largest_share_among_the_test_clips():
    made = [("train", "a")] * 10 + [("train", "b")] * 10 + [("test", "a")] * 3 + [("test", "b")]
    clips = measured({f"{i:03}": Wanted(label) for i, (_, label) in enumerate(made)})
    assert {probe.chance for probe in probe_all(clips, [part for part, _ in made])} == {3 / 4}
