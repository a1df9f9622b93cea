"""What each part of a run costs by itself, on one thread, by pytest-benchmark.

    python -m pytest -o addopts= benchmarks/parts.py

Clips of 5 s at 44.1 kHz, EfficientNet-Lite0, 400 clips of 1280 features in 4 classes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.audio import tune
from benchmarks.networks import settings
from benchmarks.picture import spectrogram
from src.backbone.frozen import FrozenNetwork
from src.data.audio import Window, decode
from src.data.waveform import Waveform
from src.features.cache import FeatureCache
from src.head.training import LinearStep

RATE, FEATURES = 44100, 1280
ROUNDS = {"rounds": 40, "warmup_rounds": 3}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return tune(np.random.default_rng(0), "bright", 5, RATE)


@pytest.fixture(scope="module")
def network() -> FrozenNetwork:
    return settings("tf_efficientnet_lite0", None).load(workers=1)


def test_decode_a_wav(benchmark: BenchmarkFixture, samples: np.ndarray, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "clip.wav", samples, RATE, "PCM_16")
    waveform, _ = benchmark.pedantic(decode, (tmp_path / "clip.wav", Window(0, None, None)), **ROUNDS)
    assert isinstance(waveform, Waveform)


def test_draw_the_picture(benchmark: BenchmarkFixture, samples: np.ndarray) -> None:
    picture = benchmark.pedantic(spectrogram().picture, (samples, RATE), **ROUNDS)
    assert picture.shape == (121, 500)


def test_squash_it(benchmark: BenchmarkFixture, network: FrozenNetwork, samples: np.ndarray) -> None:
    picture = spectrogram().picture(samples, RATE)
    assert benchmark.pedantic(network.prepare, (picture,), **ROUNDS).shape == (3, 224, 224)


def test_embed_it(benchmark: BenchmarkFixture, network: FrozenNetwork, samples: np.ndarray) -> None:
    inputs = [network.prepare(spectrogram().picture(samples, RATE))]
    assert benchmark.pedantic(network.embed, (inputs,), **ROUNDS).shape == (1, FEATURES)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path, {"pipeline": "of the benchmark"})


def test_keep_32_clips_features(benchmark: BenchmarkFixture, cache: FeatureCache) -> None:
    numbers = iter(range(1000))
    rows = np.zeros((32, FEATURES), np.float32)

    def write() -> None:
        first = 32 * next(numbers)
        cache.write([f"{first + i:064x}" for i in range(32)], rows, dataset="benchmark")

    benchmark.pedantic(write, **ROUNDS)


def test_read_400_clips_features(benchmark: BenchmarkFixture, cache: FeatureCache) -> None:
    digests = [f"{i:064x}" for i in range(400)]
    rows = np.random.default_rng(0).random((400, FEATURES), np.float32)
    for start in range(0, 400, 32):
        cache.write(digests[start : start + 32], rows[start : start + 32], dataset="benchmark")
    assert len(benchmark.pedantic(cache.read, (digests,), **ROUNDS)) == 400


def test_take_100_steps_of_the_linear_head(benchmark: BenchmarkFixture) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(400, FEATURES, generator=generator)
    draws = torch.randint(0, 400, (100, 100), generator=generator)
    labels = torch.randint(0, 4, (400,), generator=generator)
    step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = LinearStep(torch.nn.Linear(FEATURES, 4), 0.01)

    def steps() -> None:
        for batch, answers in zip(draws, labels[draws], strict=True):
            step(features.index_select(0, batch), answers)

    benchmark.pedantic(steps, **ROUNDS)
