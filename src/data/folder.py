"""A folder of `<class>/<audio files>`: its classes and clips, before any file is opened."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.data.audio import EXTENSIONS
from src.data.clip import Clip
from src.data.files import irregular
from src.errors import UserError, printable

# What macOS, Windows and Synology leave in folders, besides names that begin with a dot.
_SYSTEM = (
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("@eadir", "lost+found"),
)
# Containers of sound that ffmpeg reads; those that are decoded here are taken out.
_CONTAINERS = (
    *(".m4a", ".m4b", ".m4r", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".aac", ".adts", ".ac3", ".eac3", ".dts"),
    *(".wma", ".wmv", ".asf", ".avi", ".mkv", ".mka", ".webm", ".weba", ".mpg", ".mpeg", ".ogv", ".ogx"),
    *(".wv", ".ape", ".tta", ".tak", ".mpc", ".mp2", ".mp1", ".mpa", ".spx", ".amr", ".awb", ".qcp", ".gsm"),
    *(".ra", ".rm", ".dsf", ".dff", ".caf", ".w64", ".rf64", ".bwf", ".wave", ".voc", ".sph", ".nist", ".paf"),
)
UNDECODED = tuple(sorted(set(_CONTAINERS) - set(EXTENSIONS)))
"""Extensions of files with sound that cannot be decoded here."""
_LONGEST_SLUG = 200  # bytes: a metric's key in MLflow has at most 250 letters, a file's name 255 bytes
_SHOWN = 10


def slug(name: str) -> str:
    """Lower-case label of a class folder in any alphabet: `Viennese Waltz` becomes `viennese_waltz`.

    A name of symbols alone is spelled out as Unicode names them, so that an emoji is a label; a very long one ends in a
    digest.
    """
    text = unicodedata.normalize("NFC", name).casefold()
    label = re.sub(r"[^\w]+", "_", text).strip("_")
    if not label:
        symbols = [unicodedata.name(character, "") for character in text if unicodedata.category(character)[0] == "S"]
        label = re.sub(r"[^\w]+", "_", " ".join(symbols).casefold()).strip("_")
    encoded = label.encode()
    if len(encoded) > _LONGEST_SLUG:
        kept = encoded[: _LONGEST_SLUG - 9].decode(errors="ignore")
        label = f"{kept}_{hashlib.sha256(encoded).hexdigest()[:8]}"
    return label or "_"


@dataclass
class Listing:
    """What lies in a folder and below it.

    Attributes:
        files: sorted; each real file once. What is no regular file is listed too, and refused when it is read.
        ignored: hidden files and folders, and those that operating systems leave behind.
        repeated: links to files and folders that are listed where they are, and further hard links to a listed file.
        unreadable: reason for each folder that cannot be listed, and for each broken link that may be one.
        real: of each audio file that is a regular one, what identifies the file itself.
    """

    files: list[Path] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    repeated: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)
    real: dict[Path, str | tuple[int, int]] = field(default_factory=dict)

    @property
    def audio(self) -> list[Path]:
        """Files that are decoded, by their extension."""
        return [path for path in self.files if path.suffix.lower() in EXTENSIONS]

    def add(self, other: "Listing") -> None:
        """Take in the listing of another folder."""
        self.files += other.files
        self.ignored += other.ignored
        self.repeated += other.repeated
        self.unreadable |= other.unreadable
        self.real |= other.real


def listing(top: Path) -> Listing:
    """List a folder and everything below it; links are followed.

    Files and folders that are there themselves come before links to them, whatever their names. A link to a folder that
    it lies in is not followed.
    """
    walk = _Walk()
    walk.add(top, (os.path.realpath(top.parent), os.path.realpath(top)))
    walk.found.files.sort()
    return walk.found


class _Walk:
    """A listing under way; real folders and files are known by what identifies them, so that each is listed once."""

    def __init__(self) -> None:
        self.found = Listing()
        self._folders: set[str] = set()
        self._files: set[str | tuple[int, int]] = set()

    def add(self, top: Path, above: tuple[str, ...]) -> None:
        """Add what lies in a folder and below.

        Args:
            above: real folders that contain `top`, by its own path and by each link on the way; the last is its own.
        """
        links: list[tuple[Path, tuple[str, ...]]] = []
        waiting = [(top, above)]
        while waiting:
            here, reals = waiting.pop()
            if reals[-1] in self._folders:
                self.found.repeated.append(here)
                continue
            self._folders.add(reals[-1])
            try:
                with os.scandir(here) as scanned:
                    entries = sorted(scanned, key=lambda entry: entry.name)
            except OSError as error:
                self.found.unreadable[here] = _trouble(here, error)
                continue
            for entry in entries:
                path, real = here / entry.name, f"{reals[-1]}/{entry.name}"
                if is_ignored(entry.name):
                    self.found.ignored.append(path)
                elif entry.is_symlink():
                    links.append((path, reals))
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append((path, (*reals[:-1], real)))
                else:
                    self._add_file(path, real)
        for path, reals in sorted(links):
            self._follow(path, reals)

    def _follow(self, link: Path, above: tuple[str, ...]) -> None:
        target = os.path.realpath(link)
        try:
            is_folder = irregular(link.stat().st_mode) == "a folder"
        except OSError as error:
            if link.suffix:
                self.found.files.append(link)
            else:
                self.found.unreadable[link] = _trouble(link, error)
            return
        if not is_folder:
            self._add_file(link, target)
        elif target in self._folders or any(_contains(target, real) for real in above):
            self.found.repeated.append(link)
        else:
            self.add(link, (*above, target))

    def _add_file(self, path: Path, real: str) -> None:
        identity: str | tuple[int, int] | None = real
        if path.suffix.lower() in EXTENSIONS:
            identity = _identity(path, real)
            if identity is not None and identity not in self._files:
                self.found.real[path] = identity
        if identity in self._files:
            self.found.repeated.append(path)
            return
        if identity is not None:
            self._files.add(identity)
        self.found.files.append(path)


def _identity(path: Path, real: str) -> str | tuple[int, int] | None:
    """What identifies a regular file: its real path, or where it has several, its inode. None: it is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    if irregular(state.st_mode):
        return None
    return (state.st_dev, state.st_ino) if state.st_nlink > 1 else real


