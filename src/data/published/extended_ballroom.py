"""Extended Ballroom (Marchand and Peeters 2016): 4180 clips of 30 seconds in 13 dance styles.

What is published is an XML file with, for each clip, its identifier, the MD5 of its MP3 and the clips it repeats; the
clips themselves stay with a dealer in dance music, one address each. Which of them can still be had is the dealer's
affair, so clips that a person has are taken from the download folder, by identifier and MD5.
"""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from src.data.download import Progress, checksum
from src.data.duplicates import connected
from src.data.published.source import Collection, Download, Piece, against_table
from src.data.unpack import unpack
from src.errors import UserError

# The page is the one that users of the set cite. The file's own address is not confirmed: it is where the author's
# other sets are attached. A failed download names the page.
PAGE = "http://anasynth.ircam.fr/home/media/ExtendedBallroom"
# Of the XML file within it: 666 731 bytes, 4180 songs, of which 105714 and 105715 are the same bytes under two labels.
METADATA_SHA256 = "a28cdd10086f2872a6bf35dbb68935eed5c507d1ae008c74f0c99e47c8888d08"
METADATA = "http://anasynth.ircam.fr/home/system/files/attachment_uploads/marchand/private/extendedballroom_v1.1.zip"
CLIPS = "http://media.ballroomdancers.com/mp3"
LICENCE = "not stated; excerpts of commercial recordings"

# The paper's table 1; the sum is the 4180 of the publication.
CARDINALITIES = (529, 507, 497, 470, 468, 464, 455, 350, 252, 65, 53, 47, 23)
# Element of the XML, which is also the publication's folder name, in lower case, to class slug.
LABELS = {
    "chacha": "chacha",
    "foxtrot": "foxtrot",
    "jive": "jive",
    "pasodoble": "pasodoble",
    "quickstep": "quickstep",
    "rumba": "rumba",
    "salsa": "salsa",
    "samba": "samba",
    "slowwaltz": "slowwaltz",
    "tango": "tango",
    "viennesewaltz": "viennese_waltz",
    "waltz": "waltz",
    "wcswing": "wcswing",
}
_CONNECTIONS = 4
# So many failures before the first success mean that the server, not a clip, is gone.
_HOPELESS = 8


@dataclass(frozen=True)
class Song:
    """One clip as the XML describes it.

    Attributes:
        id: the publication's number of the clip. folder: its element in the XML. label: its class slug.
        md5: of the MP3, hex.
        title: title, artist and album as far as they are given.
        repeats: ids of clips that are the same recording (`exact`, `time`), the same song without its voice
            (`karaoke`), or another version of the song (`version`).
    """

    id: str
    folder: str
    label: str
    md5: str
    title: str
    repeats: tuple[str, ...]


