"""Stored results: features, accuracies, predictions, tables and reports stay what they were while the code is rebuilt.

Everything runs through the commands, as a person starts them, and is read from what they write: images and CSV files,
MLflow's store, printed tables, report files. Nothing of src is imported. Names that may change (settings, columns,
tags) are held by the constants and the `read_...` functions below, so that a renaming changes this file and no number.

`python tests/make_golden.py` stores the results anew. Do so only after a deliberate change to what is computed (and say
in the change which results differ and why), or for a case added here; never to make a refactoring pass.
"""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image
from running import ROOT, command, environment
from sounds import make_tone

GOLDEN = ROOT / "tests" / "golden"

# --- Tolerances -------------------------------------------------------------------------------------------------------
# Levels are whole numbers cut from float32: where a sum is taken in another order, one whose value lies beside a whole
# number may differ by 1. A few such pixels move the mean of a block of 50 or more by a few hundredths at most. (Between
# instruction sets, AVX2 and SSE4, no pixel differed.)
BLOCK_LEVELS = 0.1
# Of features, relative to the largest of the clip. Networks choose kernels by the machine: between AVX2 and SSE4 the
# values checked differ by up to 1.3e-6, between OpenVINO and torch by 2e-6.
SAME_ARITHMETIC = 2e-5
# Where libraries compute otherwise than they did, a few pixels that a network sees may differ by 1 as well, 0.4 % each.
OTHER_ARITHMETIC = 2e-3
# Of probabilities, stored with four decimals; nothing differed between AVX2 and SSE4. The two most probable classes of
# every test clip are 6e-4 apart or more, so that within this no prediction, accuracy or table changes.
PROBABILITY = 2e-4
# Of percentages in a report's CSV files, computed in float64 from whole counts.
PERCENT = 1e-6


@cache
def same_arithmetic() -> bool:
    """Whether this machine and its libraries compute to the bit as those did that stored the results."""
    return read_golden("features")["arithmetic"] == arithmetic()


def arithmetic() -> str:
    """Digest of what the libraries below the features compute here: sums, transforms, elementary functions."""
    import torch

    x = np.random.default_rng(0).standard_normal(6144)
    single = torch.from_numpy(x.astype(np.float32))
    bases = single[:4096].reshape(64, 64)
    results = (
        np.sin(x), np.exp(x), np.log(np.abs(x)), np.power(np.abs(x), 0.3), np.fft.rfft(x), x.reshape(64, 96) @ x[:96],
        np.sqrt(np.mean(np.square(x))), np.sin(x.astype(np.float32)), np.log10(np.abs(x).astype(np.float32)),
        *(torch.fft.rfft(single[:n]).numpy() for n in (6144, 4096, 3072, 1000, 243)),
        (bases @ bases).numpy(), single.abs().sqrt().numpy(), torch.hann_window(2048).numpy(), single.sum().numpy(),
        torch.atan2(single, single.flip(0)).numpy(),
    )  # fmt: skip
    return hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in results)).hexdigest()


# --- Inputs of features -----------------------------------------------------------------------------------------------
def clips() -> dict[str, tuple[np.ndarray, int, str]]:
    """Samples, rate and encoding of each clip: stereo with silence in front, noise, a faint tone."""
    chord = sum(make_tone(hz, 0.3, 44100, channels=2, amplitude=0.2) for hz in (220.0, 554.37, 3520.0))
    silence = np.zeros((4410, 2), np.float32)
    return {
        "chord": (np.concatenate([silence, chord]), 44100, "PCM_16"),
        "noise": (make_tone(1000.0, 0.4, 8000, amplitude=0.1, noise=0.1, seed=1), 8000, "PCM_24"),
        "faint": (make_tone(330.0, 0.35, 22050, amplitude=0.01, noise=0.0005, seed=2), 22050, "PCM_16"),
    }


@dataclass(frozen=True)
class Case:
    """One setting of `python -m src.show`.

    Attributes:
        groups: options by group. values: settings by group, which override the options' own. clips: each a job.
        picture: whether the picture is compared, and features to the bit: not where a network computes them.
    """

    groups: dict[str, str]
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    clips: Sequence[str] = ("chord",)
    picture: bool = True


