"""A small MLflow store of synthetic runs: real SQLite, real artifacts, settings as the trainer would log them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from src.report.overrides import Typed, wanted
from src.report.run_selector import RunSelector
from src.report.scored_cells import ScoredCells
from src.tracking.expected_cell import ExpectedCell
from src.tracking.store import Store, TrackingSettings

_NAMES = count()
NETWORK = ("efficientnet_lite0", "imagenet efficientnet_lite0 1a2b3c4d")
OF = {"Marsyas": ("marsyas", "none"), "Pixels": ("pixels", "none")}
HEADS = {"RandomForest": "random_forest", "Linear": "linear"}


@dataclass
class Shelf:
    """Runs to report on.

    Attributes:
        store: where they are. classes: of every dataset. added: id of every run by (cell's name, seed).
    """

    store: Store
    classes: tuple[str, ...] = ("loud", "quiet")
    added: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(
        self,
        cell: ExpectedCell,
        seed: int,
        correct: Sequence[bool] | np.ndarray,
        *,
        origin: str = "rendered",
        data: str = "data-1",
        network: tuple[str, str] = NETWORK,
        failure: str | None = None,
        clips: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        accuracy: float | None = None,
        rms: Callable[[int], float] = lambda i: 0.1,
        tags: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        seconds: dict[str, float] | None = None,
    ) -> str:
        """A run that got the test clips right or wrong as given; every test clip has a training clip beside it."""
        target = cell.params["backbone._target_"].rpartition(".")[2]
        backbone, weights = OF.get(target, network)
        if cell.random_weights:
            weights = "random seed 0"
        known = {
            "dataset": cell.title,
            "preprocess": cell.condition,
            "spectrogram": "none" if backbone == "marsyas" else "asperes",
            "backbone": backbone,
            "weights": weights,
            "head": HEADS[cell.params["head._target_"].rpartition(".")[2]],
            "split": cell.params["split.name"],
            "seed": str(seed),
            "origin": origin,
            "identity": f"{cell.name} {seed} {data}",
            "cell": f"{cell.name} {data}",
            "settings": cell.digest,
            "data_digest": data,
            "result_version": "1",
            "git_commit": "abcdef0123",
        } | (tags or {})
        try:
            with self.store.run("synthetic", known) as run:
                run.log(params=cell.params | (params or {}))
                if failure is not None:
                    raise RuntimeError(failure)
                self._log(run, np.asarray(correct, dtype=bool), clips, groups, accuracy, rms, seconds or {})
        except RuntimeError:
            return run.run_id
        self.added[cell.name, seed] = run.run_id
        return run.run_id

    def _log(self, run, correct, clips, groups, accuracy, rms, seconds) -> None:
        text = predictions_csv(self.classes, correct, clips, groups, rms)
        folder = Path(self.store.uri.removeprefix("sqlite:///")).parent / f"out-{next(_NAMES)}"
        folder.mkdir()
        (folder / "predictions.csv").write_text(text, "utf8")
        run.artifacts(folder)
        measured = {f"seconds/{stage}": value for stage, value in seconds.items()}
        logged = float(correct.mean()) if accuracy is None else accuracy
        run.log(metrics={"test/accuracy": logged, "clips/test": len(correct), **measured})

    def desk(self, cells: Sequence[ExpectedCell]) -> ScoredCells:
        """What a report sees of them."""
        return ScoredCells(RunSelector(self.store).cells(cells))


def predictions_csv(classes, correct, clips=None, groups=None, rms=lambda i: 0.1) -> str:
    """The artifact; test clip i is of class i modulo their number, and so is the training clip beside it."""
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    header = ["clip", "group", "part", "label", "predicted", "duration", "rms", *(f"p_{c}" for c in classes)]
    table.writerow(header)
    for i, right in enumerate(correct):
        label, other = classes[i % len(classes)], classes[(i + 1) % len(classes)]
        said = label if right else other
        group = groups[i] if groups else ""
        name = clips[i] if clips else f"{label}/{i:03d}.wav"
        odds = [0.9 if c == said else 0.1 for c in classes]
        table.writerow([name, group, "test", label, said, "30.000", f"{rms(i):.6f}", *odds])
        table.writerow([f"{label}/train-{i:03d}.wav", "", "train", label, label, "30.000", f"{rms(i):.6f}", *odds])
    return stream.getvalue()


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one database; each test has an MLflow experiment of its own in it."""
    return tmp_path_factory.mktemp("reports")


@pytest.fixture
def shelf(stores: Path) -> Shelf:
    """An empty shelf."""
    return Shelf(Store(TrackingSettings(None, f"reports-{next(_NAMES)}"), stores))


@pytest.fixture(scope="session")
def cells() -> Callable[..., list[ExpectedCell]]:
    """`cells(experiment, *overrides)`: what a report wants; composed once in a session."""
    known: dict[tuple[str, ...], list[ExpectedCell]] = {}

    def composed(experiment: str, *overrides: str) -> list[ExpectedCell]:
        key = (experiment, *overrides)
        if key not in known:
            known[key] = wanted(experiment, Typed.of(overrides))
        return known[key]

    return composed
