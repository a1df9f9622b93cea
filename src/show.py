"""What the network sees of one file: `python -m src.show audio=FILE picture=OUT.png features=OUT.csv`."""

import csv
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../conf", config_name="show")
def main(cfg: DictConfig) -> None:
    """One file."""
    sweep.run_single(cfg, show)


def show(cfg: DictConfig) -> None:
    """Write the picture and the features of `cfg.audio` that were asked for.

    Raises:
        UserError: nothing asked for, a file that is no audio, a place that cannot be written.
    """
    from PIL import Image

    from src.config import build
    from src.data.audio import decode
    from src.data.writing import write_asked
    from src.errors import UserError, printable
    from src.features.render_stats import CONSEQUENCES

    settings = build.plain(cfg)
    picture, features = (None if cfg[key] is None else Path(str(cfg[key])) for key in ("picture", "features"))
    if picture is None and features is None:
        raise UserError("show: give picture=OUT.png, features=OUT.csv, or both")
    if picture is not None and picture.suffix.lower() != ".png":
        raise UserError(f"picture={picture}: expected a name ending in .png, since the picture is written without loss")
    audio, warnings = Path(str(cfg.audio)), []
    if picture is not None:
        image_transform = build.image_transform(settings)
        waveform, facts = decode(audio, image_transform.window)
        levels = image_transform.picture(waveform)
        warnings = image_transform.stats(waveform, levels, facts).warnings()
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, "PNG")
        write_asked(f"picture={picture}", {picture: stream.getvalue()})
        log.info("%s: %d x %d pixels", picture, levels.shape[1], levels.shape[0])
    if features is not None:
        pipeline = build.pipeline(settings, Path(str(cfg.paths.tracking)) / "jobs")
        clip = pipeline.prepare(audio)
        warnings = clip.stats.rendered.warnings()
        row = pipeline.backbone.embed([clip.value])[0]
        content = features_csv(printable(audio.name), pipeline.backbone.feature_names, row).encode()
        write_asked(f"features={features}", {features: content})
        log.info("%s: %d features of %s (%s)", features, len(row), pipeline.backbone.name, pipeline.backbone.weights)
    for kind in warnings:
        log.warning("%s: %s", printable(audio), CONSEQUENCES[kind])


def features_csv(name: str, names: list[str], row: "Float32[np.ndarray, ' features']") -> str:
    """A header and one row: the file, then a named column for each feature, as the shortest text of the same bits."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", *names])
    table.writerow([name, *(str(value) for value in row)])
    return text.getvalue()


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
