"""New audio through a finished run: which files, how they are cut, where the answers go."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from omegaconf import DictConfig

from src.cli.terminal import progress_bar
from src.config import build as configure
from src.config import select_run
from src.data import folder, sources
from src.data.dataset import DatasetSettings
from src.data.files import irregular
from src.errors import UserError, printable
from src.evaluation.confidence import calibrated, conformal_quantile, fit_temperature, threshold_for
from src.features.render_stats import CONSEQUENCES
from src.predict.decision import Decision
from src.predict.files import predictions as classified
from src.predict.novelty import reference
from src.predict.outputs import LabelFolder, TextFile
from src.predict.windows import Cutting, Failure, Prediction
from src.predict.writers import ENDINGS, FORMATS, writer
from src.tracking.checkpoint import TrainedModel
from src.tracking.predictions import PREDICTIONS, read_predictions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What is asked for, checked before anything is loaded; see conf/predict.yaml.

    Attributes:
        start, window, hop: seconds; None: as in training.
        threshold: of the highest probability.
        error: share of wrong labels by which the threshold is chosen instead.
        coverage: of sets of labels.
        novelty: share of validation clips that would be too far from the training clips.
    """

    format: str
    out: Path | None
    start: float | None
    window: float | None
    hop: float | None
    threshold: float | None
    error: float | None
    coverage: float | None
    novelty: float | None
    merge: bool
    calibrate: bool
    resume: bool

    @classmethod
    def of(cls, cfg: DictConfig) -> "Options":
        """The options of a configuration.

        Raises:
            UserError: one that is impossible, or two that contradict each other.
        """
        out = None if cfg.out is None else Path(str(cfg.out))
        output = ENDINGS.get("" if out is None else out.suffix.lower(), "table") if cfg.output is None else cfg.output
        if output not in FORMATS:
            raise UserError(f"output={output}: expected {', '.join(FORMATS)}")
        shares = {name: _share(name, cfg[name]) for name in ("threshold", "error", "coverage", "novelty")}
        flags = {name: configure.parse_bool(name, cfg[name]) for name in ("merge", "calibrate", "resume")}
        if shares["threshold"] is not None and shares["error"] is not None:
            raise UserError("threshold and error: give one of them; error chooses the threshold")
        if flags["resume"] and (out is None or output in ("table", "json")):
            raise UserError("resume=true: give out=FILE.csv, or a folder of label files (output=audacity or raven)")
        start = 0.0 if cfg.start == 0 else configure.parse_seconds("start", cfg.start)
        window, hop = (configure.parse_seconds(name, cfg[name]) for name in ("window", "hop"))
        return cls(
            str(output), out, start, window, hop,
            shares["threshold"], shares["error"], shares["coverage"], shares["novelty"],
            flags["merge"], flags["calibrate"], flags["resume"],
        )  # fmt: skip


def predict(cfg: DictConfig) -> None:
    """Write what the model says of `cfg.audio`.

    Raises:
        UserError: no such run or model, nothing to read, or some files could not be used (after the others were).
    """
    if cfg.audio is None:
        raise UserError("audio: must be given, e.g. audio=FILE or audio=FOLDER")
    options, audio = Options.of(cfg), Path(str(cfg.audio))
    files = listed(audio)
    per_file = FORMATS[options.format].per_file and (audio.is_dir() or options.resume)
    if per_file and options.out is None:
        raise UserError(f"output={options.format}: it makes a file for each recording; give out=FOLDER")
    model = select_run.open_model(cfg)
    decision, nearest = Decision(model.classes, options.threshold or 0.0, merge=options.merge), None
    if options.calibrate or any(share is not None for share in (options.error, options.coverage, options.novelty)):
        content = select_run.store(cfg).artifact(model.run.run_id, PREDICTIONS)
        predictions = read_predictions(content, model.run.run_id)
        decision = _fitted(options, decision, *predictions.examples("validation", model.classes))
        if options.novelty is not None:
            nearest, farthest = reference(cfg, model, predictions, options.novelty)
            decision = replace(decision, farthest=farthest)
    text = writer(options.format, decision)
    output: TextFile | LabelFolder = TextFile(options.out, text)
    if per_file and options.out is not None:
        output = LabelFolder(options.out, audio, text)
    made_by = {"run": model.run.run_id, **asdict(replace(options, out=None, resume=False)), **asdict(decision)}
    with output.opened(made_by, resume=options.resume) as done:
        left = [path for path in files if printable(path) not in done]
        if len(left) < len(files):
            log.info("%d of %d files are there already", len(files) - len(left), len(files))
        cutting, workers = _cutting(cfg, model, options), configure.workers(cfg.workers)
        found = classified(left, model, cutting, workers=workers, nearest=nearest)
        failed = _write(found, len(left), output, model, _shown(cfg, options.out))
    if failed:
        raise UserError(f"{failed} of {len(files)} files could not be used; see above")