def is_ignored(name: str) -> bool:
    """Whether a name is hidden, or one that operating systems leave behind; such a folder is never a class."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def _contains(folder: str, other: str) -> bool:
    return os.path.commonpath((folder, other)) == folder


def _trouble(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    try:
        return f"a link to {printable(path.readlink())}: {reason}"
    except OSError:  # it is none, or its folder cannot be entered
        return reason


def class_folders(root: Path, classes: Mapping[str, Sequence[str]] | None) -> dict[str, Path]:
    """Folder of each class that is there, by label; see `list_root`."""
    return list_root(root, classes)[0]


def list_root(root: Path, classes: Mapping[str, Sequence[str]] | None) -> tuple[dict[str, Path], Listing]:
    """Folder of each class that is there, by label, and what else lies right below `root`: audio files, of no class.

    Args:
        root: the dataset's folder; there are no classes where it is none.
        classes: label to its other names; None: every folder below root is a class, but for hidden ones, those that
            operating systems leave behind, and links to a folder that contains root.

    Raises:
        UserError: two folders name the same class, or root cannot be listed.
    """
    found: dict[str, Path] = {}
    rest = Listing()
    try:
        paths = sorted(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}, rest
    except OSError as error:
        raise UserError(f"{printable(root)}: cannot be listed ({error.strerror}); make it readable") from error
    wanted = None
    if classes is not None:
        wanted = {slug(alias): label for label, others in classes.items() for alias in (label, *others)}
    for path in paths:
        if is_ignored(path.name):
            rest.ignored.append(path)
            continue
        label = slug(path.name) if wanted is None else wanted.get(slug(path.name))
        try:
            is_folder = irregular(path.stat().st_mode) == "a folder"
        except OSError as error:
            if label is not None and not path.suffix:
                rest.unreadable[path] = _trouble(path, error)
            continue
        if not is_folder:
            rest.files += [path] if path.suffix.lower() in EXTENSIONS else []
            continue
        if label is None:
            continue
        if path.is_symlink() and _contains(os.path.realpath(path), os.path.realpath(root)):
            rest.repeated.append(path)
            continue
        if label in found:
            both = " and ".join(repr(printable(folder.name)) for folder in (found[label], path))
            raise UserError(
                f"{printable(root)}: the folders {both} both mean the class {label!r}; rename or merge one of them"
            )
        found[label] = path
    return found, rest


def scan(folder: Path, label: str, group_pattern: str | None) -> tuple[list[Clip], Listing]:
    """Clips of one class folder, sorted by path, and everything that lies in it.

    Raises:
        UserError: a path does not match `dataset.group_pattern`.
    """
    found, heading, clips = listing(folder), text_of(folder.name), []
    for path in found.audio:
        inside = text_of(path.relative_to(folder).as_posix())
        name = f"{label}/{inside[: -len(path.suffix)]}"
        clips.append(Clip(path, label, name, _group(f"{heading}/{inside}", group_pattern)))
    return clips, found


def check_readable(unreadable: Mapping[Path, str], way_out: str) -> None:
    """Refuse folders that cannot be listed: clips would be missing without a word.

    Raises:
        UserError: there is one; all are named.
    """
    if unreadable:
        listed = "\n  ".join(f"{printable(path)}: {reason}" for path, reason in sorted(unreadable.items()))
        raise UserError(f"{len(unreadable)} folders cannot be listed:\n  {listed}\n{way_out}")


def check_labels(labels: Mapping[Path, str], real: Mapping[Path, str | tuple[int, int]]) -> None:
    """Refuse one file under two labels.

    Args:
        labels: of each file. real: what identifies the file itself, as in `Listing`.

    Raises:
        UserError: a file is reached by two paths with different labels; both are named.
    """
    first: dict[str | tuple[int, int], Path] = {}
    pairs = []
    for path, label in labels.items():
        other = first.setdefault(real.get(path, os.fspath(path)), path)
        if labels[other] != label:
            pairs.append(f"{printable(other)} ({labels[other]}) and {printable(path)} ({label})")
    if pairs:
        more = f"\n  and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
        raise UserError(
            f"{len(pairs)} files are in two classes, by a link:\n  " + "\n  ".join(pairs[:_SHOWN]) + more + "\n"
            "A file has one label: remove one of the two paths"
        )


def notes(found: Listing) -> tuple[list[str], list[str]]:
    """What a reader should know of the files that were passed over: lines of little, and of more weight."""
    undecoded = [path for path in found.files if path.suffix.lower() in UNDECODED]
    skipped = [path for path in found.files if path.suffix.lower() not in (*EXTENSIONS, *UNDECODED)]
    minor, major = [], []
    if skipped:
        minor.append(f"passed over {len(skipped)} files that are no audio, e.g. {printable(skipped[0].name)}")
    if found.ignored:
        example = printable(found.ignored[0].name)
        minor.append(f"passed over {len(found.ignored)} hidden files and folders or those of a system, e.g. {example}")
    if undecoded:
        major.append(f"passed over {_undecoded(undecoded)}")
    if found.repeated:
        major.append(
            f"counted once: {len(found.repeated)} links lead to files or folders that are there already, e.g. "
            f"{printable(found.repeated[0])}"
        )
    return minor, major


def no_audio(problem: str, found: Listing) -> UserError:
    """The error for a folder without a file that can be decoded; `problem` names the folder."""
    undecoded = [path for path in found.files if path.suffix.lower() in UNDECODED]
    besides = f". There are {_undecoded(undecoded)}" if undecoded else ""
    return UserError(f"{problem}; expected {', '.join(EXTENSIONS)}{besides}")


def _undecoded(files: Sequence[Path]) -> str:
    example = printable(files[0].name)
    return (
        f"{len(files)} audio files of formats that are not decoded here, e.g. {example}; convert them: "
        f"ffmpeg -i in{printable(files[0].suffix)} out.wav"
    )


def text_of(name: str) -> str:
    """A name as clips and groups have it: composed letters, nothing that cannot be printed or stored."""
    return printable(unicodedata.normalize("NFC", name))


def _group(path: str, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        match = re.search(pattern, path)
        found = None if match is None else match.group(1)
    except (re.error, IndexError) as error:
        raise UserError(
            f"dataset.group_pattern: {pattern!r} is no regular expression with a first group ({error}); "
            "e.g. '/([^_]+_[^_]+)_' takes the first two parts of a file's name"
        ) from error
    if found is None:
        raise UserError(
            f"dataset.group_pattern: {pattern!r} does not match {path!r}; every clip needs a group. "
            "Widen the pattern, or move the file out of the dataset"
        )
    return found
