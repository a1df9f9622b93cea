"""The rules of the house, read off the code itself."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
FILES = sorted(SRC.rglob("*.py"))

# Each room may import those above it; a command imports no other command.
ROOMS = (
    "errors", "data", "spectrogram", "backbone", "evaluation", "features", "head", "tracking",
    "experiment", "config", "cli",
)  # fmt: skip
COMMANDS = ("train", "predict", "prepare", "explain", "show", "gallery", "sweep", "robustness", "report")
# What `python -m` starts.
ENTRY_POINTS = (
    "train", "show", "predict.__main__", "prepare.__main__", "prepare.cache", "features.__main__", "explain.__main__",
    "gallery.__main__", "sweep.__main__", "sweep.ui", "robustness.__main__", "report.__main__",
)  # fmt: skip

# The only modules, by the start of their name, that may import a library.
ONLY = {
    "mlflow": ("tracking", "sweep.bundle", "predict"),
    "pytorch_lightning": ("head", "tracking"),
    "lightning": (),
    "lightning_fabric": ("head",),
    "timm": ("backbone",),
    "openvino": ("backbone",),
    "mirdata": ("data.published",),
    "soundfile": ("data", "prepare"),
    "torchaudio": ("data.audio", "spectrogram", "backbone"),
    "audiomentations": ("robustness.perturb",),
    "hydra": ("config", "cli", "features.__main__", *COMMANDS),
    "omegaconf": ("config", "cli", "features.__main__", *COMMANDS),
}

Imported = tuple[str, int]


def name_of(path: Path) -> str:
    """`src/data/audio.py` is `data.audio`."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf8"))


def imports(path: Path) -> Iterator[Imported]:
    """Full names of what a module imports when it runs, at its top or within a function, and the lines."""
    only_types = {
        id(inner)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree_of(path)):
        if id(node) in only_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def room_of(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def ours(path: Path) -> Iterator[Imported]:
    """Modules of this project that a module imports."""
    names = {name_of(other) for other in FILES}
    for full, line in imports(path):
        if full.startswith("src."):
            name = full.removeprefix("src.")
            yield (name if name in names else name.rpartition(".")[0]), line


def test_every_module_belongs_to_a_room():
    there = {room_of(name) for name in map(name_of, FILES) if name != "__init__"}
    assert there == {*ROOMS, *COMMANDS}


def test_rooms_import_in_the_direction_of_the_flow_only():
    rank = {room: i for i, room in enumerate(ROOMS)} | dict.fromkeys(COMMANDS, len(ROOMS))
    against = [
        f"{path.relative_to(ROOT)}:{line} imports {other}"
        for path in FILES
        if name_of(path) not in ENTRY_POINTS or room_of(name_of(path)) not in ROOMS
        for other, line in ours(path)
        if other and room_of(other) != room_of(name_of(path)) and rank[room_of(other)] >= rank[room_of(name_of(path))]
    ]
    assert against == []


def test_nothing_imports_an_entry_point():
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {other}"
        for path in FILES
        for other, line in ours(path)
        if other in ENTRY_POINTS
    ]
    assert found == []


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {}
    for path in FILES:
        top = {node.lineno for node in tree_of(path).body}
        graph[name_of(path)] = {other for other, line in ours(path) if line in top} - {name_of(path)}
    # A package's own file introduces it and may name what it offers.
    graph = {name: {o for o in others if not within(o, name)} for name, others in graph.items()}
    list(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_touched_in_its_rooms_only(library):
    outside = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for full, line in imports(path)
        if within(full, library) and not any(within(name_of(path), room) for room in ONLY[library])
    ]
    assert outside == []


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_is_unpickled():
    modules = ("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib")
    found = [f"{p.relative_to(ROOT)}:{line} {m}" for p in FILES for m, line in imports(p) if m.split(".")[0] in modules]
    for path in FILES:
        for name, call in calls(path):
            keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
            unsafe = name == "torch.load" and keywords.get("weights_only") != "True"
            unsafe |= keywords.get("allow_pickle") == "True"
            unsafe |= name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle")
            unsafe |= name in ("eval", "exec") and not isinstance(call.args[0], ast.Constant)
            if unsafe:
                found.append(f"{path.relative_to(ROOT)}:{call.lineno} {name}")
    assert found == []


def test_nothing_prints():
    assert [f"{p.relative_to(ROOT)}:{c.lineno}" for p in FILES for name, c in calls(p) if name == "print"] == []


def test_there_is_no_drawer_for_everything():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [str(path) for path in FILES if set(path.relative_to(SRC).with_suffix("").parts) & vague] == []


def test_randomness_is_passed_in():
    ambient = (
        "random.seed",
        "np.random.seed",
        "numpy.random.seed",
        "torch.seed",
        "pl.seed_everything",
        "seed_everything",
    )
    unseeded = ("np.random.default_rng", "numpy.random.default_rng", "random.Random", "torch.Generator().seed")
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path in FILES
        for name, call in calls(path)
        if name in ambient or (name in unseeded and not call.args and not call.keywords)
    ]
    assert found == []


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_an_entry_point_imports_nothing_heavy(module):
    """Help, mistakes on the command line and the next word on the terminal come at once."""
    heavy = ("torch", "mlflow", "timm", "openvino", "sklearn", "scipy", "pytorch_lightning", "matplotlib", "pandas")
    program = f"import sys, src.{module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_module_says_what_it_is_for():
    empty = [path for path in FILES if path.read_text("utf8").strip() == "" and path.name == "__init__.py"]
    assert [str(p.relative_to(ROOT)) for p in FILES if p not in empty and not ast.get_docstring(tree_of(p))] == []


def test_no_two_test_files_share_a_name():
    """Pytest imports each by its bare name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
