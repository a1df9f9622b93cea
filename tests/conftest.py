"""Synthetic clips, and whole experiments on them: in this process, or as a person runs them."""

import copy
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from needs import missing
from running import ROOT, Kennel, Started, command, environment
from sounds import make_tone

# 16 numbers a picture and 20 steps: a whole job costs what its libraries cost.
TINY = (
    "backbone=pixels",
    "backbone.rows=4",
    "backbone.columns=4",
    "spectrogram=waveform",
    "trainer.max_steps=20",
    "trainer.validate_every=10",
    "split=stratified",
    "progress=false",
    "workers=2",
)


_left_out: Counter[str] = Counter()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out, and counts, the tests that this machine cannot run."""
    lacking = {item: missing(getattr(item, "fixturenames", ())) for item in items}
    _left_out.update(wanted for item in items for wanted in lacking[item])
    config.hook.pytest_deselected(items=[item for item in items if lacking[item]])
    items[:] = [item for item in items if not lacking[item]]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of a worker process: hand over what was left out. Each collects all tests, so that one of them is enough."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker process has ended."""
    for wanted, count in getattr(node, "workeroutput", {}).get("left_out", {}).items():
        _left_out[wanted] = count


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says which tests did not run and what they want."""
    for wanted, count in sorted(_left_out.items()):
        terminalreporter.write_line(f"{count} tests did not run: they need {wanted}")


def make_clips(
    folder: Path,
    classes: Sequence[str],
    n: int,
    *,
    seconds: float = 0.1,
    rate: int = 8000,
    names: Callable[[int], str] = "{:02d}".format,
    suffix: str = ".wav",
) -> list[Path]:
    """`folder/<class>/<name><suffix>`: n distinct noisy tones a class, each class an octave and 6 dB from the last."""
    written = []
    for c, label in enumerate(classes):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            path = folder / label / f"{names(i)}{suffix}"
            sound = make_tone(
                110 * 2.0**c * (1 + i / 50), seconds, rate, amplitude=0.4 / 2**c, noise=0.01, seed=1000 * c + i
            )
            soundfile.write(path, sound, rate)
            written.append(path)
    return written


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Ctrl-C works however the tests were started: a shell's background jobs ignore it, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tone() -> Callable[..., np.ndarray]:
    """`tone(hz, seconds, rate, channels=, amplitude=, noise=, seed=)`: float32 (samples, channels)."""
    return make_tone


@pytest.fixture(scope="session")
def write_clips() -> Callable[..., list[Path]]:
    """`write_clips(folder, classes, n, seconds=, rate=, names=, suffix=)`: the files written."""
    return make_clips


@pytest.fixture(scope="session")
def kennel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kennel]:
    """A process that has imported everything, to begin others from."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments(max_results=1)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("kennel.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"ready": True}
    here = Kennel(process, database)
    yield here
    for one in here.begun:
        if one.status is None:
            one.signal(signal.SIGKILL)
            one.wait()
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


