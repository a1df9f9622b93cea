"""What a publication hands over, and how its files come together as `<class>/<clips>` with a manifest."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from src.data import manifest
from src.data.audio import UnreadableAudio, header
from src.data.download import Progress, checksum
from src.data.duplicates import merged_groups, two_labels, two_labels_note
from src.data.writing import write_atomically
from src.errors import UserError

_log = logging.getLogger(__name__)


@runtime_checkable
class Download(Protocol):
    """`src.data.download.download` with the settings of the connection filled in."""

    def __call__(
        self,
        url: str | Sequence[str],
        destination: Path,
        *,
        md5: str | None = None,
        size: int | None = None,
        progress: Progress | None = None,
        page: str = "",
    ) -> Path:
        """See `src.data.download.download`."""


@dataclass(frozen=True)
class Piece:
    """One clip as it came.

    Attributes:
        path: where the file is now.
        label: class slug.
        name: file name in the class folder.
        group: clips that belong on one side of a split; None: not known.
        source: address or archive, and what is known of the recording.
    """

    path: Path
    label: str
    name: str
    group: str | None
    source: str


@dataclass(frozen=True)
class Collection:
    """A published dataset on this disk, not yet in its place.

    Attributes:
        provenance: publication, version, address and checksum in one line.
        licence: under which terms, or that none are stated.
        pieces: its clips.
        temporary: folders that are of no use once the clips are in their place.
        notes: what a user of the dataset should know, a line each.
    """

    provenance: str
    licence: str
    pieces: Sequence[Piece]
    temporary: Sequence[Path] = ()
    notes: Sequence[str] = ()


def against_table(pieces: Sequence[Piece], published: Sequence[int], source: str = "the paper") -> str:
    """Ending for a provenance: empty where the classes are as large as published, else what differs.

    Args:
        published: sizes of the classes, in any order.
        source: where they are published: the paper's table 1, or the dataset's own publication.
    """
    found = sorted(Counter(piece.label for piece in pieces).values(), reverse=True)
    if found == sorted(published, reverse=True):
        return ""
    note = f"; classes of {', '.join(map(str, found))} clips where {source} has {', '.join(map(str, published))}"
    _log.warning("%s", note.removeprefix("; "))
    return note


def is_ready(dataset: str, out: Path) -> bool:
    """Whether a folder holds the dataset, whole.

    Raises:
        UserError: it holds another one, or its manifest is damaged.
    """
    content = manifest.read(out)
    if content is None:
        return False
    if content.get("dataset") != dataset:
        raise UserError(f"{out}: holds the dataset {content.get('dataset')!r}, not {dataset!r}; name another folder")
    return all(clip.path.is_file() for clip in manifest.clips(out, content))


def assemble(dataset: str, out: Path, collection: Collection, progress: Progress | None) -> Path:
    """Put the clips into `out/<label>/<name>` by hard link (copy on another disk), then write the manifest.

    Groups whose clips hold the same bytes are merged.

    Raises:
        UserError: the folder holds other files, or a clip is no audio.
    """
    _check_strangers(out, collection.pieces)
    (out / manifest.NAME).unlink(missing_ok=True)
    entries: list[dict[str, Any]] = []
    for number, piece in enumerate(sorted(collection.pieces, key=lambda piece: (piece.label, piece.name)), start=1):
        digest = checksum(piece.path, "sha256")
        target = out / piece.label / piece.name
        _place(piece.path, target, digest)
        entries.append(_entry(out, target, piece, digest, collection.licence))
        if progress is not None:
            progress(f"{dataset}: clips in their place", number, len(collection.pieces))
    names = [Path(entry["file"]).with_suffix("").as_posix() for entry in entries]
    known, digests = ([entry[key] for entry in entries] for key in ("group", "digest"))
    for entry, group in zip(entries, merged_groups(names, known, digests), strict=True):
        entry["group"] = group
    labels = [entry["label"] for entry in entries]
    notes = [*collection.notes, *two_labels_note(two_labels([entry["file"] for entry in entries], labels, digests))]
    content = {
        "dataset": dataset,
        "origin": "recorded",
        "provenance": collection.provenance,
        "licence": collection.licence,
        **({"notes": notes} if notes else {}),
        "clips": entries,
    }
    write_atomically(out / manifest.NAME, json.dumps(content, indent=1, ensure_ascii=False).encode())
    for folder in collection.temporary:
        shutil.rmtree(folder)
    return out


def _check_strangers(out: Path, pieces: Sequence[Piece]) -> None:
    expected = {out / piece.label / piece.name for piece in pieces} | {out / manifest.NAME}
    there = {path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".")}
    strangers = sorted(there - expected)
    if strangers:
        raise UserError(
            f"{out}: holds {len(strangers)} files that are not of this dataset, such as {strangers[0]}; "
            "name another folder, or move them away"
        )


def _place(path: Path, target: Path, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if target.samefile(path) or checksum(target, "sha256") == digest:
            return
        raise UserError(f"{target}: is there with other content than the published clip; move it away")
    try:
        target.hardlink_to(path)
    except OSError:
        # Another disk, or one without hard links.
        temporary = target.with_name(f".{target.name}.part")
        shutil.copyfile(path, temporary)
        temporary.replace(target)


def _entry(out: Path, target: Path, piece: Piece, digest: str, licence: str) -> dict[str, Any]:
    try:
        duration = header(target).seconds
    except UnreadableAudio as error:
        raise UserError(f"{str(error).replace(str(target), str(piece.path))}; get it again") from error
    return {
        "file": target.relative_to(out).as_posix(),
        "label": piece.label,
        "group": piece.group,
        "source": piece.source,
        "licence": licence,
        "duration": round(duration, 6),
        "digest": digest,
    }
