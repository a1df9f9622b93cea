"""Datasets for which mirdata knows addresses, checksums and labels; the extra `datasets` installs it."""

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from src.data.download import Progress
from src.data.folder import slug
from src.data.published.source import Collection, Download, Piece
from src.errors import UserError

_IRMAS = {
    "cel": "cello",
    "cla": "clarinet",
    "flu": "flute",
    "gac": "acoustic_guitar",
    "gel": "electric_guitar",
    "org": "organ",
    "pia": "piano",
    "sax": "saxophone",
    "tru": "trumpet",
    "vio": "violin",
    "voi": "voice",
}


@dataclass(frozen=True)
class Loader:
    """How one of mirdata's datasets becomes labelled clips.

    Attributes:
        module: mirdata's name of it. title: with authors and year.
        remotes: what of it is downloaded, by mirdata's names.
        label: class of a track; None: the track is not used.
        group: what tracks of one recording or note share; None: not known.
    """

    module: str
    title: str
    remotes: tuple[str, ...]
    label: Callable[[Any], str | None]
    group: Callable[[Any], str | None]


LOADERS: Mapping[str, Loader] = {
    # The test part names several instruments for each clip.
    "irmas": Loader(
        "irmas",
        "IRMAS training data (Bosch et al. 2012)",
        ("training_data",),
        lambda track: _IRMAS[track.predominant_instrument] if track.train else None,
        # [cel][cla]0001__2: the second excerpt of recording 0001.
        lambda track: str(track.track_id).rpartition("__")[0] or None,
    ),
    "tinysol": Loader(
        "tinysol",
        "TinySOL (Cella et al. 2020)",
        ("audio", "annotations"),
        lambda track: slug(track.instrument_full),
        lambda track: f"{slug(track.instrument_full)}-{int(track.pitch_id):03d}",
    ),
    "medley_solos_db": Loader(
        "medley_solos_db",
        "Medley-solos-DB (Lostanlen and Cella 2016)",
        ("audio", "annotations"),
        lambda track: slug(track.instrument),
        lambda track: f"song {track.song_id}",
    ),
}


def collect(name: str, folder: Path, get: Download, progress: Progress | None) -> Collection:
    """Download a dataset to where mirdata looks for it, and let mirdata unpack, check and label it.

    Args:
        name: one of `LOADERS`.
        folder: for archives and clips.
        get: downloads one file; mirdata's own downloads cannot go on where they broke off.
        progress: see `download`.

    Raises:
        UserError: mirdata is not installed; see `download`; or files are missing or damaged.
    """
    mirdata, loader = _mirdata(), LOADERS[name]
    dataset = mirdata.initialize(loader.module, data_home=str(folder))
    sources = []
    for key in loader.remotes:
        remote = dataset.remotes[key]
        get(
            remote.url,
            folder / (remote.destination_dir or "") / remote.filename,
            md5=remote.checksum,
            progress=progress,
        )
        sources.append(f"{remote.url} (md5 {remote.checksum})")
    try:
        dataset.download(partial_download=list(loader.remotes))
        _, damaged = dataset.validate(verbose=False)
        tracks = dataset.load_tracks()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder}: mirdata could not set up {loader.module} ({error}); it fetches an index of its own, so check "
            "the network, or remove the folder and run again"
        ) from error
    pieces = _pieces(folder, loader, tracks, damaged.get("tracks", {}))
    provenance = f"{loader.title} through mirdata {mirdata.__version__}, {', '.join(sources)}"
    licence = getattr(dataset, "_license_info", None) or "not stated"
    return Collection(provenance, re.sub(r"\s+", " ", licence).strip(), pieces)


def _mirdata() -> ModuleType:
    try:
        return importlib.import_module("mirdata")
    except ModuleNotFoundError as error:
        raise UserError(
            f"this dataset is fetched with mirdata, which is not installed ({error}); "
            "install it with: pip install -e '.[datasets]' -c constraints.txt"
        ) from error


def _pieces(folder: Path, loader: Loader, tracks: Mapping[str, Any], damaged: Mapping[str, Any]) -> list[Piece]:
    pieces, bad = [], []
    for key, track in tracks.items():
        label = loader.label(track)
        if label is None:
            continue
        path = Path(track.audio_path)
        if key in damaged or not path.is_file():
            bad.append(path)
            continue
        pieces.append(Piece(path, label, path.name, loader.group(track), f"{loader.module} {key}"))
    if bad or not pieces:
        example = f", such as {bad[0]}" if bad else ""
        raise UserError(
            f"{folder}: {len(bad)} of {len(bad) + len(pieces)} clips are missing or damaged{example}; "
            "remove the folder and run again"
        )
    return pieces
