"""Which settings change nothing of a job, so that one that a person gives is refused and not silently ignored."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from src.config import build
from src.config.build import Choices
from src.config.jobs import Composer, Words
from src.data import sources
from src.errors import UserError

_EXPERIMENTS = Path(__file__).resolve().parents[2] / "conf" / "experiment"


def check_job(cfg: DictConfig, words: Sequence[str]) -> None:
    """Check a single job before anything is loaded.

    Args:
        words: its overrides as typed.

    Raises:
        UserError: a setting that is wrong, or that was given and changes nothing.
    """
    chosen = build.choices(build.plain(cfg))
    build.check_together(chosen)
    refuse_ignored([chosen], given_by(words))


def check_sweep(jobs: Sequence[Words]) -> list[str]:
    """Check a sweep before its first job, every value of it in one job at least.

    Args:
        jobs: overrides of each.

    Returns:
        What is wrong in some of the jobs, which will fail; the others need not wait for that to be mended.

    Raises:
        UserError: no job can run, or a setting was given that changes nothing in any of them.
    """
    composer = Composer()

    def checked(job: Words) -> Choices | str:
        try:
            return build.choices(build.plain(composer(job)))
        except UserError as error:
            return str(error)

    seen: set[str] = set()
    some: list[Words] = []
    for job in jobs:
        if not seen.issuperset(job):
            seen.update(job)
            some.append(job)
    wrong = list(dict.fromkeys(found for job in some if isinstance(found := checked(job), str)))
    right = (found for job in jobs if not isinstance(found := checked(job), str))
    first = next(right, None)
    if first is None:
        raise UserError("\n".join(wrong))
    refuse_ignored(chain([first], right), given_by(seen))
    return wrong


def given_by(words: Iterable[str]) -> frozenset[str]:
    """The names of the settings that overrides give: `group.key`, `group` where an option is chosen, or a deeper one.

    An experiment gives what its file sets.
    """
    pairs = [word.partition("=") for word in words]
    names = {name.lstrip("+~") for name, _, _ in pairs}
    for name, _, value in pairs:
        file = _EXPERIMENTS / f"{value}.yaml"
        if name == "experiment" and file.is_file():
            content = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(file)))
            groups = {group: keys for group, keys in content.items() if group not in ("defaults", "hydra")}
            names |= {f"{group}.{key}" for group, keys in groups.items() if isinstance(keys, dict) for key in keys}
    return frozenset(names)


def refuse_ignored(jobs: Iterable[Choices], given: frozenset[str]) -> None:
    """Refuse a given setting that changes nothing in any of the jobs.

    In a sweep a setting may concern some jobs only, as `trainer.max_steps=100` does in `head=linear,random_forest`.

    Raises:
        UserError: names the first such setting, why it changes nothing, and the way out.
    """
    left: dict[str, str] | None = None
    for job in jobs:
        ignored = without_effect(job, sources.serving(job.dataset, Path(job.paths.data)))
        reasons = {name: _reason(name, ignored) for name in (sorted(given) if left is None else left)}
        left = {name: reason for name, reason in reasons.items() if reason}
        if not left:
            return
    for name, reason in (left or {}).items():
        raise UserError(f"{name}: changes nothing here: {reason}")


def _reason(name: str, ignored: Mapping[str, str]) -> str:
    """Why a setting, or the table that it is in, changes nothing; empty: it does."""
    parts = name.split(".")
    return next((reason for n in range(len(parts)) if (reason := ignored.get(".".join(parts[: n + 1])))), "")


def without_effect(chosen: Choices, source: str) -> dict[str, str]:
    """Settings that change neither the result of a job nor how it runs, by name; why, and what to do instead.

    Args:
        source: where the clips come from: `recordings`, `published` or `rendered`.
    """
    return {
        **_of_dataset(chosen, source),
        **_of_picture(chosen),
        **_of_backbone(chosen),
        **_of_split(chosen),
        **_of_training(chosen),
    }


def _of_dataset(chosen: Choices, source: str) -> dict[str, str]:
    dataset = chosen.dataset
    found = {}
    if dataset.label != "loudness":
        found["dataset.loudness_classes"] = (
            f"dataset.label={dataset.label} does not read it; add dataset.label=loudness"
        )
    if dataset.label in ("class", "loudness"):
        found["dataset.relabel"] = (
            f"dataset.label={dataset.label} does not read it; set dataset.label to one of its names"
        )
    if chosen.split.name != "given":
        found["dataset.lists"] = f"split={chosen.split.name} does not read it; leave it out, or add split=given"
    if dataset.table is None:
        reason = "there is no table; add dataset=table dataset.table=PATH, or leave it out"
        found |= {"dataset.columns": reason, "dataset.where": reason}
    else:
        found["dataset.group_pattern"] = "the groups of a table are in a column; set dataset.columns.group=NAME instead"
    if source != "recordings":
        reason = f"the clips of {dataset.title} are {source}; leave it out"
        found |= dict.fromkeys(("dataset.layout", "dataset.lists", "dataset.table"), reason)
    if source != "rendered":
        clips = f"recordings in {dataset.root}" if source == "recordings" else "published ones"
        for key in ("clips_per_class", "render_seed"):
            found[f"dataset.{key}"] = (
                f"it is of stand-ins, but the clips of {dataset.title} are {clips}; leave it out, or add "
                "dataset.source=rendered where a stand-in is meant"
            )
    if source != "recordings":
        found["dataset.group_pattern"] = (
            f"the clips of {dataset.title} are {source}, and their groups are known already; leave it out"
        )
        if dataset.source != "auto":  # else a root that serves nothing is refused where the dataset is listed
            found["dataset.root"] = f"dataset.source={dataset.source} does not read it; leave one of the two out"
    elif chosen.split.name != "hash":
        found["dataset.base"] = f"split={chosen.split.name} does not read it; leave it out, or add split=hash"
    return found


def _of_picture(chosen: Choices) -> dict[str, str]:
    spectrogram, backbone = chosen.image_transform.spectrogram, chosen.backbone
    fields = [f"spectrogram.{name}" for name in _fields(spectrogram)]
    if backbone.input == "waveform":
        reason = f"backbone={backbone.name} reads the waveform and no picture; leave it out, or choose another backbone"
        return dict.fromkeys(("spectrogram", "dataset.mono", *fields), reason)
    read = {f"spectrogram.{name}" for name in spectrogram.key()}
    reason = "spectrogram.reference=peak takes white from the clip itself; leave it out, or add reference=full_scale"
    return {name: reason for name in fields if name not in read}


def _of_backbone(chosen: Choices) -> dict[str, str]:
    found = {}
    weights = getattr(chosen.backbone, "weights", None)
    if hasattr(chosen.backbone, "weights_seed") and weights != "random":
        found["backbone.weights_seed"] = "only backbone.weights=random reads it; add that, or leave it out"
    for kind in ("published", "random"):
        if chosen.scaling_of is None:
            reason = "the head does not leave its scaling to the backbone; leave it out"
        elif chosen.scaling_of != kind:
            reason = f"the weights are {chosen.scaling_of}; leave it out"
        else:
            continue
        found[f"backbone.standardize_features.{kind}"] = reason
    return found


def _of_split(chosen: Choices) -> dict[str, str]:
    read = chosen.split.key()
    reason = f"split={chosen.split.name} does not read it; leave it out, or choose another split"
    return {f"split.{name}": reason for name in _fields(chosen.split) if name not in read}


def _of_training(chosen: Choices) -> dict[str, str]:
    head, transfer, reads = chosen.head, chosen.transfer, chosen.reads
    found: dict[str, str] = {}
    if not transfer.key():
        reason = "transfer=frozen trains nothing of the network; leave it out, or add transfer=finetune"
        found |= {f"transfer.{name}": reason for name in _fields(transfer)}
    names = set(_fields(chosen.trainer))
    if "max_steps" in reads:
        names -= {"validate_every"}
    if "accelerator" in reads:
        names -= {"progress_bar"}
    reason = f"head={head.name} does not read it; leave it out, or choose another head"
    found |= {f"trainer.{name}": reason for name in names - reads}
    if names - reads == set(_fields(chosen.trainer)):
        found["trainer"] = reason
    return found


def _fields(settings: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(settings)]
