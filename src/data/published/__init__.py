"""Datasets that others published, fetched from where they published them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from src.data.download import Progress, alone, download
from src.data.published import archive, extended_ballroom, mirdata_source, nsynth
from src.data.published.source import Collection, Download, assemble, is_ready
from src.errors import UserError

NAMES = ("ballroom", *nsynth.SELECTIONS, *archive.ARCHIVES, *mirdata_source.LOADERS)

# Where each publication is, tried in order; mirrors can be named instead.
ADDRESSES: Mapping[str, Sequence[str]] = {
    "extended_ballroom": (extended_ballroom.METADATA,),
    "extended_ballroom_clips": (extended_ballroom.CLIPS,),
    "nsynth": nsynth.ARCHIVES,
    **{name: (published.address,) for name, published in archive.ARCHIVES.items()},
}


def fetch(
    name: str,
    downloads: Path,
    out: Path,
    *,
    progress: Progress | None = None,
    addresses: Mapping[str, str | Sequence[str]] | None = None,
    allow_missing: bool = False,
    timeout: float = 30.0,
    retries: int = 5,
    pause: float = 1.0,
) -> Path:
    """Produce `out/<class>/<clips>` and, last, `out/manifest.json`; nothing is done where they are already there.

    Interrupted, it goes on where it was when called again. What was downloaded stays in `downloads`; on the same disk
    the clips in `out` are hard links and take no further room.

    Args:
        name: one of `NAMES`.
        downloads: folder for what comes from the network, and for what a person puts there by hand.
        out: folder of the dataset; must not hold other files.
        progress: called with what is being fetched, how far it is and of how much (None: not known); from other
            threads, too, one at a time.
        addresses: instead of some of `ADDRESSES`; one, or several that are tried in order.
        allow_missing: make do with the clips of Extended Ballroom that can still be had.
        timeout: seconds to connect, and between two pieces.
        retries: attempts in a row that may fail without bringing a byte more.
        pause: seconds before the first retry; doubles with each.

    Returns:
        `out`.

    Raises:
        UserError: unknown name, no network, wrong or damaged files, no room: the message says what to do.
    """
    if name not in NAMES:
        raise UserError(f"{name!r}: no published dataset of this name; known are {', '.join(NAMES)}")
    unknown = set(addresses or {}) - set(ADDRESSES)
    if unknown:
        raise UserError(f"addresses: unknown {', '.join(sorted(unknown))}; known are {', '.join(ADDRESSES)}")
    for folder in (downloads, out):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made a folder ({error.strerror}); name another one") from error
    get = partial(download, timeout=timeout, retries=retries, pause=pause)
    with alone(out):
        if not is_ready(name, out):
            named = {
                key: (where,) if isinstance(where, str) else tuple(where) for key, where in (addresses or {}).items()
            }
            where = {key: tuple(known) for key, known in ADDRESSES.items()} | named
            collection = _collect(name, downloads, get, progress=progress, addresses=where, allow_missing=allow_missing)
            assemble(name, out, collection, progress)
    return out


def _collect(
    name: str,
    downloads: Path,
    get: Download,
    *,
    progress: Progress | None,
    addresses: Mapping[str, tuple[str, ...]],
    allow_missing: bool,
) -> Collection:
    if name in nsynth.SELECTIONS:
        return nsynth.collect(name, downloads / "nsynth", get, progress, addresses["nsynth"])
    if name in archive.ARCHIVES:
        return archive.collect(name, downloads / name, get, progress, addresses[name])
    if name in mirdata_source.LOADERS:
        return mirdata_source.collect(name, downloads / name, get, progress)
    return extended_ballroom.collect(
        downloads / "extended_ballroom",
        get,
        progress,
        metadata=addresses["extended_ballroom"],
        clips=addresses["extended_ballroom_clips"],
        published=addresses["extended_ballroom"] == tuple(ADDRESSES["extended_ballroom"]),
        allow_missing=allow_missing,
    )
