"""Which sampled instruments a rendering uses."""

import functools
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from src.errors import UserError

FLUID = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
LICENCES = {"FluidR3_GM.sf2": "MIT", "TimGM6mb.sf2": "GPL-2.0-or-later"}


@dataclass(frozen=True)
class SoundFont:
    """A sound font in SoundFont 2 format.

    Attributes:
        path: the file.
        sha256: of its content, hexadecimal.
        licence: of its samples, `not stated` for a font unknown here.
    """

    path: Path
    sha256: str
    licence: str

    @property
    def name(self) -> str:
        """File name, e.g. `TimGM6mb.sf2`."""
        return self.path.name


def bundled() -> Path:
    """The small sound font that pretty_midi brings, found without importing it.

    Raises:
        UserError: pretty_midi is not installed.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("no sound font: expected pretty_midi's TimGM6mb.sf2; install it with: pip install pretty_midi")
    return Path(spec.submodule_search_locations[0]) / "TimGM6mb.sf2"


def find(wanted: Path | None) -> SoundFont:
    """The sound font to use: the one wanted, else Debian's FluidR3 where installed, else pretty_midi's own.

    Raises:
        UserError: the file wanted is missing or is no sound font.
    """
    path = wanted or (FLUID if FLUID.is_file() else bundled())
    if not path.is_file():
        raise UserError(
            f"sound font {path}: no such file; name an .sf2 file, or none to use pretty_midi's TimGM6mb.sf2"
        )
    return _described(path.resolve())


@functools.cache
def _described(path: Path) -> SoundFont:
    with path.open("rb") as file:
        if file.read(12)[8:] != b"sfbk":
            raise UserError(f"sound font {path}: not in SoundFont 2 format (no 'sfbk' at byte 8); name an .sf2 file")
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return SoundFont(path, sha256, LICENCES.get(path.name, "not stated"))
