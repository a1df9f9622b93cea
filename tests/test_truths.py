"""Made-up datasets whose accuracy is known beforehand, through the command.

Each clip is a sum of steady tones, each tone lights a row of the mel spectrogram, and `backbone=pixels` passes the rows
to the head. What a head may know, and what a leak would tell it, is a matter of which tones a clip holds. The expected
accuracy of each dataset is worked out beside it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

RATE = 8000
# Tones so far apart that each has rows of its own.
ROWS = {"low": 300.0, "high": 500.0, "third": 760.0, "fourth": 1100.0, "fifth": 1540.0, "sixth": 2100.0, "last": 2800.0}
SETTINGS = (
    "dataset=folder", "dataset.root=study", "preprocess=unprocessed", "backbone=pixels", "backbone.rows=40",
    "backbone.columns=1", "spectrogram=mel", "spectrogram.n_fft=512", "spectrogram.n_mels=40",
    "hydra.sweep.dir=sweep", "progress=false", "workers=2",
)  # fmt: skip
STEPPED = "linear,mlp,one_vs_one"
STEPS = ("trainer.max_steps=2000", "trainer.validate_every=2000")


def tones(levels: Mapping[str, float], seconds: float = 0.25) -> np.ndarray:
    """Steady tones by row and amplitude, faded at both ends so that nothing splatters."""
    time = np.arange(round(seconds * RATE)) / RATE
    fade = np.clip(np.minimum(time, seconds - time) / 0.05, 0, 1)
    wave = np.zeros(len(time))
    for row, amplitude in levels.items():
        wave += amplitude * np.sin(2 * np.pi * ROWS[row] * time)
    return ((0.5 - 0.5 * np.cos(np.pi * fade)) * wave).astype(np.float32)


def part_by_hash(clip: str) -> str:
    """The retraining script's rule: the SHA-1 of a name modulo 2^27, as a percentage; below 10, below 20, the rest."""
    digest = int(hashlib.sha1(clip.encode(), usedforsecurity=False).hexdigest(), 16)
    percentage = digest % 2**27 * (100 / (2**27 - 1))
    return "validation" if percentage < 10 else "test" if percentage < 20 else "train"


def named(label: str, train: int, validation: int, test: int) -> list[tuple[str, str]]:
    """Names of a class's clips and the part that the hash gives each: as many of each part as asked for."""
    left = {"train": train, "validation": validation, "test": test}
    chosen: list[tuple[str, str]] = []
    number = 0
    while any(left.values()):
        name = f"{number:04d}"
        part = part_by_hash(f"study/{label}/{name}")
        if left[part]:
            left[part] -= 1
            chosen.append((name, part))
        number += 1
    return chosen


class Study:
    """A folder of clips and the finished runs of a sweep over it."""

    def __init__(self, folder: Path, run_train: Callable[..., Any]) -> None:
        self.folder, self._run = folder, run_train

    def write(self, label: str, name: str, samples: np.ndarray) -> None:
        (self.folder / "study" / label).mkdir(parents=True, exist_ok=True)
        soundfile.write(self.folder / "study" / label / f"{name}.wav", samples, RATE, subtype="FLOAT")

    def sweep(self, *overrides: str) -> list[Any]:
        from mlflow import MlflowClient

        done = self._run(["-m", *SETTINGS, *overrides], self.folder)
        assert done.returncode == 0, done.stdout + done.stderr
        self.client = MlflowClient(f"sqlite:///{self.folder / 'mlruns' / 'mlflow.db'}")
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, "attributes.status = 'FINISHED'"))

    def artifact(self, run: Any, name: str) -> bytes:
        return Path(self.client.download_artifacts(run.info.run_id, name, str(self.folder))).read_bytes()


def accuracies(runs: Sequence[Any], *settings: str, part: str = "test") -> dict[tuple[str, ...], float]:
    """Accuracy by the values of some settings."""
    found = {tuple(run.data.params[key] for key in settings): run.data.metrics[f"{part}/accuracy"] for run in runs}
    assert len(found) == len(runs), "two runs of one setting"
    return found


@pytest.fixture
def study(tmp_path: Path, run_train: Callable[..., Any]) -> Study:
    return Study(tmp_path, run_train)


