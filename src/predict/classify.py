"""New audio through a finished run: which files, how they are cut, where the answers go."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.cli.terminal import progress_bar
from src.config import build as configure
from src.config import select_run
from src.data import folder, sources
from src.data.dataset import DatasetSettings
from src.data.files import irregular
from src.errors import UserError, printable
from src.features.render_stats import CONSEQUENCES
from src.predict.files import predictions
from src.predict.windows import Cutting, Failure
from src.predict.writers import Writer, writer
from src.tracking.checkpoint import TrainedModel

log = logging.getLogger(__name__)


def predict(cfg: DictConfig) -> None:
    """Write what the model says of `cfg.audio`.

    Raises:
        UserError: no such run or model, nothing to read, or some files could not be used (after the others were).
    """
    if cfg.audio is None:
        raise UserError("audio: must be given, e.g. audio=FILE or audio=FOLDER")
    files = listed(Path(str(cfg.audio)))
    out = None if cfg.out is None else Path(str(cfg.out))
    start, window = (None if cfg[key] is None else _seconds(key, cfg[key]) for key in ("start", "window"))
    model = select_run.open_model(cfg)
    written = writer(_format(cfg.output, out), model.classes)
    cutting = _cutting(cfg, model, start, window)
    with _opened(out) as put:
        failed = _write(files, model, cutting, written, put, configure.workers(cfg.workers), _shown(cfg, out))
    if failed:
        raise UserError(f"{failed} of {len(files)} files could not be used; see above")


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


def _cutting(
    cfg: DictConfig, model: TrainedModel, start: float | None, window: float | None
) -> Callable[[Path], Cutting]:
    """How each file is cut: those of the run's own dataset from its own first second on."""
    plain = Cutting.of(model.pipeline.window, model.card, start=start, window=window)
    trained = configure.build("dataset", model.settings["dataset"], DatasetSettings)
    if start is not None or not trained.start:
        return lambda _: plain
    own = plain.after(trained.start)
    data, name = Path(str(cfg.paths.data)), trained.base or trained.title
    places = [Path(trained.root), sources.published_folder(data, name), sources.rendered_folder(data, trained)]
    homes = {place.resolve() for place in places}
    return lambda path: own if homes & set(path.resolve().parents) else plain


def _write(
    files: list[Path],
    model: TrainedModel,
    cutting: Callable[[Path], Cutting],
    written: Writer,
    put: Callable[[str], None],
    workers: int,
    tell: Callable[[int, int], None],
) -> int:
    """Rows of each file as they come; the number of files that could not be used."""
    failed, windows, begun = 0, 0, time.perf_counter()
    warned: dict[str, list[Path]] = {kind: [] for kind in CONSEQUENCES}
    put(written.head())
    try:
        found = predictions(files, model, cutting, workers=workers)
        for done, one in enumerate(found, start=1):
            if isinstance(one, Failure):
                failed += 1
                log.error("%s", one.reason)
            else:
                for kind in one.overall.warnings:
                    warned[kind].append(one.path)
                windows += len(one.windows)
                put(written.rows(one))
            tell(done, len(files))
    finally:
        put(written.foot())
    for kind, paths in warned.items():
        if paths:
            example = printable(paths[0])
            log.warning("%d files are %s (e.g. %s); their labels say little", len(paths), CONSEQUENCES[kind], example)
    spent = time.perf_counter() - begun
    log.info("%d files, %d windows in %.1f s; run %s", len(files) - failed, windows, spent, model.run.run_id)
    return failed


@contextmanager
def _opened(out: Path | None) -> Iterator[Callable[[str], None]]:
    """What writes a piece of text at once: to the file, or to standard output."""
    if out is None:
        yield _writing(sys.stdout)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        stream = out.open("w", encoding="utf8", newline="")
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror})") from error
    with stream:
        yield _writing(stream)


def _writing(stream: Any) -> Callable[[str], None]:
    def put(text: str) -> None:
        stream.write(text)
        stream.flush()

    return put


def _format(output: object, out: Path | None) -> str:
    """As asked for, or as the file's name ends, or a table."""
    if output is not None:
        return str(output)
    ending = "" if out is None else out.suffix.lower().removeprefix(".")
    return ending if ending in ("csv", "json") else "table"


def _shown(cfg: DictConfig, out: Path | None) -> Callable[[int, int], None]:
    """A bar, unless rows go to the same terminal."""
    wanted = configure.parse_bool("progress", cfg.progress) and (out is not None or not sys.stdout.isatty())
    return progress_bar("predict") if wanted else lambda *_: None


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name}={value}: expected seconds")
    return float(value)
