"""A sweep as a person sees it: how much lies ahead, a line per job, one table at the end, nothing hidden."""

import json
import logging
import math
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from src import entry
from src.errors import UserError

if TYPE_CHECKING:
    from src.experiment import Outcome

log = logging.getLogger(__name__)

RESULT = "result.json"
_CHANGES_NO_FEATURES = ("seed", "head", "split", "trainer", "transfer", "tracking")
# Seconds on two cores, until this machine's own are known.
_FIRST_GUESS = {"job": 6.0, "features": 40.0}


@dataclass(frozen=True)
class JobResult:
    """How one job of a sweep ended.

    Attributes:
        number: from 0. overrides: what tells it from its siblings. reason: why it failed (None: it did not).
        outcome: what a finished one has to show, as `Outcome`'s fields.
    """

    number: int
    overrides: list[str]
    reason: str | None
    outcome: dict[str, Any] | None
    seconds: float


@dataclass
class _Sweep:
    """The sweep or single job that this process started."""

    folder: Path | None = None
    jobs: int = 1
    cache: Path | None = None
    failed: bool = False


_current = _Sweep()


class SweepCallback(Callback):
    """Hydra's hooks around a multirun, in the process that started it."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Say how many jobs there are and about how long they take."""
        overrides = list(config.hydra.overrides.task)
        jobs, feature_sets = count_jobs(overrides)
        _current.folder, _current.jobs = Path(config.hydra.sweep.dir), jobs
        _current.cache = Path(config.paths.cache)
        rates = _rates(_current.cache)
        about = jobs * rates["job"] + feature_sets * rates["features"]
        ahead = f"{jobs} jobs"
        if config.hydra.job.name == "train":
            ahead += f", {feature_sets} set{'s' * (feature_sets > 1)} of features: about {duration(about)}, less where "
            ahead += "features are cached or runs are known"
        _say(f"{ahead}. Each job's log: {_current.folder}/<number>/job.log")


def run_job(cfg: DictConfig, function: Callable[[DictConfig, Path], "Outcome"]) -> None:
    """Run one job; its failure is written down and, in a sweep, stops no other.

    Raises:
        SystemExit: 1, after a single job's failure was told.
        KeyboardInterrupt: the job was interrupted; that is written down too.
    """
    hydra = HydraConfig.get()
    swept = hydra.mode == RunMode.MULTIRUN
    folder = Path(hydra.runtime.output_dir)
    number = int(hydra.job.num) if swept else 0
    overrides = list(hydra.overrides.task)
    start = time.monotonic()
    outcome, reason = None, None
    try:
        outcome = function(cfg, Path(hydra.sweep.dir) if swept else folder)
    except KeyboardInterrupt:
        _write(folder, JobResult(number, overrides, "interrupted", None, time.monotonic() - start))
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, UserError):
            log.debug("%s", traceback.format_exc())
            (folder / "traceback.txt").write_text(traceback.format_exc())
            reason += f" (traceback: {folder / 'traceback.txt'})"
    seconds = time.monotonic() - start
    shown = None if outcome is None else asdict(outcome)
    _write(folder, JobResult(number, overrides, reason, shown, seconds))
    if outcome is not None and not outcome.known:
        _remember(Path(cfg.paths.cache), outcome.seconds, seconds)
    _say_job(number, cfg, outcome, reason, seconds, swept)
    if reason is not None and not swept:
        _current.failed = True


def run_single(cfg: DictConfig, function: Callable[[DictConfig], None]) -> None:
    """Run an action that is no training job; what the person can mend is told without a traceback."""
    hydra, reason, start = HydraConfig.get(), None, time.monotonic()
    try:
        function(cfg)
    except BrokenPipeError:  # Hydra would tell it with a traceback
        entry.silence()
    except UserError as error:
        reason = str(error)
        sys.stderr.write(f"{reason}\n")
        _current.failed = True
    if hydra.mode == RunMode.MULTIRUN:
        result = JobResult(int(hydra.job.num), list(hydra.overrides.task), reason, None, time.monotonic() - start)
        _write(Path(hydra.runtime.output_dir), result)


def finish() -> bool:
    """Print the table of a sweep's jobs and the comparison of its cells; whether every job finished."""
    if _current.folder is None:
        return not _current.failed
    from src.report.sweep import summary

    results = read_results(_current.folder)
    _say(summary(results, _current.jobs))
    return len(results) == _current.jobs and all(result.reason is None for result in results)


def read_results(folder: Path) -> list[JobResult]:
    """Results of a sweep's jobs so far, in their order."""
    found = [JobResult(**json.loads(path.read_bytes())) for path in folder.glob(f"*/{RESULT}")]
    return sorted(found, key=lambda result: result.number)


def count_jobs(overrides: list[str]) -> tuple[int, int]:
    """How many jobs a sweep's overrides make, and how many different sets of features they need."""
    jobs = feature_sets = 1
    hydra = GlobalHydra.instance()  # it knows the options that a glob means
    parser = OverridesParser.create(hydra.config_loader() if hydra.is_initialized() else None)
    for override in parser.parse_overrides(overrides):
        if override.is_sweep_override():
            choices = sum(1 for _ in override.sweep_string_iterator())
            jobs *= choices
            if override.get_key_element().split(".")[0].split("@")[0] not in _CHANGES_NO_FEATURES:
                feature_sets *= choices
    return jobs, feature_sets


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say_job(
    number: int, cfg: DictConfig, outcome: "Outcome | None", reason: str | None, seconds: float, swept: bool
) -> None:
    place = f"[{number + 1}/{_current.jobs}] " if swept and _current.jobs > 1 else f"[{number + 1}] " if swept else ""
    if outcome is None:
        choices = HydraConfig.get().runtime.choices
        name = f"{choices['dataset']} {choices['preprocess']} seed={cfg.seed}"
        _say(f"{place}{name}: failed: {reason}")
        return
    tags = outcome.tags
    if outcome.known:
        name = f"{tags['dataset']} {tags['preprocess']} seed={tags['seed']}"
        known = f"known, accuracy {outcome.accuracy:.3f} [{tags['origin']}], run {outcome.run_id}"
        _say(f"{place}{name}: {known} (force=true runs it again)")
        return
    made = f"{tags['backbone']} ({tags['weights']}), {tags['head']}, {tags['origin']}"
    _say(
        f"{place}{tags['dataset']} {tags['preprocess']} seed={tags['seed']}: accuracy {outcome.accuracy:.3f} on "
        f"{outcome.test_clips} test clips [{made}] {seconds:.1f} s, run {outcome.run_id}"
    )


def _write(folder: Path, result: JobResult) -> None:
    from src.data.writing import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RESULT, json.dumps(asdict(result), ensure_ascii=False).encode())


def _rates(cache: Path) -> dict[str, float]:
    try:
        known = json.loads((cache / "rates.json").read_bytes())
        return {key: float(known.get(key, guess)) for key, guess in _FIRST_GUESS.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return dict(_FIRST_GUESS)


def _remember(cache: Path, stages: dict[str, float], seconds: float) -> None:
    """Keep a running mean of what jobs cost on this machine, for the next forecast."""
    from src.data.writing import write_atomically

    features = sum(stages.get(stage, 0.0) for stage in ("decode", "picture", "backbone"))
    rates = _rates(cache)
    measured = {"features": seconds - stages.get("fit", 0.0)} if features else {"job": seconds}
    for key, value in measured.items():
        if math.isfinite(value):
            rates[key] = 0.7 * rates[key] + 0.3 * value
    try:
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(cache / "rates.json", json.dumps(rates).encode())
    except OSError as error:
        log.debug("rates.json: %s", error)
