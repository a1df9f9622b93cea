"""Clips whose files hold the same bytes: one group, so that no split that knows groups puts them on both sides."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from src.data.clip import Dataset

K = TypeVar("K", bound=Any)

_MOST_NAMED = 10
_OF_NOTHING = hashlib.sha256().hexdigest()
SAME_BYTES = "same bytes as "
"""How the name of a group begins whose clips belong together for their content alone."""


def connected(links: Iterable[Sequence[K]]) -> dict[K, K]:
    """The smallest key of each connected component, by key.

    Args:
        links: keys that belong together; a key by itself is a component of its own.
    """
    parent: dict[K, K] = {}

    def root(key: K) -> K:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for keys in links:
        for key in keys:
            first, second = sorted((root(keys[0]), root(key)))
            parent[second] = first
    return {key: root(key) for key in parent}


def merged_groups(
    names: Sequence[str], groups: Sequence[str | None], digests: Sequence[str | None]
) -> list[str | None]:
    """Groups of clips, those that hold the same bytes merged.

    A merged group has the smallest name of the groups in it. Clips of no group that hold the same bytes form the group
    `same bytes as NAME`, of the smallest of their names.

    Args:
        names: of the clips. groups: None where unknown. digests: of the clips' files; None where unknown.
    """
    counts = Counter(digest for digest in digests if digest is not None)
    # Sorted, groups come before names, and names before digests.
    keys = [(0, group) if group is not None else (1, name) for group, name in zip(groups, names, strict=True)]
    links = [
        [key] if digest is None or counts[digest] == 1 else [key, (2, digest)]
        for key, digest in zip(keys, digests, strict=True)
    ]
    roots = connected(links)
    found: list[str | None] = []
    for key, link in zip(keys, links, strict=True):
        kind, name = roots[key]
        found.append(name if kind == 0 else f"{SAME_BYTES}{name}" if len(link) > 1 else None)
    return found


def with_duplicates(dataset: Dataset, digests: Mapping[str, str]) -> Dataset:
    """The dataset with its duplicates grouped, marked and noted.

    Args:
        digests: of the clips' files by clip id; files that cannot be read are not there.
    """
    clips = dataset.clips
    # Empty files hold no recording that could be the same.
    known = [None if digests.get(clip.id) == _OF_NOTHING else digests.get(clip.id) for clip in clips]
    first: dict[str, str] = {}
    for clip, digest in zip(clips, known, strict=True):
        if digest is not None:
            first[digest] = min(first.get(digest, clip.name), clip.name)
    counts = Counter(digest for digest in known if digest is not None)
    alike = sum(count for count in counts.values() if count > 1)
    if not alike:
        return dataset
    groups = merged_groups([clip.name for clip in clips], [clip.group for clip in clips], known)
    marked = tuple(
        replace(clip, group=group, original=first[digest] if digest is not None and counts[digest] > 1 else None)
        for clip, group, digest in zip(clips, groups, known, strict=True)
    )
    notes = [f"{alike} clips hold the same bytes as another one and share its group"]
    doubtful = two_labels([clip.id for clip in clips], [clip.label for clip in clips], known)
    notes += two_labels_note(doubtful)
    return replace(dataset, clips=marked, notes=tuple(dict.fromkeys((*dataset.notes, *notes))))


def two_labels(ids: Sequence[str], labels: Sequence[str], contents: Sequence[str | None]) -> list[str]:
    """Clips that share their content and differ in their labels, as `a/x.wav = b/y.wav`, one for each content.

    Args:
        contents: what tells the contents of files apart; None where unknown.
    """
    alike: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, label, content in zip(ids, labels, contents, strict=True):
        if content is not None:
            alike[content].append((name, label))
    crossing = [members for members in alike.values() if len({label for _, label in members}) > 1]
    return sorted(" = ".join(sorted(name for name, _ in members)) for members in crossing)


def two_labels_note(found: Sequence[str]) -> list[str]:
    """A note on what `two_labels` found; none where that is nothing."""
    if not found:
        return []
    more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    listed = "; ".join(found[:_MOST_NAMED])
    return [f"the same bytes under different labels, of which one at most is right: {listed}{more}"]