ALL = ("chord", "noise", "faint")
MARSYAS = {"backbone": "marsyas", "preprocess": "unprocessed"}
RANDOM = {"weights": "random"}
LITE0 = {"backbone": "efficientnet_lite0", "preprocess": "normalized"}
TIMM = {"backbone": "timm", "preprocess": "normalized"}


def pixels(spectrogram: str, preprocess: str = "unprocessed") -> dict[str, str]:
    return {"backbone": "pixels", "spectrogram": spectrogram, "preprocess": preprocess}


CASES = {
    # every spectrogram; of the faint clip white at the image's own maximum
    **{name: Case(pixels(name), clips=("chord", "noise")) for name in ("asperes", "mel", "phase", "sox", "waveform")},
    **{
        f"{name}_peak": Case(pixels(name), {"spectrogram": {"reference": "peak"}}, ("faint",))
        for name in ("asperes", "mel", "phase", "sox", "waveform")
    },
    "asperes_bands": Case(
        pixels("asperes"),
        {"spectrogram": {"fmin": 55.0, "fmax": 3520.0, "bins_per_octave": 24, "pixels_per_second": 50}},
    ),
    "mel_magnitude": Case(pixels("mel"), {"spectrogram": {"power": 1.0, "range_db": 60.0}}),
    "mel_linear": Case(pixels("mel"), {"spectrogram": {"range_db": None, "white_amplitude": 0.1}}),
    "mel_bands": Case(
        pixels("mel"), {"spectrogram": {"n_fft": 512, "n_mels": 40, "fmin": 100.0, "fmax": 4000.0}}, ("noise",)
    ),
    "phase_of_the_clip": Case(pixels("phase"), {"spectrogram": {"origin": "clip"}}),
    "sox_linear": Case(pixels("sox"), {"spectrogram": {"range_db": None, "white_amplitude": 0.1}}),
    "waveform_low": Case(pixels("waveform"), {"spectrogram": {"height": 40, "pixels_per_second": 200}}),
    # every condition
    **{
        name: Case(pixels("waveform", name), clips=("chord", "faint"))
        for name in ("normalized", "augmented", "repeated")
    },
    "augmented_asperes": Case(pixels("asperes", "augmented"), clips=("faint",)),
    "own_levels": Case(
        pixels("waveform", "augmented"), {"preprocess": {"name": "own", "levels_dbfs": [-40.0, -6.0]}}, ("faint",)
    ),
    # what is read of a file
    "left_channel": Case(pixels("asperes"), {"dataset": {"mono": "left"}}),
    "resampled": Case(pixels("mel"), {"dataset": {"sample_rate": 16000}}),
    "resampled_waveform": Case(pixels("waveform"), {"dataset": {"sample_rate": 11025}}, ("noise",)),
    "window": Case(pixels("waveform"), {"dataset": {"start": 0.05, "duration": 0.2}}),
    # every backbone
    "small_pixels": Case(pixels("asperes"), {"backbone": {"rows": 5, "columns": 7}}),
    "marsyas": Case(MARSYAS, clips=ALL),
    "marsyas_left_resampled": Case(MARSYAS, {"dataset": {"mono": "left", "sample_rate": 22050}}),
    "marsyas_augmented": Case({"backbone": "marsyas", "preprocess": "augmented"}, {"backbone": {"max_frames": 40}}),
    "auto": Case({"backbone": "auto", "preprocess": "normalized"}, clips=("chord",), picture=False),
    "efficientnet_lite0": Case(LITE0, {"backbone": {"engine": "openvino"}}, ("chord", "noise"), picture=False),
    "efficientnet_lite0_torch": Case(LITE0, {"backbone": {"engine": "torch"}}, picture=False),
    "efficientnet_lite0_colour": Case(
        {**LITE0, "spectrogram": "sox"}, {"backbone": {"engine": "torch"}}, picture=False
    ),
    "efficientnet_lite0_random": Case(LITE0, {"backbone": {**RANDOM, "engine": "torch"}}, picture=False),
    "efficientnet_lite0_protocol": Case(
        LITE0, {"backbone": {"scaling": "protocol", "size": 128, "antialias": False, "engine": "torch"}}, picture=False
    ),
    "inception_v3_random": Case(
        {"backbone": "inception_v3"}, {"backbone": {**RANDOM, "engine": "torch", "size": 96}}, picture=False
    ),
    "timm_random": Case(
        TIMM, {"backbone": {**RANDOM, "model": "test_resnet.r160_in1k", "engine": "torch"}}, picture=False
    ),
    "timm_random_seed": Case(
        TIMM,
        {"backbone": {**RANDOM, "weights_seed": 1, "model": "test_vit.r160_in1k", "engine": "torch"}},
        picture=False,
    ),
}  # fmt: skip

