"""`--help`: every option of every group, each explained by the first line of its own file; and names mistyped."""

import difflib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml
from omegaconf import OmegaConf

_CONF = Path(__file__).resolve().parents[2] / "conf"
_WIDTH = 30
_TABLES = ("dataset.classes.", "dataset.relabel.")


def register() -> None:
    """Let help templates say `${options:GROUP}`."""
    OmegaConf.register_new_resolver("options", options, replace=True)


def options(group: str) -> str:
    """The options of a configuration group, a line each with its explanation."""
    lines = []
    for path in sorted((_CONF / group).glob("*.yaml")):
        comments = [line for line in path.read_text().splitlines() if line.startswith("#") and "@package" not in line]
        told = comments[0].lstrip("# ") if comments else ""
        lines.append(f"  {group + '=' + path.stem:<{_WIDTH}} {told}")
    return "\n".join(lines)


def mistyped(words: Iterable[str]) -> str:
    """A line for each override whose setting no configuration file has, with the names most like it."""
    known = _settings()
    lines = []
    for word in words:
        name, given, _ = word.partition("=")
        name = name.partition("@")[0]
        deep = name.count(".") > 1  # within a table that a person fills
        if not given or deep or name.startswith(("-", "+", "~", "hydra")) or name in known:
            continue
        lines.append(f"{name}: there is no such setting; {_alike(name, known)}\n")
    return "".join(lines)


def not_to_add(word: str) -> str:
    """Why an override that adds (`+`, `++`) or removes (`~`) a setting is refused; empty where it is not.

    Nothing reads an added setting, and none can be missing. Hydra's own settings, and tables that a person fills, may
    be added to and removed from.
    """
    name = word.partition("=")[0]
    bare = name.lstrip("+~")
    if bare == name or bare.startswith("hydra") or bare.startswith(_TABLES):
        return ""
    if name.startswith("~") and bare not in _settings():  # Hydra says so
        return ""
    if name.startswith("~"):
        return f"{name}: a setting cannot be removed, since each needs a value; leave it out, or give {bare}=VALUE\n"
    known = _settings()
    if bare in known:
        return f"{name}: there is such a setting already; leave the + out: {word.lstrip('+')}\n"
    return f"{name}: there is no such setting, and nothing reads one that is added; {_alike(bare, known)}\n"


def _alike(name: str, known: Iterable[str]) -> str:
    alike = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(alike)}?" if alike else "--help lists what there is"


@cache
def _settings() -> frozenset[str]:
    """Groups, and the names of all settings as they are typed."""
    found = {path.name for path in _CONF.iterdir() if path.is_dir()}
    for path in _CONF.rglob("*.yaml"):
        place = path.parent.relative_to(_CONF).parts
        group = "" if not place or place[0] == "hydra" or path.stem == "using" else place[0]
        group = path.stem if group == "schema" else group
        content = yaml.CSafeLoader(path.read_bytes()).get_single_data()
        for key in _names(content):
            found.add(f"{group}.{key}" if group else key)
    return frozenset(found)


def _names(content: object) -> Iterable[str]:
    for key, value in content.items() if isinstance(content, dict) else ():
        yield str(key)
        yield from (f"{key}.{inner}" for inner in _names(value))
