"""Files through a model: their order, what is under way at once, and files that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy import Toy, pipeline

from src.data.audio import Window, decode
from src.head.network import FittedNetwork, Scaling
from src.predict.files import predictions
from src.predict.windows import Cutting, Failure
from src.tracking.checkpoint import TrainedModel
from src.tracking.model_card import ModelCard
from src.tracking.store import RunRecord

CUTTING = Cutting(first=0.0, length=1.0, whole=None, sample_rate=None)


def model_of(backbone) -> TrainedModel:
    weight, none = np.array([[1, 0], [0, 1], [1, 1]], np.float32), np.zeros(3, np.float32)
    head = FittedNetwork("linear", Scaling(np.zeros(2, np.float32), np.ones(2, np.float32)), (weight,), (none,))
    run = RunRecord("r", "r", "FINISHED", 0.0, 0.0, {}, {}, {}, "")
    card = ModelCard({}, {}, ("a", "b", "c"), "linear", 1.0, 1.0)
    return TrainedModel(run, pipeline(backbone, window=Window(0.0, 1.0, None)), head, card.classes, {}, card)


@pytest.fixture
def files(tmp_path, tone):
    """Files of 1, 2, 3, 1, 2... seconds, each of another loudness; the third is no audio."""
    paths = []
    for i in range(9):
        paths.append(tmp_path / f"{i}.wav")
        soundfile.write(paths[-1], tone(seconds=1.0 + i % 3, amplitude=0.9 / (i + 1)), 8000)
    paths[2].write_bytes(b"no audio at all")
    return paths


def alone(model: TrainedModel, path: Path, start: float) -> np.ndarray:
    waveform, _ = decode(path, Window(start, 1.0, None))
    return model.classify([model.pipeline.render(waveform)[0]])[0]


@pytest.mark.parametrize("batch", [1, 2, 4, 64])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_window_has_its_own_probabilities_in_the_order_of_the_files(files, batch, workers):
    backbone = Toy(batch_size=batch)
    model = model_of(backbone)
    found = list(predictions(files, model, lambda _: CUTTING, workers=workers))
    assert [one.path for one in found] == files
    assert isinstance(found[2], Failure)
    assert "2.wav: not readable as audio" in found[2].reason
    del found[2]
    assert [len(one.windows) for one in found] == [1, 2, 1, 2, 3, 1, 2, 3]
    for one in found:
        rows = [alone(model, one.path, float(k)) for k in range(len(one.windows))]
        assert [w.probabilities.tobytes() for w in one.windows] == [row.tobytes() for row in rows]
        assert [(w.start, w.end) for w in one.windows] == [(k, k + 1) for k in range(len(rows))]
        np.testing.assert_array_equal(one.overall.probabilities, np.mean(rows, axis=0, dtype=np.float64).astype("f4"))
        assert (one.overall.start, one.overall.end) == (0, len(rows))
    assert max(backbone.embedded) <= batch


def test_a_window_that_cannot_be_decoded_fails_its_file_alone(files, tone):
    sound = tone(seconds=3.0)
    sound[12000] = np.nan  # in the second window
    soundfile.write(files[5], sound, 8000, subtype="FLOAT")

    found = list(predictions(files, model_of(Toy()), lambda _: CUTTING, workers=2))
    assert [one.path for one in found if isinstance(one, Failure)] == [files[2], files[5]]
    assert found[5].reason.startswith(f"{files[5]}: holds samples that are not numbers")
    assert len(found) == 9


def test_a_file_that_does_not_fit_into_memory_is_named(files):
    class Exhausted(Toy):
        def prepare(self, source):
            raise MemoryError

    [found] = predictions(files[:1], model_of(Exhausted()), lambda _: CUTTING, workers=2)
    assert found.reason == f"{files[0]}: too long for this memory"


def test_a_long_file_is_read_once_whatever_seeking_in_it_costs(tmp_path, tone):
    """Windows of an Ogg file, which is decoded from its beginning on, add up to the whole; no file stays open."""
    sound = tone(seconds=20.0, noise=0.1)
    soundfile.write(tmp_path / "a.ogg", sound, 8000)
    whole, _ = decode(tmp_path / "a.ogg", Window(0.0, None, None))
    heard = []

    class Listening(Toy):
        def prepare(self, source):
            heard.append(source.samples)
            return super().prepare(source)

    before = len(list(Path("/proc/self/fd").iterdir()))
    model = model_of(Listening(input="waveform"))
    [found] = predictions([tmp_path / "a.ogg"], model, lambda _: CUTTING, workers=1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert [(w.start, w.end) for w in found.windows] == [(k, k + 1) for k in range(20)]
    np.testing.assert_array_equal(np.concatenate(heard, axis=1), whole.samples)


def test_silence_is_noted(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 8000)
    [found] = predictions([tmp_path / "a.wav"], model_of(Toy()), lambda _: CUTTING, workers=1)
    assert [one.warnings for one in found.windows] == [("silent",), ("silent",)]
    assert found.overall.warnings == ("silent",)
