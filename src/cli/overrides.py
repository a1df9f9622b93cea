"""What is typed on the command line: help on it, and what is wrong with it, before Hydra sees it."""

import difflib
import importlib.util
import re
import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import yaml
from omegaconf import OmegaConf

_CONF = Path(__file__).resolve().parents[2] / "conf"
_WIDTH = 30
_TABLES = ("dataset.classes.", "dataset.relabel.")
_NEEDS_QUOTES = "(){}[]=,:\\ \t#'\""
# Launchers that an extra of the package brings: the module to look for, and the extra.
_EXTRAS = {
    "ray": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "submitit_local": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "submitit_slurm": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
}


def register_resolver() -> None:
    """Let help templates say `${options:GROUP}`."""
    OmegaConf.register_new_resolver("options", options, replace=True)


def options(group: str) -> str:
    """The options of a configuration group, a line each with its explanation."""
    lines = []
    for path in sorted((_CONF / group).glob("*.yaml")):
        comments = [line for line in path.read_text().splitlines() if line.startswith("#") and "@package" not in line]
        explanation = comments[0].lstrip("# ") if comments else ""
        lines.append(f"  {group + '=' + path.stem:<{_WIDTH}} {explanation}")
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


def _not_to_add(word: str) -> str:
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


def unreadable(words: Iterable[str]) -> str | None:
    """What is wrong with the first override that cannot be used, in lines for a person; None: all can be."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for word in words:
        if word.startswith("-") or ("=" not in word and not word.startswith("~")):
            continue
        if not word.partition("=")[0].strip("+~"):
            return f"{word}: no setting is named before the =\n"
        key, _, value = word.partition("=")
        advice = _missing_launcher(value) if key == "hydra/launcher" else None
        if advice is not None:
            return f"{advice}\n"
        refused = _not_to_add(word)
        if refused:
            return refused
        try:
            parser.parse_override(word)
        except HydraException as error:
            return f"{word}: cannot be read as a setting ({str(error).splitlines()[0]})\n{_quoting(word)}"
    return None


def _quoting(word: str) -> str:
    key, _, value = word.partition("=")
    shown = f"{key}={_quoted(value)}"
    # Inside double quotes a shell still reads these.
    typed = shlex.quote(shown) if set(shown) & set('"$`\\!') else f'"{shown}"'
    marks = " ".join(sorted(c for c in set(value) if c in _NEEDS_QUOTES or not c.isascii()))
    return f"A value with {marks or 'such characters'} needs quotes of its own inside the shell's:\n  {typed}\n"


def _quoted(value: str) -> str:
    """A value, or each value of a list, in quotes as Hydra reads them: a backslash counts only before a quote."""
    if value[:1] == "[" and value[-1:] == "]":
        return f"[{','.join(_quoted(part.strip()) for part in value[1:-1].split(','))}]"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    inner = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + "\\'" * bool(found[2]), value)
    return f"'{inner}'"


def _missing_launcher(launcher: str) -> str | None:
    """How to install what a launcher needs, or None where it is there."""
    plugin, extra = _EXTRAS.get(launcher, ("src", ""))
    try:
        installed = importlib.util.find_spec(plugin) is not None
    except ModuleNotFoundError:
        installed = False
    return (
        None if installed else f"hydra/launcher={launcher}: not installed; install it with: pip install -e '.[{extra}]'"
    )
