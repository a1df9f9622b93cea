"""Requests to a model: the answers it gives, and what it refuses before decoding anything."""

import base64
import struct

import numpy as np
import pytest
from served_models import encoded, limits
from toy import pipeline

from src.data.audio import Window
from src.errors import UserError
from src.head.network import FittedNetwork, Scaling
from src.predict.mlflow_model import Answering
from src.tracking.checkpoint import TrainedModel
from src.tracking.model_card import ModelCard
from src.tracking.store import RunRecord


def model(backbone=None, window: Window | None = None) -> TrainedModel:
    weight, none = np.array([[1, 0], [0, 1]], np.float32), np.zeros(2, np.float32)
    head = FittedNetwork("linear", Scaling(np.zeros(2, np.float32), np.ones(2, np.float32)), (weight,), (none,))
    run = RunRecord("r", "r", "FINISHED", 0.0, 0.0, {}, {}, {}, "")
    card = ModelCard({}, {}, ("a", "b"), "linear", 1.0, 2.0)
    made = pipeline(backbone, window=window or Window(0.0, 1.0, None))
    return TrainedModel(run, made, head, card.classes, {}, card)


def tone(seconds: float, rate: int = 8000, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(np.arange(round(seconds * rate)) / 3)
    return np.repeat(wave[:, None], channels, axis=1)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_every_kind_of_file_is_answered(kind):
    [found] = Answering(model(), limits(), 2).answer([encoded(tone(1.0), kind=kind)])
    assert found["label"] in ("a", "b")
    assert list(found["probabilities"]) == ["a", "b"]
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-6)  # two float32, rounded
    assert found["start"] == 0
    assert found["end"] == pytest.approx(1, abs=0.1)  # a lossy file is longer by its encoder's delay


def test_a_long_file_has_its_windows_and_several_files_their_order():
    texts = [encoded(tone(3.0)), encoded(0.3 * tone(1.0, rate=16000), rate=16000), encoded(np.zeros(8000))]
    long, other, silent = Answering(model(), limits(), 2).answer(texts)
    assert [one["start"] for one in long["windows"]] == [0, 1, 2]
    assert "windows" not in other
    assert silent["probabilities"] != other["probabilities"]
    assert Answering(model(), limits(), 1).answer(texts) == [long, other, silent]
    assert Answering(model(), limits(), 1).answer([]) == []


def test_lines_of_base64_are_joined():
    text = encoded(tone(1.0))
    broken = "\n".join(text[i : i + 76] for i in range(0, len(text), 76)) + "\n"
    answering = Answering(model(), limits(), 1)
    assert answering.answer([broken]) == answering.answer([text])


def bomb() -> str:
    """40 minutes of digital silence in a few kilobytes."""
    return encoded(np.zeros(2400 * 8000, np.int16), kind="FLAC")


def crowd() -> str:
    """A WAV header of 1000 channels at 192 kHz with 700 samples each, of one byte."""
    rate, channels = 192_000, 1000
    held = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 700_000, b"WAVE", b"fmt ", 16, 1, channels, rate,
                       rate * channels, channels, 8, b"data", 700_000)  # fmt: skip
    return base64.b64encode(held + b"\x80" * 700_000).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (17, "clip 0: got int; expected an audio file as base64 text"),
        (None, "clip 0: got NoneType"),
        (b"abc", "clip 0: got bytes"),
        ("", "clip 0: empty"),
        ("no base64!", r"clip 0: not base64 \(.*base64 -w0 FILE"),
        ("aGVsbG8", r"clip 0: not base64 \(Incorrect padding\)"),
        ("ünï", "clip 0: not base64"),
        ("aGVsbG8=", "^clip 0: not readable as audio"),
        ("A" * 1_000_001, "clip 0: longer than 1 million characters"),
    ],
    ids=["number", "nothing", "bytes", "empty", "words", "padding", "letters", "no audio", "long"],
)
def test_what_is_no_audio_is_refused(text, told):
    answering = Answering(model(), limits(), 1)
    with pytest.raises(UserError, match=told):
        answering.answer([text])
    with pytest.raises(UserError, match=told.replace("clip 0", "clip 1")):
        answering.answer([encoded(tone(0.1)), text])
    assert len(answering.answer([encoded(tone(0.1))])) == 1


def test_a_claim_of_two_gigabytes_is_refused():
    content = bytearray(base64.b64decode(encoded(tone(0.1))))
    at = content.find(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 2**31 - 2**20)
    content[4:8] = struct.pack("<I", 2**31 - 2**20 + 36)
    with pytest.raises(UserError, match=r"^clip 0: truncated, its header promises 2146435072 bytes of samples"):
        Answering(model(), limits(), 1).answer([base64.b64encode(content).decode()])


def test_what_unpacks_to_too_much_is_refused_undecoded():
    with pytest.raises(UserError, match=r"^clip 0: lasts 2400 s; at most 20 s are taken"):
        Answering(model(), limits(), 1).answer([bomb()])
    with pytest.raises(UserError, match=r"^24 s of audio; at most 20 s are taken in one request"):
        Answering(model(), limits(), 1).answer([encoded(tone(12.0), kind="FLAC")] * 2)
    with pytest.raises(UserError, match=r"^4 clips in one request; at most 3"):
        Answering(model(), limits(), 1).answer([encoded(tone(0.1))] * 4)
    with pytest.raises(UserError, match=r"^clip 0: 3 million bytes decoded, more than is taken"):
        Answering(model(), limits(decoded_mb=0.5), 1).answer([crowd()])


@pytest.mark.parametrize("name", ["request_mb", "clips", "seconds", "decoded_mb"])
def test_limits_are_above_zero(name):
    with pytest.raises(UserError, match=rf"limits\.{name}=0: expected more than 0"):
        limits(**{name: type(getattr(limits(), name))(0)})
