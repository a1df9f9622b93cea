"""The clips of a run's dataset that are nearest to a clip: to see, to hear, and to find wrong labels and copies."""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from src.cli.terminal import progress_of
from src.config import build as configure
from src.config import select_run
from src.data.audio import decode
from src.data.clip import Clip
from src.data.encode import wav
from src.data.writing import write_asked
from src.errors import UserError, printable
from src.evaluation.novelty import NearestClips
from src.evaluation.text_table import text_table
from src.features.extract import extract
from src.features.pipeline import ImageTransform
from src.tracking.checkpoint import TrainedModel
from src.tracking.figures import INK, canvas, draw_spectrogram, png
from src.tracking.predictions import PREDICTIONS, read_predictions

_COLUMNS = 4


def neighbours(cfg: DictConfig) -> None:
    """Write the clips nearest to `cfg.audio`; see conf/explain.yaml.

    Raises:
        UserError: no such run or file, or the run's clips are not there.
    """
    count = configure.parse_int("neighbours", cfg.neighbours)
    if count < 1:
        raise UserError(f"neighbours={count}: expected 1 or more")
    model, audio, out = select_run.open_model(cfg), Path(str(cfg.audio)), Path(str(cfg.out))
    prepared = model.pipeline.prepare(audio)  # what is wrong with the file is said before clips are listed
    runtime = select_run.runtime(cfg, progress_of(cfg))
    contents = select_run.clips_of(model.run, model.settings, cfg.root, runtime)
    content = select_run.store(cfg).artifact(model.run.run_id, PREDICTIONS)
    predictions = read_predictions(content, model.run.run_id)
    said = {
        clip: (label, part, predicted)
        for clip, label, part, predicted in zip(
            predictions.ids, predictions.labels, predictions.parts, predictions.predicted, strict=True
        )
    }
    extraction = extract(
        contents, model.pipeline, cache=runtime.cache, workers=runtime.workers,
        progress=runtime.progress(f"{contents.dataset.name}: features"),
    )  # fmt: skip
    features = model.embed([prepared.value])
    # the clip itself may be among them
    distances, positions = NearestClips.of(extraction.features).neighbours(features, count + 1)
    found: list[tuple[float, Clip]] = [
        (float(distance), extraction.clips[position])
        for distance, position in zip(distances[0], positions[0], strict=True)
        if extraction.clips[position].path.resolve() != audio.resolve()
    ][:count]
    rows = [
        (str(rank), f"{distance:.3f}", *said.get(clip.id, (clip.label, "", "")), clip.id)
        for rank, (distance, clip) in enumerate(found, start=1)
    ]
    probabilities = model.head.predict_proba(features)[0]
    label = model.classes[int(probabilities.argmax())]
    title = f"{printable(audio.name)}: {label} at {100 * float(probabilities.max()):.0f} %, run {model.run.run_id[:8]}"
    header = ("rank", "distance", "label", "part", "predicted", "clip")
    files = {"neighbours.csv": _csv(header, rows), "clip.wav": wav(decode(audio, model.pipeline.window)[0])}
    for (rank, _, name, *_), (_, clip) in zip(rows, found, strict=True):
        files[f"{int(rank):02d}-{name}.wav"] = wav(decode(clip.path, model.pipeline.window)[0])
    if model.pipeline.backbone.input == "picture":
        files["neighbours.png"] = _draw(model, audio, found, rows, title)
    write_asked(f"out={out}", {out / name: content for name, content in files.items()})
    sys.stdout.write(f"{title}\n{text_table(header, rows)}\n  {out}/: {', '.join(files)}\n")


def _csv(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    return text.getvalue().encode()


def _draw(
    model: TrainedModel, audio: Path, found: list[tuple[float, Clip]], rows: Sequence[tuple[str, ...]], title: str
) -> bytes:
    """The clip first, then its neighbours, as the network sees them."""
    paths = [audio, *(clip.path for _, clip in found)]
    captions = ["the clip", *(f"{row[0]}: {row[2]} ({row[3]}), {row[1]}" for row in rows)]
    height = -(-len(paths) // _COLUMNS)
    figure = canvas(11.0, 0.5 + 2.0 * height)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10, color=INK, x=0.01, ha="left")
    panels: list[Any] = list(figure.subplots(height, _COLUMNS, squeeze=False).flat)
    for axes, path, caption in zip(panels, paths, captions, strict=False):
        _panel(axes, model.pipeline.image_transform, path)
        axes.set_title(caption.replace("$", r"\$"), fontsize=8.5, loc="left", color=INK)
    for axes in panels[len(paths) :]:
        axes.set_visible(False)
    return png(figure)


def _panel(axes: Any, image_transform: ImageTransform, path: Path) -> None:
    waveform, _ = decode(path, image_transform.window)
    picture: np.ndarray = image_transform.picture(waveform)
    draw_spectrogram(axes, picture, image_transform.spectrogram, waveform.duration)
    axes.set_xlabel("")
    axes.set_ylabel("")
