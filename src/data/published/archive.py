"""Datasets published as one archive with a folder for each class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.audio import EXTENSIONS
from src.data.download import Progress
from src.data.folder import slug
from src.data.published.source import Collection, Download, Piece, against_table
from src.data.unpack import unpack
from src.errors import UserError


@dataclass(frozen=True)
class Archive:
    """An archive of `<class>/<clips>`, at any depth.

    Attributes:
        title: with authors and year.
        address: where it is published.
        md5: of the archive.
        page: where a person finds it; empty: the address.
        licence: under which terms, or that none are stated.
        labels: slug of each class folder to the label of its clips; other folders hold no clips.
        sizes: clips of each class as published, in any order.
        notes: what a user of the dataset should know.
    """

    title: str
    address: str
    md5: str
    page: str
    licence: str
    labels: Mapping[str, str]
    sizes: Sequence[int]
    notes: Sequence[str]


_GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
ARCHIVES: Mapping[str, Archive] = {
    # The authors' own host no longer answers. The copy is published by the same project; its MD5 is the one that
    # mirdata 1.0 states for the original.
    "gtzan": Archive(
        title="GTZAN genre collection (Tzanetakis and Cook 2002)",
        address="https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
        md5="5b3d6dddb579ab49814ab86dba69e7c7",
        page="https://huggingface.co/datasets/marsyas/gtzan/tree/main/data",
        licence="not stated; excerpts of commercial recordings",
        labels={name: "hip_hop" if name == "hiphop" else name for name in _GENRES},
        sizes=(100,) * 10,
        notes=(
            "GTZAN holds repetitions, wrong labels and distorted clips (Sturm 2013, arXiv:1306.1461); which clips are "
            "of one artist or album is not published, so that clips of one are on both sides of any split",
        ),
    ),
    "ballroom_original": Archive(
        title="Ballroom (Gouyon et al. 2006, ISMIR 2004 tempo contest)",
        address="https://mtg.upf.edu/ismir2004/contest/tempoContest/data1.tar.gz",
        md5="2872a3e52070bc342a4510a95e2fa0b8",
        page="https://mtg.upf.edu/ismir2004/contest/tempoContest/node5.html",
        licence="not stated; excerpts of commercial recordings",
        labels={
            "chachacha": "chacha",
            "jive": "jive",
            "quickstep": "quickstep",
            "rumba": "rumba",
            "rumba_american": "rumba",
            "rumba_international": "rumba",
            "rumba_misc": "rumba",
            "samba": "samba",
            "tango": "tango",
            "viennesewaltz": "viennese_waltz",
            "waltz": "waltz",
        },
        sizes=(111, 60, 82, 98, 86, 86, 65, 110),
        notes=(
            "some recordings occur twice: Albums-Latin_Jam-06 and Albums-Latin_Jam-15 are identical (Krebs, Böck and "
            "Widmer 2013); audit=true finds those whose bytes differ as well",
        ),
    ),
}


def collect(name: str, folder: Path, get: Download, progress: Progress | None, addresses: Sequence[str]) -> Collection:
    """Download an archive and unpack it.

    Args:
        name: one of `ARCHIVES`.
        folder: for the archive and what is unpacked.
        get: downloads one file.
        progress: see `download`.
        addresses: of the archive, tried in order.

    Raises:
        UserError: see `download` and `unpack`; or the archive holds no clips of a class.
    """
    published = ARCHIVES[name]
    file = published.address.rpartition("/")[2]
    archive = get(addresses, folder / file, md5=published.md5, progress=progress, page=published.page)
    inner = unpack(archive, folder / f"{name}.unpacked", progress=progress)
    pieces = [
        Piece(path, published.labels[slug(path.parent.name)], path.name, None, f"{file} {path.relative_to(inner)}")
        for path in sorted(inner.rglob("*"))
        if path.suffix.lower() in EXTENSIONS
        and not path.name.startswith(".")
        and slug(path.parent.name) in published.labels
    ]
    counts = Counter(piece.label for piece in pieces)
    if missing := [label for label in dict.fromkeys(published.labels.values()) if not counts[label]]:
        raise UserError(
            f"{archive}: holds no clips of {', '.join(missing)}, though it is the published file; remove {inner} and "
            "run again"
        )
    provenance = f"{published.title}, {', '.join(addresses)} (md5 {published.md5})"
    provenance += against_table(pieces, published.sizes, "its publication")
    return Collection(provenance, published.licence, pieces, (inner,), published.notes)
