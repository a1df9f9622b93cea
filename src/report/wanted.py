"""A cell that a report needs: what its runs must have been made with, and the command that makes them."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from src.tracking import RunRecord, as_params, flat

_TRAIN = "python -m src.train -m"
_STEPPED = ("linear", "mlp", "smo")
_LABELS = ("label", "keep", "loudness_classes", "on_error")
_CHOOSES_CLIPS = (
    "name", "base", "root", "classes", "keep", "source", "group_pattern", "clips_per_class", "render_seed",
)  # fmt: skip
_WINDOW = ("start", "duration", "sample_rate")
_STAND_IN = ("clips_per_class", "render_seed")
_STEPS = ("max_steps", "batch_size", "threads")
_SPLIT = {"hash": ("name",), "kfold": ("name", "seed", "folds", "fold")}
_AUTO, _VISION = "src.backbone.auto.Auto", "src.backbone.vision.Vision"
_FROZEN = "src.transfer.Frozen"
_WHOLE = re.compile(r"(\d+)\.0\b")
# What `auto` may settle on, by the name that runs carry: timm's name, and the values that null stands for.
_NETWORKS = {
    "inception_v3": ("inception_v3.tf_in1k", "protocol", "299"),
    "efficientnet_lite0": ("tf_efficientnet_lite0", "timm", "224"),
}


@dataclass(frozen=True, eq=False)
class Wanted:
    """Runs equal in everything that determines a result but the seed.

    Attributes:
        experiment: file of conf/experiment that asks for it; empty: the person's own sweep.
        axes: setting and value that tell it from its siblings, e.g. `dataset=genre`, `preprocess=normalized`.
        common: overrides that it shares with its siblings.
        seeds: of the runs wanted.
        settings: the whole configuration as plain values. title: of the dataset. base: the dataset whose clips it uses.
    """

    experiment: str
    axes: tuple[tuple[str, str], ...]
    common: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    title: str
    base: str

    @property
    def condition(self) -> str:
        """Name of the preprocessing."""
        return str(self.settings["preprocess"]["name"])

    @property
    def label(self) -> str:
        """What the classes are: `class`, `loudness`, or a name of dataset.relabel."""
        return str(self.settings["dataset"]["label"])

    @cached_property
    def name(self) -> str:
        """Short and unique among the cells of all experiments; stable, so that resamples can be seeded by it."""
        told = [self.experiment] if self.experiment else []
        if "dataset" not in dict(self.axes) and self.title not in told:
            told.append(self.title)
        return " ".join((*told, *(f"{key}={value}" for key, value in self.axes)))

    @cached_property
    def data(self) -> str:
        """What tells its dataset from others of the same name: the settings that choose the clips."""
        settings = dict(self.settings["dataset"])
        chosen = {key: settings.get(key) for key in _CHOOSES_CLIPS}
        return json.dumps({**chosen, "root": str(Path(str(settings["root"])).resolve())}, sort_keys=True)

    @cached_property
    def params(self) -> dict[str, str]:
        """The configuration as a run's params."""
        return as_params(flat(self.settings))

    @property
    def auto(self) -> bool:
        """Whether the machine chose the network."""
        return self.params["backbone._target_"] == _AUTO

    @property
    def random_weights(self) -> bool:
        """Whether the network has random weights."""
        return self.params.get("backbone.weights") == "random"

    def accepts(self, run: RunRecord) -> bool:
        """Whether the run was made with these settings, whatever its seed and however it ended."""
        return (
            run.tags.get("dataset") == self.title
            and self._source(run.tags.get("origin", ""))
            and self._weights(run.tags.get("weights", ""))
            and self.params.get("backbone.engine") in ("auto", None, run.params.get("backbone.engine"))
            and self.described(run.tags) == described(run.params, run.tags)
        )

    def described(self, tags: Mapping[str, str]) -> dict[str, str]:
        """These settings as a run with such tags would have them."""
        return described(self.params, tags)

    def command(self, seeds: Sequence[int]) -> str:
        """What makes the runs of some seeds."""
        box = {**{key: (value,) for key, value in self.axes}, "seed": tuple(str(seed) for seed in seeds)}
        return command(self.experiment, self.common, box)

    def _source(self, origin: str) -> bool:
        wanted = {"rendered": "rendered", "recordings": "recorded", "published": "recorded"}
        return wanted.get(self.params["dataset.source"], origin) == origin

    def _weights(self, found: str) -> bool:
        wanted = self.params.get("backbone.weights")
        if wanted == "random":
            return found == f"random seed {self.params['backbone.weights_seed']}"
        return not found.startswith("random ") and (wanted != "None" or not found.startswith("file "))