def _fitted(
    options: Options,
    decision: Decision,
    rows: Float64[np.ndarray, "clips classes"],
    targets: Int64[np.ndarray, " clips"],
) -> Decision:
    """The decision with what the run's answers for its validation clips determine.

    Args:
        rows: probabilities.
        targets: position of each clip's class.
    """
    if options.calibrate:
        decision = replace(decision, temperature=fit_temperature(rows, targets))
        rows = calibrated(rows, decision.temperature)
    if options.error is not None:
        decision = replace(decision, threshold=threshold_for(rows, targets, options.error))
    if options.coverage is not None:
        decision = replace(decision, quantile=conformal_quantile(rows, targets, options.coverage))
    sets = "" if decision.quantile is None else f", sets of the classes at {1 - decision.quantile:.3g} or more"
    log.info(
        "by %d validation clips: temperature %.3g, labels from %.3g on%s",
        len(targets), decision.temperature, decision.threshold, sets,
    )  # fmt: skip
    return decision


def listed(audio: Path) -> list[Path]:
    """The file, or the audio files in a folder and below, sorted.

    Files of formats that are not decoded, and links to what is there already, are reported as warnings.

    Raises:
        UserError: it is not there, is no regular file, holds no audio, or holds a folder that cannot be listed.
    """
    try:
        kind = irregular(audio.stat().st_mode)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        raise UserError(
            f"audio={printable(audio)}: {'no such file or folder' if missing else error.strerror}"
        ) from error
    if kind is None:
        return [audio]
    if kind != "a folder":
        raise UserError(f"audio={printable(audio)}: {kind}; expected a regular file or a folder")
    found = folder.listing(audio)
    folder.check_readable(found.unreadable, "Make them readable, or give another folder")
    if not found.audio:
        raise folder.no_audio(f"audio={printable(audio)}: no audio files in it", found)
    for note in folder.notes(found)[1]:
        log.warning("audio=%s: %s", printable(audio), note)
    return found.audio


def _cutting(cfg: DictConfig, model: TrainedModel, options: Options) -> Callable[[Path], Cutting]:
    """How each file is cut: those of the run's own dataset from its own first second on."""
    trained = configure.build("dataset", model.settings["dataset"], DatasetSettings)
    window, hop = options.window, options.hop
    if window is None and trained.window is not None:  # as in training
        window, hop = trained.window, hop or trained.hop
    plain = Cutting.of(model.pipeline.window, model.card, start=options.start, window=window, hop=hop)
    if options.start is not None or not trained.start:
        return lambda _: plain
    own = plain.after(trained.start)
    data, name = Path(str(cfg.paths.data)), trained.base or trained.title
    places = [Path(trained.root), sources.published_folder(data, name), sources.rendered_folder(data, trained)]
    homes = {place.resolve() for place in places}
    return lambda path: own if homes & set(path.resolve().parents) else plain


def _write(
    found: Iterator[Prediction | Failure],
    count: int,
    output: TextFile | LabelFolder,
    model: TrainedModel,
    tell: Callable[[int, int], None],
) -> int:
    """Rows of each file as they come; the number of files that could not be used."""
    failed, windows, begun = 0, 0, time.perf_counter()
    warned: dict[str, list[Path]] = {kind: [] for kind in CONSEQUENCES}
    for done, one in enumerate(found, start=1):
        if isinstance(one, Failure):
            failed += 1
            log.error("%s", one.reason)
        else:
            for kind in one.overall.warnings:
                warned[kind].append(one.path)
            windows += len(one.windows)
            output.write(one)
        tell(done, count)
    for kind, paths in warned.items():
        if paths:
            example = printable(paths[0])
            log.warning("%d files are %s (e.g. %s); their labels say little", len(paths), CONSEQUENCES[kind], example)
    spent = time.perf_counter() - begun
    log.info("%d files, %d windows in %.1f s; run %s", count - failed, windows, spent, model.run.run_id)
    return failed


def _shown(cfg: DictConfig, out: Path | None) -> Callable[[int, int], None]:
    """A bar, unless rows go to the same terminal."""
    wanted = configure.parse_bool("progress", cfg.progress) and (out is not None or not sys.stdout.isatty())
    return progress_bar("predict") if wanted else lambda *_: None


def _share(name: str, value: object) -> float | None:
    """A share between 0 and 1, or None where none is given.

    Raises:
        UserError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise UserError(f"{name}={value}: expected a number above 0 and below 1")
    return float(value)
