"""The audit of a dataset, printed, written down and tracked."""

import json
import logging
import sys
import tempfile
from pathlib import Path

from omegaconf import DictConfig

from src.cli.terminal import progress_bar
from src.config import build as configure
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.data.split import Split
from src.prepare.audit import audit
from src.tracking import provenance
from src.tracking.store import Store

log = logging.getLogger(__name__)


def audit_dataset(cfg: DictConfig, dataset: Dataset, settings: DatasetSettings) -> None:
    """Report on a dataset: a table on the terminal, JSON and a figure below `reports/`, all of it in MLflow.

    Raises:
        UserError: no clip of it can be used.
    """
    paths = configure.build("paths", configure.plain_group(cfg, "paths"), Paths)
    split = configure.build("split", configure.plain_group(cfg, "split"), Split)
    report = audit(
        dataset,
        settings.window,
        split,
        configure.image_transform(
            {key: configure.plain_group(cfg, key) for key in ("dataset", "preprocess", "spectrogram")}
        ),
        cache=Path(paths.cache),
        workers=configure.workers(cfg.workers),
        progress=progress_bar(f"{dataset.name}: audit") if cfg.progress else None,
    )
    folder = Path(str(cfg.reports))
    folder.mkdir(parents=True, exist_ok=True)
    written = {f"audit-{dataset.name}.json": json.dumps(report.to_json(), indent=1, ensure_ascii=False).encode()}
    written[f"audit-{dataset.name}.txt"] = report.to_text().encode()
    with tempfile.TemporaryDirectory() as name:
        for file, content in written.items():
            (Path(name) / file).write_bytes(content)
        try:
            report.draw(Path(name) / f"audit-{dataset.name}.png")
        except Exception as error:  # the tables hold all that the picture shows
            log.warning("audit-%s.png could not be drawn (%s: %s)", dataset.name, type(error).__name__, error)
        for path in Path(name).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        tags = {
            "kind": "audit",
            "dataset": dataset.name,
            "origin": dataset.origin,
            "provenance": dataset.provenance,
            "split": split.name,
            **provenance.code_tags(),
        }
        with Store(*configure.tracking(cfg)).run(f"audit-{dataset.name}-{split.name}", tags) as run:
            run.log(metrics={f"probe/{probe.name}": probe.accuracy for probe in report.probes})
            run.artifacts(Path(name))
    sys.stdout.write(f"{report.to_text()}\n{folder}/audit-{dataset.name}.json, .txt, .png\n")
