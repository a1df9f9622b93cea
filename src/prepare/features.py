"""Extract features ahead of training: `python -m src.prepare.features -m share=range(4) dataset=genre`."""

import logging
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from src.cli import launch, sweep

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../../conf", config_name="features")
def main(cfg: DictConfig) -> None:
    """The features of one configuration."""
    sweep.run_single(cfg, _extract)


def _extract(cfg: DictConfig) -> None:
    from src.cli.terminal import progress_of
    from src.config import build
    from src.features.extract import extract
    from src.features.labelled import Runtime, list_clips

    sweep.share_threads(cfg)
    with sweep.shared_folder() as shared:
        experiment = build.experiment(cfg, shared, own=("share",))
    runtime = Runtime(Path(experiment.paths.data), Path(experiment.paths.cache), experiment.workers, progress_of(cfg))
    title = experiment.dataset.title
    digests = list_clips(experiment.dataset, runtime, anew=build.parse_bool("force", cfg.force))
    progress = runtime.progress(f"{title}: features")
    extraction = extract(digests, experiment.pipeline, cache=runtime.cache, workers=runtime.workers, progress=progress)
    for message in extraction.failed.values():
        log.warning("%s", message)
    computed = f"{extraction.computed} of them computed by this job"
    sys.stdout.write(f"{title}: features of {len(extraction.clips)} clips, {computed}\n")


if __name__ == "__main__":
    launch.launch(main, sweep.finish)