def test_heads_learn_from_training_clips_alone(study):
    """In training, low is class a and high is class b; so they are in two thirds of the validation clips. All other
    clips hold the other class's tone and one that no training clip holds, third for a and fourth for b. A head that saw
    none of them calls each by its wrong tone; one that did has learnt third and fourth.
    """
    own, other = {"a": "low", "b": "high"}, {"a": "high", "b": "low"}
    unseen = {"a": "third", "b": "fourth"}
    for label in "ab":
        counts = {"train": 0, "validation": 0, "test": 0}
        for name, part in named(label, train=24, validation=6, test=6):
            counts[part] += 1
            levels = {own[label]: 0.1 + counts[part] / 1000}  # no two clips are the same
            if part == "test" or (part == "validation" and counts[part] > 4):
                levels = {other[label]: 0.1 + counts[part] / 1000, unseen[label]: 0.1}
            study.write(label, name, tones(levels))
    runs = study.sweep("split=hash", f"head={STEPPED},logistic,random_forest", *STEPS)
    assert set(accuracies(runs, "head._target_").values()) == {0.0}
    assert set(accuracies(runs, "head._target_", part="validation").values()) == {8 / 12}


def test_features_are_scaled_by_training_clips_alone(study):
    """In training, third is a little louder in class b, always, and low against high tells the classes but for a fifth
    of the clips. Half the test clips hold third as their class does and low and high as the other class: features
    scaled by the training clips make third the better witness, so that all are right. The other clips hold third so
    loud or so soft, as their class does, that scaling by them would leave nothing of the training clips' difference.
    """
    for label, own, other, third in (("a", "low", "high", 0.010), ("b", "high", "low", 0.014)):
        counts = {"train": 0, "validation": 0, "test": 0}
        for name, part in named(label, train=30, validation=6, test=6):
            counts[part] += 1
            i = counts[part]
            row = own if part == "train" and i % 5 else other
            far = part == "validation" or (part == "test" and i > 3)
            level = (0.0 if label == "a" else 0.5) if far else third * (1 + i / 1000)
            study.write(label, name, tones({own if far else row: 0.1, "third": level}))
    runs = study.sweep("split=hash", f"head={STEPPED},logistic", "head.standardize=true", *STEPS)
    assert set(accuracies(runs, "head._target_").values()) == {1.0}


def test_only_what_a_condition_leaves_can_be_learnt(study):
    """Classes differ by loudness alone, by a power of two. As recorded it tells them; at one peak all clips are the
    same, a head has one answer for them, and half of the test clips are of each class.
    """
    for label, amplitude in (("soft", 0.5 / 64), ("loud", 0.5)):
        for name, _ in named(label, train=12, validation=3, test=3):
            study.write(label, name, tones({"third": 0.5}) * np.float32(amplitude / 0.5))
    runs = study.sweep("preprocess=unprocessed,normalized", "split=hash", "head=logistic")
    assert accuracies(runs, "preprocess.name") == {("unprocessed",): 1.0, ("normalized",): 0.5}


def test_only_what_a_channel_or_a_window_holds_can_be_learnt(study):
    """The label is in the right channel's second half, and nowhere else; what remains is the same for all clips."""
    for label, row in (("a", "low"), ("b", "high")):
        for name, _ in named(label, train=12, validation=3, test=3):
            left = np.concatenate([tones({"third": 0.1}), tones({"third": 0.1})])
            right = np.concatenate([tones({"third": 0.1}), tones({row: 0.1})])
            study.write(label, name, np.stack([left, right], axis=1))
    runs = study.sweep(
        "dataset.mono=left,mean", "dataset.start=0.0,0.25", "dataset.duration=0.25", "split=hash", "head=logistic"
    )
    found = accuracies(runs, "dataset.mono", "dataset.start")
    assert found == {("left", "0.0"): 0.5, ("mean", "0.0"): 0.5, ("left", "0.25"): 0.5, ("mean", "0.25"): 1.0}


def test_what_only_a_group_knows_does_not_help_on_other_groups(study):
    """Each of 14 recordings has a tone of its own, and the recordings next to it in pitch are of the other class.
    Excerpts of one recording on both sides of the split tell its class; a recording that was not trained on lights the
    skirts of its neighbours' rows only, and each of its excerpts is called the other class.
    """
    time = np.arange(RATE // 4) / RATE
    for recording, hertz in enumerate(250 * 2 ** (np.arange(14) / 3.9)):
        for excerpt in range(6):
            wave = np.hanning(len(time)) * (0.1 + excerpt / 1000) * np.sin(2 * np.pi * hertz * time)
            study.write("ab"[recording % 2], f"r{recording:02d}_{excerpt}", wave.astype(np.float32))
    runs = study.sweep("split=stratified,grouped", "dataset.group_pattern='/(r[0-9]+)_'", "head=logistic")
    assert accuracies(runs, "split.name") == {("stratified",): 1.0, ("grouped",): 0.0}
