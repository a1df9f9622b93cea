"""NSynth (Engel et al. 2017): single notes of four seconds, and the three selections of the paper (section 4).

The archives are published at download.magenta.tensorflow.org/datasets/nsynth, a storage bucket whose own name has no
certificate. The first address below is the same bucket over https, the second its own name. Their lengths and MD5 are
those the bucket states, and are checked whichever sent them.

Some notes hold the same bytes: 41 of brass_acoustic_046, and two of mallet 047. Their groups are merged.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from src.data.download import Progress
from src.data.published.source import Collection, Download, Piece, against_table
from src.data.unpack import unpack
from src.errors import UserError

ARCHIVES = (
    "https://storage.googleapis.com/download.magenta.tensorflow.org/datasets/nsynth",
    "http://download.magenta.tensorflow.org/datasets/nsynth",
)
PAGE = "https://magenta.tensorflow.org/datasets/nsynth"
LICENCE = "CC BY 4.0 (Engel et al. 2017)"

# Archive to (MD5, bytes). Instruments of train are in no other archive; valid and test share theirs.
SPLITS: Mapping[str, tuple[str, int]] = {
    "train": ("fde6665a93865503ba598b9fac388660", 23_815_298_079),
    "valid": ("87e94a00a19b6dbc99cf6d4c0c0cae87", 1_068_767_009),
    "test": ("5e6f8719bf7e16ad0a00d518b78af77d", 349_501_546),
}

PITCHES = range(21, 109)
VELOCITIES = (25, 50, 75, 100, 127)
SOURCES = ("acoustic", "electronic", "synthetic")
FAMILIES = ("brass", "flute", "guitar", "keyboard", "mallet", "reed", "string", "vocal")
_FULL = len(PITCHES) * len(VELOCITIES)


@dataclass(frozen=True, slots=True)
class Note:
    """One clip of NSynth: its name, what plays it, MIDI pitch and MIDI velocity; the archive it is in."""

    name: str
    instrument: str
    family: str
    source: str
    pitch: int
    velocity: int
    split: str

    @property
    def group(self) -> str:
        """Instrument and pitch: the velocities of one key differ in little but loudness."""
        return f"{self.instrument}-{self.pitch:03d}"


def take(notes: Iterable[Note], *, instruments: int, least: int, most: int) -> list[Note]:
    """The paper's clips of one class, of which it tells the number but not the instruments.

    Only notes of a piano's 88 keys at the five velocities count. Instruments are taken whole, the one with most of
    these notes first, in the order of their names where they have equally many: `instruments` of them, then more until
    there are `least` notes. The last one gives no more than `most` notes leave room for, from its lowest pitch on.
    That the sizes in table 1 are multiples of 10 speaks for two instruments of every pitch and velocity.
    """
    playable: dict[str, list[Note]] = {}
    for note in notes:
        if note.pitch in PITCHES and note.velocity in VELOCITIES:
            playable.setdefault(note.instrument, []).append(note)
    taken: list[Note] = []
    for number, instrument in enumerate(sorted(playable, key=lambda name: (-len(playable[name]), name))):
        if number >= instruments and len(taken) >= least:
            break
        taken += sorted(playable[instrument], key=lambda note: (note.pitch, note.velocity))
    return taken[:most]


def select_family(notes: Sequence[Note]) -> dict[str, list[Note]]:
    """Acoustic, electronic and synthetic keyboards: 88 notes, 5 velocities, 2 instruments each (880 clips)."""
    chosen = {}
    for source in SOURCES:
        keyboards = (note for note in notes if note.family == "keyboard" and note.source == source)
        chosen[source] = take(keyboards, instruments=2, least=2 * _FULL, most=2 * _FULL)
    return chosen


def select_instrument(notes: Sequence[Note]) -> dict[str, list[Note]]:
    """Eight families of acoustic instruments, 650 to 880 clips each."""
    chosen = {}
    for family in FAMILIES:
        acoustic = (note for note in notes if note.family == family and note.source == "acoustic")
        chosen[family] = take(acoustic, instruments=2, least=650, most=2 * _FULL)
    return chosen


def select_organ(notes: Sequence[Note]) -> dict[str, list[Note]]:
    """Two electronic organs, 440 clips each."""
    organs = [note for note in notes if note.family == "organ" and note.source == "electronic"]
    first = take(organs, instruments=1, least=0, most=_FULL)
    others = (note for note in organs if not first or note.instrument != first[0].instrument)
    return {
        "electronic_organ_1": first,
        "electronic_organ_2": take(others, instruments=1, least=0, most=_FULL),
    }


# Dataset to its selection and its sorted cardinalities in the paper's table 1.
SELECTIONS: Mapping[str, tuple[Callable[[Sequence[Note]], dict[str, list[Note]]], tuple[int, ...]]] = {
    "nsynth_family": (select_family, (880, 880, 880)),
    "nsynth_instrument": (select_instrument, (880, 880, 880, 760, 730, 690, 670, 650)),
    "nsynth_organ": (select_organ, (440, 440)),
}


def read_notes(path: Path, split: str) -> list[Note]:
    """Notes that an archive's `examples.json` describes.

    Raises:
        UserError: it is not such a file.
    """
    try:
        # Turned into notes while reading: the train archive describes 289 205 of them in 200 MB of text.
        found = list(json.loads(path.read_bytes(), object_hook=partial(_note, split)).values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the notes of NSynth ({error!r}); remove {path.parent} and run again") from error
    if not all(isinstance(entry, Note) for entry in found):
        raise UserError(f"{path}: not the notes of NSynth; remove {path.parent} and run again")
    return found


def _note(split: str, entry: dict[str, Any]) -> Note | dict[str, Any]:
    if "note_str" not in entry:
        return entry
    name = str(entry["note_str"])
    if re.fullmatch(r"[\w-]+", name) is None:
        raise ValueError(f"{name!r} is no file name")
    return Note(
        name=name,
        instrument=str(entry["instrument_str"]),
        family=str(entry["instrument_family_str"]),
        source=str(entry["instrument_source_str"]),
        pitch=int(entry["pitch"]),
        velocity=int(entry["velocity"]),
        split=split,
    )


def collect(
    dataset: str, folder: Path, get: Download, progress: Progress | None, archives: Sequence[str]
) -> Collection:
    """Download the three archives (25 GB) and unpack what the dataset needs of them.

    Args:
        dataset: one of `SELECTIONS`.
        folder: for the archives and what is unpacked.
        get: downloads one file.
        progress: see `download`.
        archives: addresses of the folder with the three archives, tried in order.

    Raises:
        UserError: see `download`, `unpack`; or a class has no clips.
    """
    select, table = SELECTIONS[dataset]
    notes: list[Note] = []
    for split in SPLITS:
        metadata = unpack(
            _archive(folder, split, get, progress, archives),
            folder / f"nsynth-{split}.examples",
            only={f"nsynth-{split}/examples.json": "examples.json"},
            progress=progress,
        )
        notes += read_notes(metadata / "examples.json", split)
    chosen = select(notes)
    empty = [label for label, members in chosen.items() if not members]
    if empty:
        raise UserError(f"{folder}: the archives hold no notes of {', '.join(empty)}; they are not the published ones")
    temporary = {}
    for split in SPLITS:
        wanted = [note.name for members in chosen.values() for note in members if note.split == split]
        if wanted:
            temporary[split] = _unpack_notes(folder, dataset, split, wanted, progress)
    pieces = [
        Piece(temporary[note.split] / f"{note.name}.wav", label, f"{note.name}.wav", note.group, f"NSynth {note.split}")
        for label, members in chosen.items()
        for note in members
    ]
    sums = ", ".join(f"{split} {md5}" for split, (md5, _) in SPLITS.items())
    provenance = f"NSynth (Engel et al. 2017), {archives[0]}, archives by md5: {sums}{against_table(pieces, table)}"
    return Collection(provenance, LICENCE, pieces, tuple(temporary.values()))


def _archive(folder: Path, split: str, get: Download, progress: Progress | None, archives: Sequence[str]) -> Path:
    md5, size = SPLITS[split]
    name = f"nsynth-{split}.jsonwav.tar.gz"
    where = [f"{address}/{name}" for address in archives]
    return get(where, folder / name, md5=md5, size=size, progress=progress, page=PAGE)


def _unpack_notes(folder: Path, dataset: str, split: str, names: list[str], progress: Progress | None) -> Path:
    # Named by what is in it, so that what an earlier selection left is not taken for this one.
    key = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
    only = {f"nsynth-{split}/audio/{name}.wav": f"{name}.wav" for name in names}
    archive = folder / f"nsynth-{split}.jsonwav.tar.gz"
    return unpack(archive, folder / f"{dataset}-{split}-{key}", only=only, progress=progress)