# --- Inputs of runs ---------------------------------------------------------------------------------------------------
RUN = (
    "dataset=folder",
    "dataset.root=audio",
    "dataset.group_pattern='([a-z]+/[0-9]+)_'",
    "backbone=pixels",
    "backbone.rows=4",
    "backbone.columns=4",
    "spectrogram=waveform",
    "trainer.max_steps=20",
    "trainer.validate_every=10",
    "progress=false",
    "workers=1",
)
HEADS = ("linear", "logistic", "mlp", "one_vs_one", "random_forest")
SPLITS = ("hash", "stratified", "grouped")  # and kfold in the second sweep
BY_REFERENCE = (
    "inception_2015",
    "musicnn",
    "torchaudio",
    "file",
)  # weights of their own; tests/backbone has references
BY_HAND = ("given", "folds", "leave_one_out")  # tests/data/test_layouts.py works out what they give
CONDITIONS = ("unprocessed", "normalized", "augmented", "repeated")
SWEEPS = (
    ("preprocess=unprocessed", f"head={','.join(HEADS)}", f"split={','.join(SPLITS)}", "seed=0"),
    (f"preprocess={','.join(CONDITIONS)}", "head=linear", "split=kfold", "seed=0,1"),
)


def write_dataset(folder: Path) -> None:
    """Three classes of 24 short tones in noise, which differ in pitch and level by less than classes' own spread."""
    for c, label in enumerate(("high", "low", "mid")):
        (folder / label).mkdir(parents=True)
        for i in range(24):
            level = 0.08 * (1 + c + 0.7 * (i % 3))
            sound = make_tone(300 * 1.3 ** (c + i % 2), 0.1, 8000, amplitude=level, noise=0.05, seed=100 * c + i)
            soundfile.write(folder / label / f"{i // 2:02d}_{i:02d}.wav", sound, 8000, subtype="PCM_16")


# --- Reading what the commands wrote ----------------------------------------------------------------------------------
def call(module: str, words: Iterable[str], folder: Path) -> str:
    """What a command printed on standard output; no network and no weights but the installed ones."""
    offline = {"HF_HOME": str(folder / "hub"), "HF_HUB_CACHE": str(folder / "hub")}
    done = subprocess.run(
        command([*words], module), cwd=folder, env=environment() | offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{module}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def read_golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text("utf8"))


def measure_features(folder: Path) -> dict[str, Any]:
    """By case and clip, from one sweep of `src.show`: each job is an experiment file, given with --config-dir."""
    (folder / "conf" / "experiment").mkdir(parents=True)
    for name, (samples, rate, encoding) in clips().items():
        soundfile.write(folder / f"{name}.wav", samples, rate, subtype=encoding)
    jobs = [f"golden-{name}-{clip}" for name, case in CASES.items() for clip in case.clips]
    for job in jobs:
        _, name, clip = job.split("-")
        shutil.copyfile(folder / f"{clip}.wav", folder / f"{job}.wav")
        case = CASES[name]
        settings = {
            "defaults": [{f"override /{group}": option} for group, option in case.groups.items()],
            **case.values,
        }
        text = f"# @package _global_\n{yaml.safe_dump(settings, sort_keys=False)}"
        (folder / "conf" / "experiment" / f"{job}.yaml").write_text(text, "utf8")
    own = "${hydra:runtime.choices.experiment}"
    files = [f'{key}="{own}{suffix}"' for key, suffix in (("audio", ".wav"), ("picture", ".png"), ("features", ".csv"))]
    call("src.show", ["-m", "--config-dir", "conf", f"experiment={','.join(jobs)}", *files], folder)
    return {
        job.removeprefix("golden-"): {
            **({"picture": summary_of_picture(folder / f"{job}.png")} if CASES[job.split("-")[1]].picture else {}),
            "features": summary_of_features(folder / f"{job}.csv", exact=CASES[job.split("-")[1]].picture),
        }
        for job in jobs
    }


