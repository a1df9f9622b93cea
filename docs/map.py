"""Draw the rooms of src/ and who imports whom: `make map` writes docs/rooms.png.

A row for each room, in the order of the imports: what it holds, its lines, and a dot for each room that it imports, as
large as the number of modules that do so. Every dot lies left of the diagonal: imports go one way.
"""

import ast
from collections import Counter
from pathlib import Path

from matplotlib.figure import Figure

SRC = Path(__file__).resolve().parent.parent / "src"
ROOMS = {
    "errors": "messages for people, without passwords",
    "data": "files, datasets, splits",
    "spectrogram": "waveform to image, one file a representation",
    "backbone": "image or waveform to features; timm, OpenVINO",
    "evaluation": "metrics, intervals, tests: pure functions",
    "features": "audio file to feature vector: pipeline, cache",
    "head": "fitting heads, fine-tuning",
    "tracking": "MLflow store, run index, locks, results",
    "experiment": "one job: data, features, fit, test, log",
    "config": "YAML to objects; which run is meant",
    "cli": "launch, progress, errors, sweeps",
    "train": "a job, or a sweep of jobs",
    "prepare": "a dataset made ready; audit",
    "show": "what the network sees of a file",
    "predict": "new audio through a finished run",
    "explain": "what decided: occlusion, Grad-CAM",
    "gallery": "a run's mistakes on a page",
    "robustness": "accuracy under perturbation",
    "sweep": "where a sweep stands; export, import, sync",
    "report": "runs to tables and figures",
}
COMMANDS = tuple(ROOMS)[tuple(ROOMS).index("train") :]


def room_of(path: Path) -> str:
    """Name of the room that a module belongs to."""
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def read() -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Lines of each room; modules of a room (first) that import from another (second)."""
    lines: Counter[str] = Counter()
    arrows: Counter[tuple[str, str]] = Counter()
    for path in sorted(SRC.rglob("*.py")):
        if path == SRC / "__init__.py":
            continue
        text, room = path.read_text("utf8"), room_of(path)
        lines[room] += len(text.splitlines())
        imported = {
            (node.module or "").split(".")[1] if node.module != "src" else alias.name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "src"
            for alias in node.names
        }
        arrows.update((room, other) for other in imported - {room})
    return lines, arrows


def draw(lines: Counter[str], arrows: Counter[tuple[str, str]]) -> Figure:
    """The picture; rooms that are not described in `ROOMS` are an error.

    Raises:
        ValueError: a room without a description, or a description without a room.
    """
    if set(lines) != set(ROOMS):
        raise ValueError(f"describe in ROOMS of docs/map.py: {sorted(set(lines) ^ set(ROOMS))}")
    names, figure = list(ROOMS), Figure(figsize=(11, 7.2), layout="constrained")
    table, matrix = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    for row, name in enumerate(names):
        colour = "tab:orange" if name in COMMANDS else "tab:blue"
        table.barh(row, lines[name], color=colour, alpha=0.35, height=0.8)
        table.text(0, row, f" {name}", va="center", weight="bold", size=10)
        table.text(1250, row, f"{ROOMS[name]}  ({lines[name]:,})", va="center", size=8.5)
    table.set(
        title=f"{len(names)} rooms, {sum(lines.values()):,} lines",
        xlabel="lines",
        yticks=[],
        xlim=(0, 1.03 * max(lines.values())),
    )
    for (room, other), count in sorted(arrows.items()):
        matrix.scatter(names.index(other), names.index(room), s=18 + 14 * count, color="black", alpha=0.7, linewidths=0)
    matrix.plot([-0.5, len(names) - 0.5], [-0.5, len(names) - 0.5], color="grey", linewidth=0.8)
    matrix.set(title="imports (dot: by how many modules)", xlim=(-0.7, len(names) - 0.3), ylim=(len(names) - 0.5, -0.5))
    matrix.set_xticks(range(len(names)), names, rotation=90, size=9)
    matrix.set_yticks(range(len(names)), names)
    matrix.tick_params(labelleft=False, labelright=True, left=False, right=True)
    table.tick_params(labelleft=False, left=False)
    matrix.grid(alpha=0.25)
    for axes in (table, matrix):
        axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return figure


if __name__ == "__main__":
    draw(*read()).savefig(SRC.parent / "docs" / "rooms.png", dpi=110)
