"""Features of all files of a dataset: `python -m src.features dataset=NAME output=FILE`."""

import json
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
    sweep.run_single(cfg, export)


def export(cfg: DictConfig) -> None:
    """Compute what the cache lacks, and write a table where one is asked for; see conf/features.yaml.

    Raises:
        UserError: settings that do not fit together, files that cannot be used, a place that cannot be written.
    """
    from src.cli.terminal import progress_of
    from src.config import build
    from src.data.writing import write_asked
    from src.errors import UserError
    from src.features.labelled import Runtime, list_clips
    from src.features.table import check_output, feature_table, write
    from src.tracking.provenance import code_tags

    output = None if cfg.output is None else check_output(Path(str(cfg.output)))
    window, hop = (build.parse_seconds(name, cfg[name]) for name in ("window", "hop"))
    if hop is not None and window is None:
        raise UserError(f"hop={hop:g}: give the windows' length too, window=SECONDS")
    sweep.share_threads(cfg)
    with sweep.shared_folder() as shared:
        experiment = build.experiment(cfg, shared, own=("share", "output", "window", "hop"))
    runtime = Runtime(Path(experiment.paths.data), Path(experiment.paths.cache), experiment.workers, progress_of(cfg))
    contents = list_clips(experiment.dataset, runtime, anew=build.parse_bool("force", cfg.force))
    table, computed = feature_table(
        experiment.dataset, contents, experiment.pipeline, experiment.split, runtime, window=window, hop=hop
    )
    title, rows = experiment.dataset.title, f"{len(table.columns)} {'clips' if window is None else 'windows'}"
    sys.stdout.write(f"{title}: features of {rows}, {computed} of them computed by this job\n")
    if output is None:
        return
    write(table, output, title)
    made_by = {
        "dataset": title,
        "origin": contents.dataset.origin,
        "provenance": contents.dataset.provenance,
        "data_digest": contents.digest(),
        "rows": len(table.columns),
        "features": len(table.names),
        "pipeline": experiment.pipeline.key(),
        "window": window,
        "hop": hop,
        "split": experiment.split.key(),
        **code_tags(),
        "settings": experiment.settings,
    }
    side = output.with_name(f"{output.name}.json")
    write_asked(f"output={output}", {side: json.dumps(made_by, indent=1, ensure_ascii=False).encode()})
    sys.stdout.write(f"{output}: {len(table.columns)} rows, {len(table.names)} features; {side} says what made them\n")


if __name__ == "__main__":
    launch.launch(main, sweep.finish)