def summary_of_picture(file: Path) -> dict[str, Any]:
    """Shape, digest of the bytes, and the mean level of each of 4 x 4 blocks (of each colour)."""
    levels = np.asarray(Image.open(file))
    assert levels.dtype == np.uint8
    blocks = [part.mean(axis=(0, 1)) for band in np.array_split(levels, 4) for part in np.array_split(band, 4, axis=1)]
    return {
        "shape": list(levels.shape),
        "sha256": hashlib.sha256(levels.tobytes()).hexdigest(),
        "blocks": np.round(blocks, 3).tolist(),
    }


def summary_of_features(file: Path, *, exact: bool) -> dict[str, Any]:
    """How many, norm, the first eight, and a sum weighted by position, which tells an exchange of two."""
    with file.open(newline="", encoding="utf8") as stream:
        header, row = csv.reader(stream)
    values = np.array(row[1:], dtype=np.float32)
    assert len(header) == len(row)
    wide = values.astype(np.float64)
    digest = {"sha256": hashlib.sha256(values.tobytes()).hexdigest()} if exact else {}
    position = (np.arange(len(wide)) + 1) / len(wide)
    return {
        "count": len(values),
        **digest,
        "largest": digits(np.abs(wide).max()),
        "norm": digits(np.linalg.norm(wide)),
        "weighted": digits(float(position @ wide) / len(wide)),
        "first": [digits(value) for value in wide[:8]],
    }


def digits(value: float) -> float:
    """Seven significant digits, as a float32 has them."""
    return float(f"{value:.7g}")


def measure_runs(folder: Path) -> dict[str, Any]:
    """Every run of the sweeps by its settings, the tables that they printed, and a report of the second sweep."""
    write_dataset(folder / "audio")
    printed = [call("src.train", ["-m", *RUN, *words], folder) for words in SWEEPS]
    report = call("src.report", ["name=compare", *RUN, *SWEEPS[1]], folder)
    return {
        "runs": read_runs(folder),
        "tables": [[read_jobs(text), read_cells(text)] for text in printed],
        "report": read_report(report, folder / "reports"),
    }