@pytest.fixture(scope="session")
def run_train(
    kennel: Kennel, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_train(args, cwd, module="src.train")`: a process of its own in `cwd`, where its data, cache and runs lie.

    Nothing is added to `args`: give `*TINY` (from the fixture `tiny`) for a job that takes no time.
    """
    logs = tmp_path_factory.mktemp("said")

    def run(
        args: Sequence[str], cwd: Path, module: str = "src.train", *, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        process = kennel.run(args, cwd, module=module, logs=logs, fresh=fresh)
        out, err = (path.read_bytes().decode() for path in (process.out, process.err) if path is not None)
        return subprocess.CompletedProcess(command(args, module), process.wait(), out, err)

    return run


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides that make any job small."""
    return TINY


@pytest.fixture
def start_train() -> Iterator[Callable[..., Started]]:
    """As `run_train`, but returns at once; what still runs at the end of the test is killed."""
    started: list[Started] = []

    def start(args: Sequence[str], cwd: Path, module: str = "src.train", program: str | None = None) -> Started:
        words = command(args, module) if program is None else [sys.executable, "-c", program, *args]
        process = subprocess.Popen(
            words, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        here = Started(process)
        stream = process.stdout
        assert stream is not None
        here.reader = threading.Thread(target=lambda: here.said.extend(iter(stream.readline, "")), daemon=True)
        here.reader.start()
        started.append(here)
        return here

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        one.settle()
        if one.process.stdout is not None:
            one.process.stdout.close()


@pytest.fixture(scope="session")
def compose() -> Callable[..., Any]:
    """`compose(overrides, config="config", hydra=False)`: the configuration as `python -m src.train` would have it."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    def composed(overrides: Sequence[str], config: str = "config", *, hydra: bool = False) -> Any:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return hydra_compose(config, list(overrides), return_hydra_config=hydra)

    return composed


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one embedded MLflow database; its creation costs more than many runs."""
    return tmp_path_factory.mktemp("tracking")


_composed: dict[tuple[str, ...], Any] = {}


@dataclass(frozen=True)
class Bench:
    """Experiments in this process, in one folder.

    Attributes:
        folder: holds data/, cache/ and weights/. experiment: of MLflow, apart from that of other tests.
    """

    folder: Path
    tracking: Path
    experiment: str
    compose: Callable[..., Any]

    def overrides(self, *more: str) -> list[str]:
        """The tiny settings (another backbone's own values where one is given), everything in this folder."""
        tiny = TINY
        if any(word.startswith("backbone=") for word in more):
            tiny = tuple(word for word in TINY if not word.startswith("backbone"))
        places = [f"paths.{key}='{self.folder / key}'" for key in ("data", "cache", "weights")]
        runs = [f"paths.tracking='{self.tracking}'", f"tracking.experiment={self.experiment}"]
        return [*tiny, *places, *runs, *more]

    def config(self, *more: str) -> Any:
        """The configuration; groups are composed once for all tests, then values are set, which is what Hydra does."""
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from omegaconf import OmegaConf

        words = OverridesParser.create().parse_overrides(self.overrides(*more))
        groups = {word.key_or_group: word.input_line for word in words if (ROOT / "conf" / word.key_or_group).is_dir()}
        chosen = tuple(sorted(str(line) for line in groups.values()))
        if chosen not in _composed:
            _composed[chosen] = self.compose(chosen)
        config = copy.deepcopy(_composed[chosen])
        for word in words:
            if word.key_or_group not in groups:
                OmegaConf.update(config, word.key_or_group, word.value(), merge=False)
        return config

    def configured(self, *more: str) -> Any:
        """The Experiment of some settings."""
        from src.config import build

        return build.experiment(self.config(*more), self.folder / "decision")

    def store(self) -> Any:
        """Where its runs are."""
        from src.config import build
        from src.tracking.store import Store

        return Store(*build.tracking(self.config("dataset=genre")))

    def run(self, *more: str, force: bool = False, **changes: Any) -> Any:
        """The Outcome of one job; `changes` replace fields of the Experiment."""
        from src.experiment import run_experiment

        experiment = replace(self.configured(*more), **changes)
        return run_experiment(experiment, self.store(), force=force, progress=lambda _: None)


@pytest.fixture
def bench(tmp_path: Path, database: Path, compose: Callable[..., Any], request: pytest.FixtureRequest) -> Bench:
    """Experiments in `tmp_path`; give `dataset=folder dataset.root=...`."""
    with FileLock(database / ".tests"):
        return Bench(tmp_path, database, request.node.name.replace("[", "-").replace("]", "")[:60], compose)


@pytest.fixture(scope="session")
def dataset_settings() -> Callable[..., Any]:
    """`dataset_settings(root, **changes)`: what `dataset=folder dataset.root=...` means."""
    from src.data.dataset import DatasetSettings

    def settings(root: Path | str, **changes: Any) -> DatasetSettings:
        columns = {**dict.fromkeys(("file", "label", "group", "part", "fold"), "auto"), "start": None, "end": None}
        values: dict[str, Any] = {
            "name": None, "base": None, "root": str(root), "layout": "classes", "lists": {}, "table": None,
            "columns": columns, "where": {}, "classes": None, "include_classes": None, "label": "class", "relabel": {},
            "loudness_classes": 5, "source": "recordings", "start": 0.0, "duration": None, "window": None, "hop": None,
            "sample_rate": None, "mono": "mean", "on_unreadable": "fail", "group_pattern": None, "clips_per_class": 60,
            "render_seed": 0,
        }  # fmt: skip
        return DatasetSettings(**{**values, **changes})

    return settings


@pytest.fixture
def place(tmp_path, write_clips, dataset_settings):
    """`place(pipeline, workers=1)`: the extraction of the ten clips in tmp_path/audio, and its parts as attributes."""

    from toy import pipeline

    from src.data.dataset import recordings
    from src.features.digests import read_digests
    from src.features.extract import extract

    class Place:
        root = tmp_path / "audio"
        cache = tmp_path / "cache"
        files = write_clips(tmp_path / "audio", ["a", "b"], 5)

        def contents(self, workers: int = 2):
            found = recordings(dataset_settings(self.root))
            assert found is not None
            return read_digests(found, cache=self.cache, workers=workers)

        def __call__(self, how=None, *, workers: int = 1, progress=None):
            return extract(self.contents(), how or pipeline(), cache=self.cache, workers=workers, progress=progress)

    return Place()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, int], Path]]:
    """`small_disk(name, megabytes)`: a folder on a disk of its own, soon full."""
    mounted: list[Path] = []

    def mount(name: str, megabytes: int) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """`read_only(folder)`: from now on nothing can be written there, not even by root."""
    mounted: list[Path] = []

    def mount(folder: Path) -> None:
        _mount("--bind", str(folder), str(folder))
        mounted.append(folder)
        _mount("-o", "remount,ro,bind", str(folder))

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def ordinary_user() -> Callable[[Path], AbstractContextManager[None]]:
    """`with ordinary_user(folder)`: this process obeys the permissions below `folder`, which root does not."""

    @contextmanager
    def dropped(folder: Path) -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        nobody = 65534
        above = [folder, *folder.parents]
        modes = {path: path.stat().st_mode for path in above if not path.stat().st_mode & 0o001}
        for path, mode in modes.items():
            path.chmod(mode | 0o055)
        os.seteuid(nobody)
        try:
            yield
        finally:
            os.seteuid(0)
            for path, mode in modes.items():
                path.chmod(mode)

    return dropped


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Callable[[Path, str], Path]]:
    """`bound(folder, name)`: the same folder at another path, which is no link."""
    mounted: list[Path] = []

    def mount(folder: Path, name: str) -> Path:
        place = tmp_path / name
        place.mkdir()
        _mount("--bind", str(folder), str(place))
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"mount {' '.join(words)}: {done.stderr.strip()}; it takes root (in a container: CAP_SYS_ADMIN)")


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every matplotlib figure that is saved from now on, to read back what it shows."""
    from matplotlib.figure import Figure

    saved: list[Any] = []
    save = Figure.savefig

    def record(figure: Any, *args: Any, **kwargs: Any) -> Any:
        saved.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved
