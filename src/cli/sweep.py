"""A sweep on the terminal: how many jobs there are, a line per job, and a table of all jobs at the end."""

import json
import logging
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from src.cli import launch, terminal
from src.config.jobs import Composer, Words, compose_once, jobs_of
from src.errors import UserError, redact

if TYPE_CHECKING:
    from src.experiment import Outcome

log = logging.getLogger(__name__)

_CHANGES_NO_FEATURES = ("seed", "head", "split", "trainer", "transfer", "tracking")
_CHANGES_NO_BACKBONE = (*_CHANGES_NO_FEATURES, "dataset", "preprocess", "spectrogram", "workers", "force", "progress")
_CHANGES_NO_COST = ("seed", "split.seed", "split.fold")
_FEATURE_STAGES = ("decode", "picture", "backbone")
_FORECAST_EVERY = 60.0
_ON_THIS_MACHINE = ("BasicLauncher", "JoblibLauncher", "LocalLauncher")
_ENDED_EARLY = "the process of this job ended before the job did (killed, or out of memory?)"


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
    """The sweep that this process belongs to, or its single job.

    Attributes:
        folder: of the results of this sweep and of no other; None outside a sweep.
        jobs: the overrides of each job; None where they are not known beforehand (another sweeper than Hydra's basic).
        failed: whether a single job failed.
        forecast: when a forecast was last printed, in seconds of the monotonic clock.
    """

    folder: Path | None = None
    jobs: Sequence[Words] | None = None
    failed: bool = False
    forecast: float = 0.0


_current = _Sweep()


class SweepCallback(Callback):
    """Hydra's hooks around a multirun and around each of its jobs.

    Every launcher hands this object on to the processes that run the jobs, and with it the folder of the results. They
    could not work it out themselves: `hydra.sweep.dir` may depend on a setting that differs from job to job.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._jobs: list[Words] | None = None

    def on_run_start(self, config: DictConfig, **_: object) -> None:
        """Make the job's folder before Hydra does, which would print a traceback where it cannot.

        Raises:
            SystemExit: 1, where the folder cannot be made.
        """
        _refuse_password(config)
        _make_folder(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        """Make the folder of the results, and print how many jobs there are.

        Raises:
            SystemExit: 1, where a setting is wrong, the folder cannot be made, or a backbone cannot be loaded.
        """
        _refuse_password(config)
        sweeper, words = config.hydra.sweeper, _typed(config.hydra)
        if str(sweeper.get("_target_")).endswith(".BasicSweeper"):
            try:
                self._jobs = jobs_of(sweeper.params or {}, words)
            except HydraException:  # the sweeper, which comes next, raises it again
                return
            compose_once()
            if config.hydra.job.name == "train":
                _check(self._jobs)
        self._folder = Path(config.hydra.sweep.dir).absolute() / f"results-{uuid.uuid4().hex[:12]}"
        _make_folder(self._folder)
        here = str(config.hydra.launcher.get("_target_")).rpartition(".")[2] in _ON_THIS_MACHINE
        if self._jobs is not None and here and config.hydra.job.name in ("train", "features"):
            _check_backbones(self._jobs, self._folder)
        self._take_over()
        _current.forecast = time.monotonic()
        ahead = "a sweep"
        if self._jobs is not None:
            ahead = f"{len(self._jobs)} job{'s' * (len(self._jobs) != 1)}"
            if config.hydra.job.name == "train":
                sets = len({_without(job, _CHANGES_NO_FEATURES) for job in self._jobs})
                ahead += f", {sets} set{'s' * (sets > 1)} of features"
        _print(f"{ahead}. Each job's log: job.log in its folder in {config.hydra.sweep.dir}")

    def on_job_start(self, config: DictConfig, **_: object) -> None:
        """Tell the process that runs a job which sweep the job belongs to."""
        if self._folder is not None:
            self._take_over()

    def _take_over(self) -> None:
        _current.folder, _current.jobs = self._folder, self._jobs


def _check(jobs: Sequence[Words]) -> None:
    """Print what is wrong with the settings before the first job; end the program where no job can run.

    Hydra only warns of other errors of a callback.
    """
    from src.config.effect import check_sweep

    try:
        for message in check_sweep(jobs):
            sys.stderr.write(f"{message}\nJobs with this setting will fail.\n")
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error


def _refuse_password(config: DictConfig) -> None:
    """Stop where Hydra would copy a password from a configuration file into each job's folder.

    Raises:
        SystemExit: 1; of other exceptions in a callback Hydra only warns.
    """
    groups = OmegaConf.to_container(config, resolve=False)
    uri = str(cast(dict[str, Any], groups).get("tracking", {}).get("uri", ""))
    if redact(uri) != uri:
        sys.stderr.write(
            f"tracking.uri={redact(uri)}: a configuration file holds a password, which would be copied into each "
            f"job's folder; put the address into the environment instead: export {launch.TRACKING_URI}=...\n"
        )
        sys.exit(1)


def _make_folder(folder: Path) -> None:
    """Make a folder that Hydra or a sweep writes to.

    Raises:
        SystemExit: 1, where it cannot be made, after the reason was printed.
    """
    from src.tracking.database import folder_trouble

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.stderr.write(f"{folder_trouble(folder, error)}\n")
        sys.exit(1)


def _typed(hydra: Any) -> list[str]:
    """The job's overrides as typed: a reference to the environment may stand for a password, and is not resolved."""
    return cast(list[str], OmegaConf.to_container(hydra.overrides.task, resolve=False))