def read_runs(folder: Path) -> dict[str, Any]:
    """From MLflow's store: accuracy, macro F1, clips of each part; each clip's part, prediction and probabilities."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{(folder / 'mlruns' / 'mlflow.db').resolve()}")
    found: dict[str, Any] = {}
    for run in client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=1000):
        assert run.info.status == "FINISHED"
        tags, metrics = run.data.tags, run.data.metrics
        # the tag of some heads also names their size
        key = " ".join(tags[name].split()[0] for name in ("preprocess", "head", "split", "seed"))
        assert key not in found, "a sweep repeats nothing"
        artifacts = Path(re.sub(r"^file://", "", run.info.artifact_uri))
        with (artifacts / "predictions.csv").open(newline="", encoding="utf8") as stream:
            clips = list(csv.DictReader(stream))
        classes = sorted({clip["label"] for clip in clips})
        probabilities = np.array([[float(clip[f"p_{label}"]) for label in classes] for clip in clips])
        tested = [i for i, clip in enumerate(clips) if clip["part"] == "test"]
        found[key] = {
            "clips": hashlib.sha256(
                " ".join(clip["clip"] + "=" + clip["group"] for clip in clips).encode()
            ).hexdigest(),
            "parts": "".join(
                clip["part"][:2].replace("te", "T").replace("tr", ".").replace("va", "v") for clip in clips
            ),
            "predicted": "".join(clip["predicted"][0] for clip in clips),
            "test": np.round(probabilities[tested], 4).tolist(),
            "mean": np.round(probabilities.mean(axis=0), 5).tolist(),
            "accuracy": metrics["test/accuracy"],
            "macro_f1": metrics["test/macro_f1"],
            "recall": [metrics.get(f"test/recall/{label}") for label in classes],
            "counts": [metrics[f"clips/{part}"] for part in ("train", "validation", "test")],
        }
    return dict(sorted(found.items()))


def tables_of(text: str) -> list[list[dict[str, str]]]:
    """Printed tables as rows by column: a rule of dashes under the header says where columns are."""
    lines, tables = text.splitlines(), []
    for i, rule in enumerate(lines):
        spans = [match.span() for match in re.finditer(r"-+", rule)]
        if i == 0 or len(spans) < 2 or set(rule) != {"-", " "}:
            continue
        spans = [(low, spans[k + 1][0] if k + 1 < len(spans) else 10_000) for k, (low, _) in enumerate(spans)]
        names = [lines[i - 1][low:high].strip() for low, high in spans]
        rows = []
        for line in lines[i + 1 :]:
            if not all(line[low - 2 : low].strip() == "" for low, _ in spans[1:]) or not line.strip():
                break
            rows.append({name: line[low:high].strip() for name, (low, high) in zip(names, spans, strict=True)})
        tables.append(rows)
    return tables


def column(row: dict[str, str], name: str) -> str:
    """By the beginning of its title."""
    (value,) = [value for title, value in row.items() if title.startswith(name)]
    return value


def read_jobs(text: str) -> list[list[str]]:
    """Of a sweep's table of jobs: settings and accuracy."""
    rows = tables_of(text)[0]
    return [[column(row, "settings"), column(row, "accuracy")] for row in rows]


def read_cells(text: str) -> list[list[str]]:
    """Of a sweep's last table: condition, accuracy, interval, deviation, runs and test clips; numbers only."""
    rows = tables_of(text)[1]
    columns = ("accuracy", "95 %", "sd", "runs", "test clips")
    return sorted([column(row, "condition"), *(numbers(column(row, name)) for name in columns)] for row in rows)


def numbers(text: str) -> str:
    """The numbers in a cell, whatever the words and marks around them."""
    text = text.replace("$-$", "-").replace("−", "-").replace("\\%", "%")
    return " ".join(re.findall(r"[+-]?\d+(?:\.\d+)?", text))


def read_report(text: str, folder: Path) -> dict[str, Any]:
    """Of `name=compare`: the printed tables, both CSV files, and the rows of the LaTeX file, each as numbers by row."""
    printed = tables_of(text)
    latex = (folder / "compare.tex").read_text("utf8")
    body = [line for line in latex.splitlines() if line.endswith("\\\\") and line.startswith("audio ")]
    markdown = (folder / "compare.md").read_text("utf8").splitlines()
    return {
        "cells": [[column(row, "preprocess"), numbers(" ".join(row.values()))] for row in printed[0]],
        "pairs": [numbers(" ".join(row.values())) for row in printed[1]],
        "latex": [numbers(line.replace(" & ", "  ")) for line in body],
        "markdown": [numbers(line) for line in markdown if line.startswith("| audio ")],
        "csv": read_csv(folder / "compare.csv", ("preprocess", *CSV_CELLS)),
        "pairs_csv": read_csv(folder / "compare-comparisons.csv", CSV_PAIRS),
    }


CSV_CELLS = (
    "seeds",
    "test_clips",
    "groups",
    "accuracy",
    "sd",
    "low",
    "high",
    "macro_f1",
    "macro_f1_low",
    "macro_f1_high",
)
CSV_PAIRS = ("difference", "low", "high", "p", "p_holm", "p_sign_flip", "clips", "groups")


