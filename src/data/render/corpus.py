"""Scores of music21's corpus as plain lists of notes, kept as JSON because parsing takes seconds."""

import contextlib
import functools
import importlib.util
import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from src.data.writing import write_atomically
from src.errors import UserError

# Raise it when the same score would now be read differently.
FORMAT = 2

# Onset and duration in quarter notes, MIDI pitch.
ScoreNote = tuple[float, float, int]


@dataclass(frozen=True)
class Score:
    """What is played, without dynamics or tempo.

    Attributes:
        parts: for each part its notes (onset, duration, MIDI pitch), onset and duration in quarter notes, ties joined,
            grace notes left out, repeats not taken; sorted by onset.
        quarters: length in quarter notes.
        bar: length of a bar in quarter notes. metre: its time signature, e.g. `6/8`.
        tonic: pitch class of the key, 0 is C.
        minor: whether the third above the tonic is minor.
        title: as the score says it.
    """

    parts: tuple[tuple[ScoreNote, ...], ...]
    quarters: float
    bar: float
    metre: str
    tonic: int
    minor: bool
    title: str


def root() -> Path:
    """The folder of the corpus, found without importing music21.

    Raises:
        UserError: music21 is not installed.
    """
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("stand-ins are rendered from the scores that music21 brings; install it: pip install music21")
    return Path(spec.submodule_search_locations[0]) / "corpus"


@functools.cache
def files(pattern: str) -> tuple[str, ...]:
    """Paths below the corpus that match a glob, sorted."""
    return tuple(sorted(path.relative_to(root()).as_posix() for path in root().glob(pattern)))


@functools.cache
def tunes(folder: str, metres: tuple[str, ...]) -> tuple[str, ...]:
    """Files of single tunes in ABC notation whose header states one of the metres (`M:2/4`)."""
    stated = {path: re.search(r"^M: *(\S+)", (root() / path).read_text("latin-1"), re.M) for path in files(folder)}
    return tuple(path for path, metre in stated.items() if metre and metre[1] in metres)


@functools.lru_cache(maxsize=16)
def read(path: str, cache: Path) -> Score:
    """Reads a score of the corpus.

    Args:
        path: below the corpus, e.g. `mozart/k155/movement1.mxl`.
        cache: folder for the parsed scores.

    Raises:
        UserError: the installed corpus has no such score.
    """
    if not (root() / path).is_file():
        raise UserError(f"{path}: not in the corpus of music21 {version('music21')}; stand-ins need version 10")
    kept = cache / f"{path.replace('/', '-')}.music21-{version('music21')}-{FORMAT}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return _revived(json.loads(kept.read_text(encoding="utf-8")))
    from src.data.render.parse import parse

    score = parse(root() / path, path)
    cache.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, json.dumps(asdict(score), separators=(",", ":")).encode())
    return score


def prepare(path: str, cache: Path) -> None:
    """Reads a score so that it is in the cache."""
    read(path, cache)


def _revived(content: dict[str, Any]) -> Score:
    parts = tuple(tuple((onset, duration, pitch) for onset, duration, pitch in part) for part in content.pop("parts"))
    return Score(parts=parts, **content)
