"""A class that is made by a tone in one band is explained by that band, to see and to hear; chance explains nothing."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from tones import HERTZ, clip, image_transform, learned, settings

from src.explain.explanation import Explanation, Model, effects_csv, explain, summary
from src.explain.figure import draw, plain
from src.spectrogram.waveform import WaveformPicture

TONED = clip(301, toned=True)


@cache
def taught() -> Model:
    return learned().model


@cache
def explained() -> Explanation:
    return explain(taught(), TONED, settings(), None)


def band_of(explanation: Explanation, hertz: float = HERTZ) -> int:
    return int(np.searchsorted(-explanation.grid.hertz, -hertz)) - 1


def test_the_tones_band_carries_the_decision():
    found = explained()
    assert found.classes[found.target] == "toned"
    band = band_of(found)
    assert found.effects.bands.argmax() == band
    others = np.delete(found.effects.bands, band)
    assert found.effects.bands[band] > 2 * others.max()
    strongest = found.regions[0]
    assert strongest.hertz == (found.grid.hertz[band + 1], found.grid.hertz[band])
    assert strongest.seconds == (0.0, 1.0)  # the tone lasts for the whole clip
    assert found.chosen.share >= 0.5


def test_without_that_band_the_decision_falls_and_without_others_it_stays():
    found = explained()
    for check in (found.in_picture, found.in_sound):
        assert check.without[1] < 0.05
        assert check.only[1] > 0.9
        assert len(check.elsewhere) == 20
        assert np.median(check.elsewhere) > 0.95


def level(samples: np.ndarray, hertz: float) -> float:
    time = np.arange(len(samples)) / 16000
    return 2 * float(abs(np.mean(samples * np.exp(-2j * np.pi * hertz * time))))


def test_the_tone_is_heard_in_one_sound_and_gone_from_the_other():
    found = explained()
    only, without = found.only.samples[0], found.without.samples[0]
    np.testing.assert_allclose(only + without, TONED.samples[0], atol=2.0**-22)
    assert level(only, HERTZ) == pytest.approx(0.05, rel=0.05)  # noise of deviation 0.01 over 16000 samples: 0.0001
    assert level(without, HERTZ) < 0.002


def test_a_clip_of_the_other_class_is_explained_by_its_own():
    plain_clip = clip(302, toned=False)
    found = explain(taught(), plain_clip, settings(n_resamples=0), None)
    assert found.classes[found.target] == "plain"
    against = explain(taught(), TONED, settings(n_resamples=0), 0)
    assert against.effects.bands.argmin() == band_of(against)  # the tone speaks against it
    assert len(found.in_picture.elsewhere) == 0


def test_random_weights_explain_nothing():
    """Under shuffled heads the band's effect has either sign; under the trained one it lies far outside of them."""
    model, found = taught(), explained()
    rng = np.random.default_rng(0)
    under = []
    for _ in range(30):
        weight = rng.permutation(model.head.weights[0].ravel()).reshape(2, -1)
        other = explain(
            replace(model, head=replace(model.head, weights=(weight,))), TONED, settings(times=1, n_resamples=0), 1
        )
        under.append(other.effects.bands[band_of(other)])
    assert abs(np.mean(under)) < 3 * np.std(under) / np.sqrt(len(under))
    assert found.effects.bands[band_of(found)] > np.mean(under) + 3 * np.std(under)
    assert found.random_heads < 0.3  # two unrelated rankings of 100 cells: 0.08 on average


def test_a_head_that_learned_from_shuffled_labels_does_not_explain_by_the_tone():
    model = learned(shuffled=True).model
    ranks = []
    for seed in range(310, 314):
        found = explain(model, clip(seed, toned=True), settings(times=1, n_resamples=0), 1)
        ranks.append(found.effects.bands.argmax() == band_of(found))
    assert not all(ranks)


def test_pixels_have_no_gradients_and_say_so():
    found = explained()
    assert found.cam is None
    assert found.no_cam == "pixels is no network: it has no gradients"


def test_copies_and_pictures_without_frequencies_are_explained_in_time():
    levels = explain(
        learned(drawn=image_transform(levels=[-10.0, 0.0]), clips=6).model, TONED, settings(n_resamples=2), None
    )
    assert levels.picture.shape[1] == 200
    assert levels.only.duration == TONED.duration
    model = learned(drawn=image_transform(WaveformPicture(31, 100, "full_scale")), clips=6).model
    wave = explain(model, TONED, settings(n_resamples=2), None)
    assert wave.grid.shape == (1, 5)
    assert all(region.hertz is None for region in wave.regions)
    for found, drawn in ((levels, image_transform(levels=[-10.0, 0.0])), (wave, model.pipeline.image_transform)):
        assert draw(found, drawn, 16000, "x")[:8] == b"\x89PNG\r\n\x1a\n"
        json.dumps(summary(found, settings(), TONED), allow_nan=False)


def test_silence_has_an_explanation_too():
    silent = replace(TONED, samples=np.zeros_like(TONED.samples))
    found = explain(taught(), silent, settings(n_resamples=3), None)
    assert not found.effects.cells.any()
    assert found.regions == []
    told = summary(found, settings(), silent)
    assert told["deciding"]["share_of_brightness"] == told["deciding"]["share_of_sound_energy"] == 0
    draw(found, taught().pipeline.image_transform, 16000, "silence")


def test_the_summary_is_small_and_stable():
    told = json.loads(json.dumps(summary(explained(), settings(), TONED), allow_nan=False))
    assert list(told) == [
        "version", "predicted", "explained", "probabilities", "method", "deciding", "picture", "sound",
        "rank_correlation_with_random_heads",
    ]  # fmt: skip
    assert told["version"] == 1
    assert told["predicted"] == told["explained"] == "toned"
    assert sum(told["probabilities"].values()) == pytest.approx(1)
    region = told["deciding"]["regions"][0]
    assert list(region) == ["low_hz", "high_hz", "start_s", "end_s", "cells", "effect"]
    assert region["low_hz"] < HERTZ < region["high_hz"]
    assert told["picture"]["elsewhere"]["lowest"] <= told["picture"]["elsewhere"]["mean"]
    assert told["sound"]["without"]["toned"] < 0.05


def test_the_table_has_a_row_for_every_part():
    rows = [line.split(",") for line in effects_csv(explained()).splitlines()]
    assert rows[0][0] == "part"
    kinds = [row[0] for row in rows[1:]]
    assert [kinds.count(kind) for kind in ("band", "time", "cell")] == [20, 5, 100]
    band = max((row for row in rows if row[0] == "band"), key=lambda row: float(row[5]))
    assert float(band[1]) < HERTZ < float(band[2])
    assert band[3:5] == ["0.0000", "1.0000"]
    assert sum(int(row[7]) for row in rows if row[0] == "cell") == explained().chosen.cells.sum()


def test_names_are_not_read_as_mathematics():
    hostile = replace(explained(), classes=("a$_{$b", "$\\frac{1}{$"), no_cam="$^$")
    draw(hostile, taught().pipeline.image_transform, 16000, "$x^$ <b>")
    assert plain("$") == r"\$"