def read_songs(path: Path) -> list[Song]:
    """Songs that the publication's XML file describes, in its order.

    Raises:
        UserError: it is not that file.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("it defines entities, which the published file does not")
        root = ElementTree.fromstring(text)  # noqa: S314  # no document type, so no entities to expand or fetch
        songs = [_song(folder.tag, element) for folder in root for element in folder]
        if not songs:
            raise ValueError("it holds no songs")
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        raise UserError(
            f"{path}: not the metadata of Extended Ballroom ({error}); remove it and get it again from {PAGE}"
        ) from error
    return songs


def groups(songs: Sequence[Song]) -> dict[str, str]:
    """Id of each song to the name of its group: songs that repeat one another, directly or through others.

    The same bytes under two ids are one group, too. A group is named by the smallest of its ids.
    """
    # Digits sort before "md5", so that the smallest key is always an id.
    smallest = connected((song.id, *song.repeats, f"md5 {song.md5}") for song in songs)
    return {song.id: smallest[song.id] for song in songs}


def collect(
    folder: Path,
    get: Download,
    progress: Progress | None,
    *,
    metadata: Sequence[str],
    clips: Sequence[str],
    published: bool,
    allow_missing: bool,
) -> Collection:
    """Download the metadata, then every clip that is not in the folder yet.

    Args:
        folder: for the metadata and the clips; MP3 files in it or below, named by their id, are used.
        get: downloads one file.
        progress: called with the number of clips had and of all.
        metadata: addresses of the zip with the XML, tried in order.
        clips: addresses of the folder with the MP3 files, tried in order.
        published: whether the metadata must be those of the publication; from an address that a person named others
            are used, and told in a note.
        allow_missing: make do with the clips that can be had.

    Raises:
        UserError: no metadata; clips missing without `allow_missing`, or all of them.
    """
    description = _description(folder, get, progress, metadata)
    songs = read_songs(description)
    digest = checksum(description, "sha256")
    notes = []
    if digest != METADATA_SHA256:
        other = f"its sha256 is {digest}, that of the published metadata {METADATA_SHA256}"
        if published:
            raise UserError(f"{description}: not the metadata of Extended Ballroom v1.1: {other}. Get it from {PAGE}")
        notes.append(f"{description.name} is not the published metadata: {other}")
    paths, failures = _clips(folder, songs, get, progress, clips)
    if failures and (not paths or not allow_missing):
        raise UserError(_missing_text(folder, songs, failures))
    group = groups(songs)
    pieces = [
        Piece(paths[song.id], song.label, f"{song.id}.mp3", group[song.id], f"{clips[0]}/{song.id}.mp3 ({song.title})")
        for song in {(song.label, song.id): song for song in songs}.values()
        if song.id in paths
    ]
    provenance = (
        f"Extended Ballroom v1.1 (Marchand and Peeters 2016), {description.name} from {PAGE} "
        f"(sha256 {digest}), clips from {clips[0]}, each by its published md5"
        f"{against_table(pieces, CARDINALITIES)}"
    )
    return Collection(provenance, LICENCE, pieces, notes=notes)


def _song(folder: str, element: ElementTree.Element) -> Song:
    number, md5 = element.attrib["id"], element.attrib["hash"].lower()
    if folder.lower() not in LABELS:
        raise ValueError(f"unknown class {folder!r}")
    if re.fullmatch(r"\w+", number) is None or re.fullmatch(r"[0-9a-f]{32}", md5) is None:
        raise ValueError(f"a song with the id {number!r} and the hash {md5!r}")
    known = [element.attrib.get(key, "") for key in ("title", "artist", "album")]
    repeats = tuple(child.attrib["id"] for child in element if "id" in child.attrib)
    return Song(number, folder, LABELS[folder.lower()], md5, ", ".join(filter(None, known)), repeats)


def _description(folder: Path, get: Download, progress: Progress | None, addresses: Sequence[str]) -> Path:
    """The XML file: put there by hand, or from the published zip."""
    by_hand = folder / "extendedballroom_v1.1.xml"
    if by_hand.is_file():
        return by_hand
    archive = get(addresses, folder / "extendedballroom_v1.1.zip", progress=progress, page=PAGE)
    inner = unpack(archive, folder / "extendedballroom_v1.1")
    found = sorted(path for path in inner.rglob("*.xml") if not path.name.startswith("."))
    if len(found) != 1:
        raise UserError(
            f"{archive}: holds {len(found)} XML files where the published archive holds one; "
            f"get {by_hand.name} from {PAGE} and put it at {by_hand}"
        )
    return found[0]


def _clips(
    folder: Path, songs: Sequence[Song], get: Download, progress: Progress | None, addresses: Sequence[str]
) -> tuple[dict[str, Path], dict[str, str]]:
    """Files by id, and by id what went wrong with those that could not be had."""
    # Some copies of the set are named `Waltz.100601.mp3`.
    there = {path.stem.rpartition(".")[2]: path for path in sorted(folder.rglob("*.mp3"))}
    paths: dict[str, Path] = {}
    failures: dict[str, str] = {}
    lock = threading.Lock()

    def fetch(song: Song) -> None:
        if not paths and len(failures) >= _HOPELESS:
            failures[song.id] = "not tried, since none before it could be had"
            return
        present = there.get(song.id)
        try:
            if present is not None and checksum(present, "md5") == song.md5:
                found = present
            else:
                where = [f"{address}/{song.id}.mp3" for address in addresses]
                found = get(where, _place(folder, song), md5=song.md5)
        except UserError as error:
            failures[song.id] = str(error)
            return
        with lock:
            paths[song.id] = found
            if progress is not None:
                progress("ballroom: clips", len(paths), len(songs))

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(fetch, {song.id: song for song in songs}.values()))
    return paths, failures


def _place(folder: Path, song: Song) -> Path:
    return folder / "clips" / song.folder / f"{song.id}.mp3"


def _missing_text(folder: Path, songs: Sequence[Song], failures: dict[str, str]) -> str:
    lost = [song for song in songs if song.id in failures]
    classes = ", ".join(f"{label} {count}" for label, count in sorted(Counter(song.label for song in lost).items()))
    return (
        f"ballroom: {len(failures)} of {len(songs)} clips could not be had ({classes}). The first: "
        f"{failures[lost[0].id]} Clips from elsewhere are taken from {folder}, at any depth, named by their id "
        f"(such as {_place(folder, lost[0])}); or make do with the others by allow_missing=true"
    )
