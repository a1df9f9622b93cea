"""`manifest.json`: what a prepared dataset holds, written last, so that its presence means the dataset is whole."""

import json
from pathlib import Path
from typing import Any

from src.data.clip import Clip
from src.data.writing import write_atomically
from src.errors import UserError, printable

NAME = "manifest.json"


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a prepared folder, or None where there is none (not prepared, or not to the end).

    Raises:
        UserError: the file is damaged.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); delete the folder and prepare the dataset again") from error
    if not isinstance(content, dict) or not isinstance(content.get("clips"), list):
        raise UserError(f"{path}: not a manifest of clips; delete the folder and prepare the dataset again")
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a manifest, whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def clips(folder: Path, content: dict[str, Any]) -> list[Clip]:
    """The clips that a manifest lists.

    Raises:
        UserError: an entry points outside the folder or lacks its file or label.
    """
    found = []
    for entry in content["clips"]:
        try:
            file, label = Path(entry["file"]), str(entry["label"])
        except (KeyError, TypeError) as error:
            raise UserError(f"{folder / NAME}: a clip without file or label ({entry!r}); prepare it again") from error
        if file.is_absolute() or ".." in file.parts:
            raise UserError(f"{folder / NAME}: {file} lies outside the dataset; prepare it again")
        name = printable(file.with_suffix("").as_posix())
        group, source, licence = entry.get("group"), entry.get("source", ""), entry.get("licence", "")
        found.append(Clip(folder / file, label, name, group, source, licence))
    return found
