"""What the documentation and the messages name exists, and every data file has a reader."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

ROOT = Path(__file__).resolve().parent.parent
CONF, SRC = ROOT / "conf", ROOT / "src"
# docs/extending.md names files that its reader writes; test_extending.py follows it.
PAGES = sorted({ROOT / "README.md", *ROOT.glob("docs/*.md")} - {ROOT / "docs" / "extending.md"})
TRACKED = ("docs", "src", "conf", "tests", "benchmarks", ".ci")
# Of a command line in a page: the module and what follows it.
COMMAND = re.compile(r"python -m (src\.[\w.]+|benchmarks\.[\w.]+)([^\n]*)")


@cache
def code(page: Path) -> tuple[str, ...]:
    """What a Markdown page shows as code: its indented lines, continued ones joined, and what is between backticks."""
    text = page.read_text("utf8").replace("\\\n", " ")
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    return (*blocks, *(span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose)))


def texts(path: Path) -> Iterator[str]:
    """The literal texts of a Python file; formatted ones with `NAME` for each value."""
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "NAME" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def everything() -> tuple[tuple[str, str], ...]:
    """Pages' code, texts of src and benchmarks, and the configuration with its comments, by where they stand."""
    found = [(page.name, text) for page in PAGES for text in code(page)]
    for path in (*SRC.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        found += [(str(path.relative_to(ROOT)), text) for text in texts(path)]
    found += [(str(path.relative_to(ROOT)), path.read_text("utf8")) for path in CONF.rglob("*.yaml")]
    return tuple(found)


def module_file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def test_every_module_that_is_to_be_run_can_be_run():
    missing = set()
    for where, text in everything():
        for name, _ in COMMAND.findall(text):
            if name.split(".")[-1].isupper():  # stands for any of them
                continue
            file = module_file(name.rstrip("."))
            if not file.is_file() or "__main__" not in (file.read_text("utf8") + file.name):
                missing.add(f"{where}: python -m {name}")
    assert missing == set()


def test_every_target_of_make_exists():
    makefile = (ROOT / "Makefile").read_text("utf8")
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    reports = re.search(r"^REPORTS := ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
    assert reports is not None
    targets |= set(reports[1].replace("\\\n", " ").split())
    named = {
        (where, target)
        for where, text in everything()
        if where.endswith(".md")
        for target in re.findall(r"(?:^|[^\w-])make ([a-z0-9-]+)", text)
    }
    assert len(named) > 10
    assert {f"{where}: make {target}" for where, target in named if target not in targets} == set()


def test_every_file_that_is_named_exists():
    missing = set()
    for where, text in everything():
        for name in re.findall(r"-[rc] ([\w.-]+\.txt)", text):
            if not (ROOT / name).is_file():
                missing.add(f"{where}: {name}")
        for name in re.findall(rf"(?<![\w/.])((?:{'|'.join(map(re.escape, TRACKED))})/[\w./-]*\w)", text):
            if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists():
                missing.add(f"{where}: {name}")
    for page in PAGES:
        for name in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf8")):
            if not (page.parent / name).exists():
                missing.add(f"{page.name}: {name}")
    assert missing == set()


def test_no_extra_of_the_package_is_named_that_it_does_not_have():
    project = (ROOT / "pyproject.toml").read_text("utf8")
    named = {(where, name) for where, text in everything() for name in re.findall(r"\.\[([a-z,-]+)\]'?", text)}
    for where, names in named:
        for name in names.split(","):
            assert re.search(rf"^{name} = \[", project, re.MULTILINE), f"{where}: pip install -e '.[{name}]'"


def test_every_test_that_is_named_exists():
    missing, last = set(), ""
    for page in PAGES:
        for span in code(page):
            for file, name in re.findall(r"(test_\w+\.py)?(?:::(test_\w+))?", span):
                last = file or last
                if file and not any((ROOT / "tests").rglob(file)):
                    missing.add(f"{page.name}: {file}")
                if not name:
                    continue
                found = [path for path in (ROOT / "tests").rglob(last) if f"def {name}(" in path.read_text("utf8")]
                if not found:
                    missing.add(f"{page.name}: {last}::{name}")
    assert missing == set()


def lines() -> list[tuple[str, str]]:
    """Command lines of the pages: the module, and the words that follow it."""
    found = {
        (name, words.split("#")[0].strip())
        for page in PAGES
        for span in code(page)
        for name, words in COMMAND.findall(span)
    }
    return sorted((name, words) for name, words in found if name.startswith("src."))


@pytest.mark.parametrize(("module", "words"), lines(), ids=lambda value: value[:60])
def test_every_setting_of_a_command_line_exists(module, words):
    """What a page tells to type composes; of several values, the first."""
    import shlex

    config = re.search(r'config_name="(\w+)"', module_file(module).read_text("utf8"))
    assert config is not None
    # What is optional or left out, and launchers that are installed apart.
    typed = [word for word in shlex.split(re.sub(r"\[[^\]=]*=[^\]]*\]$|\.\.\.", "", words)) if not word.startswith("-")]
    typed = [word for word in typed if not re.match(r"\+?hydra[./]launcher|\w+=[A-Z]*$", word)]
    composed = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for override in OverridesParser.create().parse_overrides(typed):
            first = next(iter(override.sweep_string_iterator())) if override.is_sweep_override() else None
            composed.append(f"{override.get_key_element()}={first}" if first is not None else str(override.input_line))
        compose(config[1], composed)


READERS = """
import json, os, re, sys
from pathlib import Path

root = Path(sys.argv[1])
opened = set()
def note(event, args):
    if event == "open" and isinstance(args[0], (str, os.PathLike)):
        opened.add(os.path.realpath(args[0]))
sys.addaudithook(note)
sys.path[:0] = [str(root), str(root / "tests"), str(root / "tests" / "gallery")]

from src.data.render import description
for name in description.names():
    description.load(name)

from src.report import paper_values
paper_values.accuracy("", "", ""), paper_values.datasets(), paper_values.loudness()

from test_gallery_page import read
read()

from hydra import compose, initialize_config_dir
conf = root / "conf"
sources = [path.read_text("utf8") for path in (root / "src").rglob("*.py")]
configs = {name for source in sources for name in re.findall(r'config_name="(\\w+)"', source)}
groups = {path.name: sorted(option.stem for option in path.glob("*.yaml")) for path in conf.iterdir() if path.is_dir()}
experiments = groups.pop("experiment")
for apart in ("schema", "hydra"):
    groups.pop(apart)
with initialize_config_dir(str(conf), version_base="1.3"):
    for name in sorted(configs):
        compose(name, return_hydra_config=True)
    for i in range(max(map(len, groups.values()))):
        compose("config", [f"{group}={options[i]}" for group, options in groups.items() if i < len(options)])
    for name in experiments:
        compose("config", [f"experiment={name}"], return_hydra_config=True)
print(json.dumps(sorted(opened)))
"""


def test_every_data_file_has_a_reader():
    """Files of src and conf that no loader opens are of no use to anybody."""
    there = {
        str(path.relative_to(ROOT))
        for folder in (SRC, CONF)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    done = subprocess.run(
        [sys.executable, "-c", READERS, str(ROOT)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    opened = {Path(name) for name in json.loads(done.stdout.splitlines()[-1])}
    assert sorted(name for name in there if ROOT / name not in opened) == []


def test_no_page_is_left_unfinished():
    """A line of capitals alone is a place that something was to be put into."""
    left = [
        f"{page.name}: {line}"
        for page in PAGES
        for line in page.read_text("utf8").splitlines()
        if re.fullmatch(r"[A-Z]{3,}", line)
    ]
    assert left == []


# Packages that are needed without being imported here.
NOT_IMPORTED = {
    "torchvision": "timm imports it",
    "fast-mp3-augment": "audiomentations imports it",
    "hydra-joblib-launcher": "Hydra finds it",
    "pretty_midi": "its sound font is read",
}
IMPORT_NAMES = {"scikit-learn": "sklearn", "pillow": "PIL", "hydra-core": "hydra"}


def test_every_dependency_is_used():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    names = {re.split(r"[^\w-]", line)[0] for line in project["dependencies"]}
    sources = "\n".join(path.read_text("utf8") for path in SRC.rglob("*.py"))
    modules = {name: IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}
    used = r"(?:import|from|import_module\(\")\s*"
    imported = {name for name, module in modules.items() if re.search(rf"{used}{module}\b", sources)}
    assert names - imported == set(NOT_IMPORTED)
