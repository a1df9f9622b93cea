"""One file's explanation, written to a folder and told in a few lines."""

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from src.config import build as configure
from src.config import select_run
from src.data.audio import Window, decode
from src.data.encode import wav
from src.data.waveform import Waveform
from src.data.writing import write_asked
from src.errors import UserError, printable
from src.explain.explanation import Check, Explanation, Model, Settings, effects_csv, explain, summary
from src.explain.figure import draw
from src.tracking.checkpoint import TrainedModel

log = logging.getLogger(__name__)
_TOLD = 6


def explain_file(cfg: DictConfig) -> None:
    """Explain what a finished run says of `cfg.audio`; see conf/explain.yaml.

    Raises:
        UserError: no such run, file or class; a backbone that looks at no picture; a place that cannot be written.
    """
    plain = configure.plain(cfg)
    settings = configure.build("explanation", plain["explanation"], Settings)
    audio, out = Path(str(plain["audio"])), Path(str(plain["out"]))
    trained = select_run.open_model(cfg)
    if trained.pipeline.backbone.input != "picture":
        raise UserError(
            f"run {trained.run.run_id}: its backbone {trained.pipeline.backbone.name} hears the waveform and sees no "
            "picture, so there is nothing to hide in one; explain a run of another backbone"
        )
    target = _target(plain["target"], trained.classes)
    window = _window(trained, plain["start"])
    waveform = _heard(trained, audio, window)
    model = Model(trained.pipeline, trained.head, trained.classes, configure.workers(cfg.workers))
    found = explain(model, waveform, settings, target)
    name = printable(audio.name)
    told = {"file": name, "run": trained.run.run_id, "start_s": window.start, "seconds": waveform.duration}
    told |= summary(found, settings, waveform)
    title = f"{name}: {told['predicted']} at {100 * float(found.said.max()):.0f} %, run {trained.run.run_id[:8]}"
    files = {
        "explanation.png": draw(found, trained.pipeline.image_transform, waveform.sample_rate, title),
        "effects.csv": effects_csv(found).encode(),
        "summary.json": json.dumps(told, indent=1, ensure_ascii=False).encode(),
        "clip.wav": wav(waveform),
        "only.wav": wav(found.only),
        "without.wav": wav(found.without),
    }
    write_asked(f"out={out}", {out / name: content for name, content in files.items()})
    sys.stdout.write(_text(audio, found, told, out))


def _target(name: Any, classes: tuple[str, ...]) -> int | None:
    if name is None:
        return None
    if str(name) not in classes:
        raise UserError(f"target={name}: the run knows no such class; expected one of {', '.join(classes)}")
    return classes.index(str(name))


def _window(trained: TrainedModel, start: Any) -> Window:
    window = trained.pipeline.window
    if start is None:
        return window
    if isinstance(start, bool) or not isinstance(start, int | float):
        raise UserError(f"start: got {start!r}; expected a second of the file, or null")
    return replace(window, start=float(start))


def _heard(trained: TrainedModel, audio: Path, window: Window) -> Waveform:
    """The clip; of a file longer than any that the run knows, as much as its clips typically last."""
    waveform, _ = decode(audio, window)
    card = trained.card
    if window.duration is not None or waveform.duration <= card.longest_seconds + 0.1:
        return waveform
    log.info(
        "%s: longer than any clip of the run; %.2f s from second %g on are explained (start=SECOND for others)",
        printable(audio), card.typical_seconds, window.start,
    )  # fmt: skip
    kept = waveform.samples[:, : max(1, round(card.typical_seconds * waveform.sample_rate))]
    return Waveform(np.ascontiguousarray(kept), waveform.sample_rate)


def _text(audio: Path, found: Explanation, told: dict[str, Any], out: Path) -> str:
    """What a person wants to know first."""
    name, share = found.classes[found.target], told["deciding"]
    lines = [f"{printable(audio.name)}: {told['predicted']} at {100 * float(found.said.max()):.1f} %"]
    if not found.regions:
        lines.append(f"  nothing in the picture speaks for {name}")
    else:
        lines.append(f"  for {name} decide, with {100 * share['share_of_effect']:.0f} % of the effect:")
        lines += [f"    {_where(region)}" for region in share["regions"][:_TOLD]]
        lines += [f"    and {len(found.regions) - _TOLD} more"] * (len(found.regions) > _TOLD)
    for where, check in (("picture", found.in_picture), ("sound", found.in_sound)):
        lines.append(f"  {name} in the {where}: {_checked(check, found.target)}")
    lines += [f"  no Grad-CAM: {found.no_cam}"] * bool(found.no_cam)
    files = ("explanation.png", "effects.csv", "summary.json", "clip.wav", "only.wav", "without.wav")
    lines.append(f"  {out}/: {', '.join(files)}")
    return "\n".join(lines) + "\n"


def _where(region: dict[str, Any]) -> str:
    seconds = f"{region['start_s']:.2f} to {region['end_s']:.2f} s"
    return seconds if region["low_hz"] is None else f"{region['low_hz']:.0f} to {region['high_hz']:.0f} Hz, {seconds}"


def _checked(check: Check, target: int) -> str:
    only, without = (100 * float(said[target]) for said in (check.only, check.without))
    text = f"{only:.1f} % with only these, {without:.1f} % without them"
    if len(check.elsewhere):
        low, high = 100 * float(check.elsewhere.min()), 100 * float(check.elsewhere.max())
        text += f" ({low:.1f} to {high:.1f} % without the same shape elsewhere)"
    return text