def run_job(cfg: DictConfig, function: Callable[[DictConfig, Path], "Outcome"]) -> None:
    """Run one job and print how it ended. A job of a sweep that fails stops no other.

    Args:
        function: called with the configuration and the folder that the jobs of one sweep share.

    Raises:
        KeyboardInterrupt: the job was interrupted.
    """
    terminal.guard_streams()  # a launcher's process has streams of its own

    def run() -> dict[str, Any]:
        with shared_folder() as shared:
            return asdict(function(cfg, shared))

    _print_job(cfg, _attempt(run))
    _print_forecast()


def run_single(cfg: DictConfig, function: Callable[[DictConfig], None]) -> None:
    """Run an action that is no training job. What goes wrong is printed on standard error.

    Raises:
        KeyboardInterrupt: the action was interrupted.
    """

    def run() -> None:
        try:
            function(cfg)
        except BrokenPipeError:  # the reader of standard output has seen enough
            launch.silence()

    reason = _attempt(run).reason
    if reason is not None:
        sys.stderr.write(f"{reason}\n")


@contextmanager
def shared_folder() -> Iterator[Path]:
    """The folder that the jobs of this sweep share, and no other sweep; for a single job, a temporary one."""
    if _current.folder is not None:
        yield _current.folder
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def threads_of(launcher: Mapping[str, Any], cores: int) -> int:
    """Threads that a job may extract with, so that all jobs of this machine together use each core once.

    Args:
        launcher: Hydra's settings of it. cores: that this process may use.
    """
    if "n_jobs" in launcher:
        jobs = int(launcher["n_jobs"])
        # joblib counts -1 as all cores, -2 as all but one
        jobs = jobs if jobs > 0 else cores + 1 + jobs
        return max(1, cores // max(1, jobs))
    if "ray" in launcher:
        # Ray's own default
        return max(1, min(cores, int(launcher["ray"]["remote"].get("num_cpus", 1))))
    return max(1, min(cores, int(launcher.get("cpus_per_task") or cores)))


def share_threads(cfg: DictConfig) -> None:
    """Set `workers` to this job's part of the machine, where it is not given."""
    from src.config import build

    if cfg.workers is None and HydraConfig.initialized():
        launcher = cast(dict[str, Any], OmegaConf.to_container(HydraConfig.get().launcher, resolve=True))
        cfg.workers = threads_of(launcher, build.workers(None))


def finish() -> bool:
    """Print the table of a sweep's jobs and the comparison of its cells; whether every job finished."""
    if _current.folder is None:
        return not _current.failed
    from src.cli.sweep_table import summary

    results = read_results(_current.folder)
    jobs = len(results if _current.jobs is None else _current.jobs)
    _print(summary(results, jobs))
    return len(results) == jobs and all(result.reason is None for result in results)


def read_results(folder: Path) -> list[JobResult]:
    """Results of a sweep's jobs so far, in their order.

    Args:
        folder: of this sweep's results.
    """
    found = [JobResult(**json.loads(path.read_bytes())) for path in folder.glob("*.json") if path.stem.isdigit()]
    return sorted(found, key=lambda result: result.number)


def forecast(results: Sequence[JobResult], jobs: Sequence[Words]) -> tuple[float, float] | None:
    """Seconds that the jobs left take one after another: the least and the most that the finished ones suggest.

    A job is expected to cost what others of its kind cost, whose settings differ in no more than seed or fold; those
    that found their features in the cache count before those that computed them. A kind of which none has finished is
    expected to lie between the cheapest and the dearest job of all.

    Args:
        results: of the jobs that have ended. jobs: the overrides of every job, in order.

    Returns:
        None where nothing has finished yet, or nothing is left.
    """
    spans: dict[Words, list[tuple[float, float]]] = {}
    for result in sorted(results, key=_features):
        kind = _without(result.overrides, _CHANGES_NO_COST)
        if result.outcome is not None and (not _features(result) or kind not in spans):
            spans.setdefault(kind, []).append(_span(result))
    every = [_span(result) for result in results if result.outcome is not None]
    left = [jobs[i] for i in sorted(set(range(len(jobs))) - {result.number for result in results})]
    if not every or not left:
        return None
    likely = [spans.get(_without(job, _CHANGES_NO_COST), every) for job in left]
    return sum(min(low for low, _ in known) for known in likely), sum(
        max(high for _, high in known) for known in likely
    )


def _check_backbones(jobs: Sequence[Words], shared: Path) -> None:
    """Check each backbone of a sweep once, before the first job begins; each of its jobs would fail otherwise.

    Args:
        jobs: the overrides of each job. shared: folder that the jobs of the sweep share.

    Raises:
        SystemExit: 1, where some cannot be loaded; each is named on standard error.
    """
    from src.config import build

    compose = Composer()
    reasons: list[str] = []
    for words in dict.fromkeys(_without(job, _CHANGES_NO_BACKBONE) for job in jobs):
        try:
            cfg = compose(words)
        except UserError:  # the job itself will report it
            continue
        try:
            build.check_backbone(cfg, shared)
        except UserError as error:
            reasons.append(str(error))
    if reasons:
        sys.stderr.write("\n".join([*dict.fromkeys(reasons), "No job of the sweep was started"]) + "\n")
        sys.exit(1)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _features(result: JobResult) -> float:
    """Seconds that a job spent on features; 0 where it found them, or its run was known."""
    if result.outcome is None or result.outcome["known"]:
        return 0.0
    return float(sum(result.outcome["seconds"].get(stage, 0.0) for stage in _FEATURE_STAGES))


def _span(result: JobResult) -> tuple[float, float]:
    """The least and the most seconds that another job of this one's kind would take."""
    outcome = result.outcome or {}
    learning = sum(value for stage, value in outcome["seconds"].items() if stage not in _FEATURE_STAGES)
    if outcome["known"]:  # another may be known as well, or not
        return result.seconds, result.seconds + learning
    return (min(learning, result.seconds) if _features(result) else result.seconds), result.seconds


def _without(words: Sequence[str], keys: Sequence[str]) -> Words:
    """Overrides without those of the settings named and of what is below them."""
    names = [(word, word.partition("=")[0].lstrip("+~").partition("@")[0]) for word in words]
    return tuple(word for word, name in names if not any(name == key or name.startswith(f"{key}.") for key in keys))


def _attempt(function: Callable[[], dict[str, Any] | None]) -> JobResult:
    """Call a job's function, and keep how it ended among the results of its sweep.

    The result is there from the start, so that a job whose process is killed is not taken for one that never began.
    """
    hydra = HydraConfig.get()
    number = int(hydra.job.num) if _current.folder is not None else 0
    result = JobResult(number, _typed(hydra), _ENDED_EARLY, None, 0.0)
    _keep(result)
    start = time.monotonic()
    try:
        result = replace(result, outcome=function(), reason=None)
    except KeyboardInterrupt:
        _keep(replace(result, reason="interrupted", seconds=time.monotonic() - start))
        raise
    except UserError as error:
        result = replace(result, reason=redact(str(error)))
    except Exception as error:
        file = Path(hydra.runtime.output_dir) / "traceback.txt"
        if _current.folder is not None:
            file = _current.folder / f"{number}-traceback.txt"
        log.debug("%s", traceback.format_exc())
        file.write_text(redact(traceback.format_exc()), "utf8", "backslashreplace")
        result = replace(result, reason=f"{type(error).__name__}: {redact(str(error))} (traceback: {file})")
    result = replace(result, seconds=time.monotonic() - start)
    _keep(result)
    if result.reason is not None and _current.folder is None:
        _current.failed = True
    return result


def _keep(result: JobResult) -> None:
    from src.data.writing import write_atomically
    from src.tracking.database import folder_trouble

    if _current.folder is not None:
        content = json.dumps(asdict(result)).encode()  # a path in it need not be UTF-8
        file = _current.folder / f"{result.number}.json"
        try:
            write_atomically(file, content)
        except OSError as error:
            log.warning("%s", folder_trouble(file.parent, error))
            with suppress(OSError):
                file.write_bytes(content)  # in the place of what is there: a full disk may still take that


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _print_job(cfg: DictConfig, result: JobResult) -> None:
    place = ""
    if _current.folder is not None:
        of = f"/{len(_current.jobs)}" if _current.jobs is not None and len(_current.jobs) > 1 else ""
        place = f"[{result.number + 1}{of}] "
    if result.outcome is None:
        choices = HydraConfig.get().runtime.choices
        name = f"{choices['dataset']} {choices['preprocess']} seed={cfg.seed}"
        _print(f"{place}{name}: failed: {result.reason}")
        return
    run, tags = result.outcome, result.outcome["tags"]
    name = f"{tags['dataset']} {tags['preprocess']} seed={tags['seed']}"
    if run["known"]:
        known = f"known, accuracy {run['accuracy']:.3f} [{tags['origin']}], run {run['run_id']}"
        _print(f"{place}{name}: {known} (force=true runs it again)")
        return
    made = f"{tags['backbone']} ({tags['weights']}), {tags['head']}, {tags['origin']}"
    _print(
        f"{place}{name}: accuracy {run['accuracy']:.3f} on {run['test_clips']} test clips [{made}] "
        f"{result.seconds:.1f} s, run {run['run_id']}"
    )


def _print_forecast() -> None:
    """Once a minute, where jobs run one after another: how long those left take."""
    one_by_one = str(HydraConfig.get().launcher.get("_target_")).endswith(".BasicLauncher")
    now = time.monotonic()
    if _current.folder is None or _current.jobs is None or not one_by_one or now - _current.forecast < _FORECAST_EVERY:
        return
    if (span := forecast(read_results(_current.folder), _current.jobs)) is not None:
        low, high = duration(span[0]), duration(span[1])
        _print(f"left: {low if low == high else f'{low} to {high}'}, if the jobs left are like those so far")
        _current.forecast = now
