"""Apply small wrong changes to the code, one at a time, and see whether the tests notice: `make mutants`.

Each entry of `mutants.yaml` is one wrong change: the file, the text that is replaced (it occurs once), what replaces
it, and the tests that should fail. A change that no test notices is a survivor. Known survivors carry the reason why
they may be left (`survives:`). Any other survivor is an error, and so is a known one that is caught meanwhile, so that
the list only shrinks.

    python tests/mutants.py            all of them
    python tests/mutants.py head split those whose file or name holds one of the words
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import yaml

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = Path(__file__).with_suffix(".yaml")
SECONDS = 600
_NO_TESTS_FAILED, _TESTS_FAILED = 0, 1


@dataclass(frozen=True)
class Mutant:
    """One wrong change.

    Attributes:
        name: what is wrong. file: below the project's root. find, replace: texts. tests: arguments of pytest.
        survives: why no test needs to notice it; empty: one must.
    """

    name: str
    file: str
    find: str
    replace: str
    tests: str
    survives: str = ""

    def mutate(self, root: Path) -> str:
        """Change the file below `root`; the text it had.

        Raises:
            ValueError: the text to be replaced does not occur exactly once.
        """
        path = root / self.file
        before = path.read_text("utf8")
        if before.count(self.find) != 1:
            raise ValueError(f"{self.name}: its text occurs {before.count(self.find)} times in {self.file}, not once")
        path.write_text(before.replace(self.find, self.replace), "utf8")
        return before


def mutants() -> list[Mutant]:
    """All entries of the list."""
    return [Mutant(**entry) for entry in yaml.safe_load(MUTANTS.read_text("utf8"))]


def is_caught(mutant: Mutant, root: Path) -> bool:
    """Whether the tests fail with the change.

    Raises:
        RuntimeError: pytest could not run them.
    """
    before = mutant.mutate(root)
    try:
        words = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*words, *mutant.tests.split()],
            cwd=root,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{mutant.name}: its tests took more than {SECONDS} s; name fewer") from error
    finally:
        (root / mutant.file).write_text(before, "utf8")
    # A change that Python cannot even import is reported as an error of collection, and is no proper mutant.
    if done.returncode not in (_NO_TESTS_FAILED, _TESTS_FAILED):
        raise RuntimeError(f"{mutant.name}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr}")
    return done.returncode == _TESTS_FAILED


def copy_of_project(folder: Path) -> Path:
    """The files under version control, in a folder of their own."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def main() -> int:
    """Run the chosen mutants; 1 where one survives that should not, or does not where the list says so."""
    parser = argparse.ArgumentParser(
        description="Apply wrong changes one at a time and run the tests that should fail."
    )
    parser.add_argument("words", nargs="*", help="only mutants whose file or name holds one of these")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="copies tested side by side")
    asked = parser.parse_args()
    chosen = [m for m in mutants() if not asked.words or any(w in f"{m.file} {m.name}" for w in asked.words)]
    wrong, score = [], Counter[tuple[str, bool]]()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(asked.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(asked.jobs):
            copies.put(copy_of_project(Path(name) / str(job)))

        def run(mutant: Mutant) -> tuple[bool, float]:
            start, root = time.monotonic(), copies.get()
            try:
                return is_caught(mutant, root), time.monotonic() - start
            finally:
                copies.put(root)

        for mutant, (caught, seconds) in zip(chosen, pool.map(run, chosen), strict=True):
            score[mutant.file, caught] += 1
            verdict = "caught" if caught else "survives"
            if caught == bool(mutant.survives):
                wrong.append(mutant)
                verdict = "caught, but listed as a survivor" if caught else "SURVIVES"
            sys.stdout.write(f"{verdict:10} {seconds:5.0f} s  {mutant.file}: {mutant.name}\n")
            sys.stdout.flush()
    for file in sorted({file for file, _ in score}):
        sys.stdout.write(f"{score[file, True]:4} of {score[file, True] + score[file, False]:4} caught  {file}\n")
    caught = sum(count for (_, was), count in score.items() if was)
    sys.stdout.write(f"{caught} of {len(chosen)} caught ({100 * caught / max(len(chosen), 1):.1f} %)\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
