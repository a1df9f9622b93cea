"""Cost against the number of clips, of seeds and of workers, as a figure, with the exponents that fit.

    make bench-scale                 # 100 to 5,000 clips; about ten minutes on two idle cores
    python -m benchmarks.scale quick

Clips of 4 s at 16 kHz. `cold` is extraction within a process that has everything imported and the network loaded,
`warm` the same once features are cached. The exponent is the slope of a line through the logarithms, for clips from 500
on.
"""

import json
import math
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from benchmarks.audio import first_of, render
from benchmarks.commands import jobs, run, settings
from benchmarks.measuring import ROOT, cores

SECONDS, RATE = 4, 16000
Curve = dict[int, float]


@dataclass(frozen=True)
class Sizes:
    """What is measured: numbers of clips, of seeds (of 1000 steps, on `clips_of_seeds` clips), and of workers."""

    clips: tuple[int, ...]
    seeds: tuple[int, ...]
    workers: tuple[int, ...]
    clips_of_seeds: int
    clips_of_workers: int


WHOLE = Sizes((100, 200, 500, 1000, 2000, 5000), (1, 2, 5, 10, 20), (1, 2, 4), 500, 1000)
QUICK = Sizes((50, 100, 200), (1, 2, 4), (1, 2), 50, 100)


def _extract(audio: Path, place: Path, workers: int) -> tuple[float, float]:
    """Seconds cold and warm, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # one that may have its own processes
        return pool.submit(_extract_here, audio, place, workers).result()


def _extract_here(audio: Path, place: Path, workers: int) -> tuple[float, float]:
    from benchmarks.extraction import prepared

    with tempfile.TemporaryDirectory() as name:
        prepared(render(Path(name), 8, SECONDS, RATE), Path(name), workers)()
    found = []
    for _ in range(2):
        work = prepared(audio, place, workers)
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found[0], found[1]


def _sweeps(audio: Path, place: Path, seeds: tuple[int, ...]) -> Curve:
    """Seconds from the start of a sweep's first job to the end of its last, features cached."""
    options = [*settings(audio, place), "trainer=quick"]
    run("-m", "src.features", *options)
    run("-m", "src.train", "-m", *options, f"seed={','.join(map(str, range(max(seeds))))}")
    done = jobs(place)
    return {count: done[0].seconds + done[count - 1].ended - done[0].ended for count in seeds}


def measured(sizes: Sizes) -> dict[str, Curve]:
    """Seconds by curve and size."""
    curves: dict[str, Curve] = {name: {} for name in ("cold", "warm", "seeds", "workers")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        most = max(*sizes.clips, sizes.clips_of_seeds, sizes.clips_of_workers)
        rendered = render(folder, most, SECONDS, RATE)
        for clips in sizes.clips:
            audio = first_of(rendered, clips, folder / f"first_{clips}")
            curves["cold"][clips], curves["warm"][clips] = _extract(audio, folder / f"clips_{clips}", cores())
        audio = first_of(rendered, sizes.clips_of_workers, folder / "of_workers")
        for workers in sizes.workers:
            curves["workers"][workers] = _extract(audio, folder / f"workers_{workers}", workers)[0]
        audio = first_of(rendered, sizes.clips_of_seeds, folder / "of_seeds")
        curves["seeds"] = _sweeps(audio, folder / "sweep", sizes.seeds)
    return curves


def exponent(curve: Curve, least: float = 0, most: float = math.inf) -> float:
    """The slope of log seconds over log size, for sizes from `least` to `most`."""
    points = {size: seconds for size, seconds in curve.items() if least <= size <= most}
    points = points if len(points) > 1 else curve
    return float(np.polyfit(np.log(list(points)), np.log(list(points.values())), 1)[0])


def _draw(axes: Axes, curve: Curve, label: str, least: float = 0, most: float = math.inf) -> None:
    axes.loglog(list(curve), list(curve.values()), "o-", label=f"{label}: exponent {exponent(curve, least, most):.2f}")


def _draw_seeds(axes: Axes, curve: Curve) -> None:
    """Linear: a first job, which pays for imports and the network, and so much for each more."""
    slope, first = np.polyfit(list(curve), list(curve.values()), 1)
    beyond = {seeds - 1: spent - curve[1] for seeds, spent in curve.items() if seeds > 1}
    label = f"{first:.1f} s, and {slope:.2f} s a seed (exponent {exponent(beyond):.2f})"
    axes.plot(list(curve), list(curve.values()), "o-", label=label)


def draw(curves: dict[str, Curve], sizes: Sizes, path: Path) -> None:
    """The figure: clips, seeds, workers."""
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure((11, 3.6), layout="constrained")
    clips, seeds, workers = figure.subplots(1, 3)
    some = sizes.clips[len(sizes.clips) // 3]
    _draw(clips, curves["cold"], "cold", some)
    _draw(clips, curves["warm"], "features cached", some)
    _draw_seeds(seeds, curves["seeds"])
    _draw(workers, curves["workers"], "cold", most=cores())
    for axes, title, label, at in (
        (clips, f"Extraction: {SECONDS} s at {RATE // 1000} kHz, {cores()} workers", "clips", sizes.clips),
        (seeds, f"A sweep of 1000 steps on {sizes.clips_of_seeds} clips, features cached", "seeds", sizes.seeds),
        (workers, f"Extraction of {sizes.clips_of_workers} clips, {cores()} cores", "workers", sizes.workers),
    ):
        axes.set_title(title, fontsize=9)
        axes.set(xlabel=label, ylabel="seconds")
        axes.set_xticks(list(at), [f"{tick:,}" for tick in at])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(visible=True, alpha=0.2)
        axes.legend(frameon=False, loc="lower right" if axes is seeds else "best")
    clips.set_ylim(top=8 * max(curves["cold"].values()))
    seeds.set_ylim(bottom=0)
    least, most = workers.set_ylim(min(curves["workers"].values()) / 3, max(curves["workers"].values()) * 3)
    ticks = [n * 10.0**e for e in range(-1, 4) for n in (1, 2, 5)]
    workers.set_yticks([tick for tick in ticks if least < tick < most])
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, draw, and write what was measured beside the figure."""
    sizes = QUICK if "quick" in sys.argv[1:] else WHOLE
    curves = measured(sizes)
    reports = ROOT / "reports"
    reports.mkdir(exist_ok=True)
    draw(curves, sizes, reports / "bench-scale.png")
    (reports / "bench-scale.json").write_text(json.dumps(curves, indent=1), "utf8")
    for name, curve in curves.items():
        shown = ", ".join(f"{size}: {seconds:.3g} s" for size, seconds in curve.items())
        sys.stdout.write(f"{name} (exponent {exponent(curve):.2f}): {shown}\n")
    sys.stdout.write("reports/bench-scale.png\n")


if __name__ == "__main__":
    main()