def read_csv(file: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf8") as stream:
        return [{name: number(row[name]) for name in names} for row in csv.DictReader(stream)]


def number(text: str) -> float | str:
    """As a number where it is one; NaN stays text, which equals itself."""
    try:
        return text if text == "nan" else float(text)
    except ValueError:
        return text


# --- Tests ------------------------------------------------------------------------------------------------------------
JOBS = [f"{name}-{clip}" for name, case in CASES.items() for clip in case.clips]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measure_features(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measure_runs(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("job", [job for job in JOBS if CASES[job.split("-")[0]].picture])
def test_pictures_are_what_they_were(features, job):
    stored, found = (every[job]["picture"] for every in (read_golden("features")["features"], features))
    assert found["shape"] == stored["shape"]
    np.testing.assert_allclose(found["blocks"], stored["blocks"], rtol=0, atol=BLOCK_LEVELS)
    if same_arithmetic():
        assert found["sha256"] == stored["sha256"], "within the tolerance, but not to the bit"


@pytest.mark.parametrize("job", JOBS)
def test_features_are_what_they_were(features, job):
    stored, found = (every[job]["features"] for every in (read_golden("features")["features"], features))
    assert found["count"] == stored["count"]
    atol = (SAME_ARITHMETIC if same_arithmetic() else OTHER_ARITHMETIC) * stored["largest"]
    np.testing.assert_allclose(found["first"], stored["first"], rtol=0, atol=atol)
    np.testing.assert_allclose(found["norm"], stored["norm"], rtol=0, atol=atol * np.sqrt(stored["count"]))
    np.testing.assert_allclose(found["weighted"], stored["weighted"], rtol=0, atol=atol)
    if same_arithmetic() and "sha256" in stored:
        assert found["sha256"] == stored["sha256"], "within the tolerance, but not to the bit"


RUN_KEYS = [" ".join(("unprocessed", head, split, "0")) for head in HEADS for split in SPLITS]
RUN_KEYS += [f"{condition} linear kfold {seed}" for condition in CONDITIONS for seed in (0, 1)]


@pytest.mark.parametrize("key", list(dict.fromkeys(RUN_KEYS)))
def test_runs_are_what_they_were(results, key):
    stored, found = (every["runs"][key] for every in (read_golden("runs"), results))
    assert [found[name] for name in ("clips", "parts", "counts")] == [
        stored[name] for name in ("clips", "parts", "counts")
    ]
    np.testing.assert_allclose(found["test"], stored["test"], rtol=0, atol=PROBABILITY)
    np.testing.assert_allclose(found["mean"], stored["mean"], rtol=0, atol=PROBABILITY)
    for name in ("predicted", "accuracy", "macro_f1", "recall"):
        assert found[name] == stored[name], name


def test_there_are_no_other_runs(results):
    assert set(results["runs"]) == set(read_golden("runs")["runs"]) == set(RUN_KEYS)


@pytest.mark.parametrize("sweep", [0, 1])
def test_the_tables_of_a_sweep_are_what_they_were(results, sweep):
    (jobs, cells), (stored_jobs, stored_cells) = results["tables"][sweep], read_golden("runs")["tables"][sweep]
    assert jobs == stored_jobs
    assert cells == stored_cells


@pytest.mark.parametrize("part", ["cells", "pairs", "latex", "markdown"])
def test_the_tables_of_a_report_are_what_they_were(results, part):
    assert results["report"][part] == read_golden("runs")["report"][part]


@pytest.mark.parametrize("part", ["csv", "pairs_csv"])
def test_the_csv_files_of_a_report_are_what_they_were(results, part):
    stored, found = read_golden("runs")["report"][part], results["report"][part]
    assert len(found) == len(stored)
    for row, expected in zip(found, stored, strict=True):
        assert row.keys() == expected.keys()
        for name, value in expected.items():
            same = pytest.approx(value, rel=0, abs=PERCENT) if isinstance(value, float) else value
            assert row[name] == same, name


@pytest.mark.parametrize("group", ["spectrogram", "preprocess", "backbone", "head", "split"])
def test_every_option_has_a_stored_result(group):
    """A new option brings its own."""
    here = {case.groups.get(group) for case in CASES.values()}
    here |= {"head": {*HEADS}, "split": {*SPLITS, "kfold", *BY_HAND}, "backbone": {*BY_REFERENCE}}.get(group, set())
    assert {file.stem for file in (ROOT / "conf" / group).glob("*.yaml")} <= here
