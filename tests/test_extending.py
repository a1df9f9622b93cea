"""docs/extending.md, followed to the letter in a copy of the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text("utf8")


def files() -> dict[str, str]:
    """What the page says to write, by path: each file of an indented block begins with a comment that names it."""
    found: dict[str, list[str]] = {}
    name = None
    for line in PAGE.splitlines():
        if line and not line.startswith("    "):
            name = None
        elif named := re.fullmatch(r"    # ((?:src|conf)/\S+)", line):
            name = named[1]
            found[name] = []
        elif name is not None:
            found[name].append(line[4:])
    return {name: "\n".join(lines).strip() + "\n" for name, lines in found.items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory, write_clips):
    folder = tmp_path_factory.mktemp("fork")
    for part in ("src", "conf"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    written = files()
    assert len(written) == 9
    for name, text in written.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text, "utf8")
    write_clips(folder / "sounds", ["a", "b"], 15)
    return folder


def run(project: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_page_is_all_it_takes(project):
    """The settings of all commands of the page, in three jobs; each trains, tests and stores a run."""
    commands = [shlex.split(words) for words in re.findall(r"^`python -m src\.train ([^`]*)`$", PAGE, re.MULTILINE)]
    assert len(commands) == 5
    for together in ((0, 3), (1, 4), (2,)):
        settings = dict(word.split("=", 1) for number in together for word in commands[number])
        words = [f"{key}={value}" for key, value in settings.items()]
        done = run(project, "src.train", *words, "progress=false", "workers=1")
        [accuracy] = re.findall(r"accuracy ([0-9.]+) on [1-9]", done.stdout)
        # two tones an octave and 6 dB apart: any of these tells most of them
        assert float(accuracy) > 0.6, done.stdout


def test_a_head_of_ones_own_is_read_back(project):
    done = run(project, "src.predict", "run=best", "head=nearest_mean", "audio=sounds/a/00.wav", "output=csv")
    assert "a" in done.stdout.splitlines()[1].split(",")
