"""The cold path: from a folder of audio to the accuracies of five seeds, beside the plain script on the same work.

    python -m benchmarks.cold [ROUNDS]

Whole commands, from the shell and back, in turns: nothing is cached, the database does not exist.
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

import safetensors.torch

from benchmarks.audio import render
from benchmarks.commands import jobs, run, settings
from benchmarks.measuring import Row, deliver, seconds
from src.backbone.network import build

CLIPS, SECONDS, RATE = 400, 5, 44100
STEPS, SEEDS = 8000, 5
MODEL = "tf_efficientnet_lite0"


def measured(audio: Path, weights: Path) -> dict[str, float]:
    """One round: seconds of either way, of either extraction, and mean accuracies."""
    words = (str(audio), "--model", MODEL, "--weights", str(weights), "--steps", str(STEPS), "--seeds", str(SEEDS))
    plain = run("-m", "benchmarks.plain", *words)
    told = json.loads(plain.output.splitlines()[-1])
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        seeds = f"seed={','.join(map(str, range(SEEDS)))}"
        ours = run("-m", "src.train", "-m", *settings(audio, place), f"trainer.max_steps={STEPS}", seeds)
        accuracies = [job.accuracy for job in jobs(place)]
        fits = sum(job.parts["fit"] for job in jobs(place))
    extraction = run("-m", "benchmarks.extraction", str(audio)).output.split()
    return {
        "plain": plain.seconds,
        "ours": ours.seconds,
        "plain extraction": sum(told["seconds"][part] for part in ("decoding", "pictures", "network")),
        "our extraction": float(extraction[-2]),
        "plain fits": told["seconds"]["fits"],
        "our fits": fits,
        "plain accuracy": statistics.mean(told["accuracies"]),
        "our accuracy": statistics.mean(accuracies),
    }


def _row(what: str, other: float, mine: float, sign: str, target: float, how: str) -> Row:
    return Row(what, seconds(other), seconds(mine), other / mine, "x", sign, target, how)


def main() -> None:
    """Rows: best of the rounds."""
    rounds = next((int(word) for word in sys.argv[1:] if word.isdigit()), 3)
    with tempfile.TemporaryDirectory() as name:
        audio, weights = render(Path(name), CLIPS, SECONDS, RATE), Path(name) / "weights.safetensors"
        module = build(MODEL, None, 0, None).module
        safetensors.torch.save_file({k: v.contiguous() for k, v in module.state_dict().items()}, weights)
        found = [measured(audio, weights) for _ in range(rounds)]
    best = {key: min(each[key] for each in found) for key in found[0]}
    how = f"{CLIPS} clips of {SECONDS} s, {MODEL}, {SEEDS} seeds of {STEPS} steps, best of {rounds}"
    rows = [
        _row("cold path, whole commands", best["plain"], best["ours"], ">=", 3, how),
        _row("extraction of the cold path", best["plain extraction"], best["our extraction"], ">=", 4, how),
    ]
    accuracies = f"mean accuracies {best['plain accuracy']:.3f} and {best['our accuracy']:.3f} (different pictures)"
    rows.append(_row("the fits of the cold path", best["plain fits"], best["our fits"], "", 0, accuracies))
    deliver(rows)


if __name__ == "__main__":
    main()