def described(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """The settings that determine a result, in one form for all who say the same; weights stand in the tags.

    Args:
        params: of a run, `group.key` to text. tags: of the run.
    """
    pictured = tags.get("spectrogram") != "none"
    data = [*_LABELS, *_WINDOW, *(("mono",) if pictured else ()), *(_STAND_IN if _rendered(tags) else ())]
    kept = {f"dataset.{key}" for key in data} | {"preprocess.levels_dbfs"}
    kept |= {f"split.{key}" for key in _SPLIT.get(params.get("split.name", ""), ("name", "seed"))}
    tuned = params.get("transfer._target_", _FROZEN) != _FROZEN
    if tags.get("head") in _STEPPED or tuned:
        kept |= {f"trainer.{key}" for key in _STEPS}
    groups = (
        "head.", "dataset.relabel.", *(("spectrogram.",) if pictured else ()), *(("transfer.",) if tuned else ())
    )  # fmt: skip
    found = {key: value for key, value in params.items() if key in kept or key.startswith(groups)}
    found.pop("transfer.validate_every", None)
    return {key: _same_number(value) for key, value in (found | _backbone(params, tags)).items()}


def _same_number(text: str) -> str:
    """20, 20.0 and 2e1 are one value, alone and in a list."""
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return _WHOLE.sub(r"\1", text)


def _rendered(tags: Mapping[str, str]) -> bool:
    return tags.get("origin") == "rendered"


def _backbone(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    own = {
        key: value
        for key, value in params.items()
        if key.startswith("backbone.") and not key.startswith("backbone.standardize_features")
    }
    if own["backbone._target_"] not in (_AUTO, _VISION):
        return own
    model, scaling, size = _NETWORKS.get(tags.get("backbone", ""), ("", "", ""))
    asked = own.get("backbone.model", model or "auto")
    same = {"backbone.scaling": scaling, "backbone.size": size}
    return {
        "backbone.model": asked,
        **{key: own[key] for key in ("backbone.precision", "backbone.antialias")},
        **{key: "None" if own[key] == value else own[key] for key, value in same.items()},
    }


def command(experiment: str, common: Sequence[str], box: Mapping[str, Sequence[str]]) -> str:
    """A sweep over every combination of values.

    Args:
        experiment: as in Wanted. common: overrides of every job. box: setting to its values.
    """
    words = [f"experiment={experiment}"] if experiment else []
    words += [f"{key}={','.join(values)}" for key, values in box.items()]
    return " ".join((_TRAIN, *(shlex.quote(word) for word in (*words, *common))))


def commands(missing: Sequence[tuple[Wanted, Sequence[int]]]) -> list[str]:
    """As few sweeps as will make the missing runs and nothing else.

    Args:
        missing: cells and the seeds that they lack.
    """
    boxes: dict[tuple[str, tuple[str, ...]], list[dict[str, tuple[str, ...]]]] = {}
    for wanted, seeds in missing:
        box = {**{key: (value,) for key, value in wanted.axes}, "seed": tuple(str(seed) for seed in seeds)}
        boxes.setdefault((wanted.experiment, wanted.common), []).append(box)
    return [
        command(experiment, common, box)
        for (experiment, common), found in boxes.items()
        for box in _merged(list({str(box): box for box in found}.values()))
    ]


def _merged(boxes: list[dict[str, tuple[str, ...]]]) -> list[dict[str, tuple[str, ...]]]:
    """Join boxes that differ in one setting until none do."""
    done: list[dict[str, tuple[str, ...]]] = []
    while boxes:
        box = boxes.pop(0)
        for other in (*boxes, *done):
            different = [key for key in box if box[key] != other.get(key)]
            if len(different) == 1 and box.keys() == other.keys():
                key = different[0]
                joined = {**box, key: tuple(dict.fromkeys((*box[key], *other[key])))}
                boxes = [joined, *(b for b in boxes if b is not other)]
                done = [b for b in done if b is not other]
                break
        else:
            done.append(box)
    return done
