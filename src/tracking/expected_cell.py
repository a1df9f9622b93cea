"""A cell that a report needs: what its runs must have been made with, and the command that makes them."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from src.tracking.store import RunRecord, as_params, flat

_TRAIN = "python -m src.train -m"
_STAND_IN = ("dataset.clips_per_class", "dataset.render_seed")
_AUTO = "src.backbone.auto.Auto"
_CHOOSES_CLIPS = (
    "name", "base", "root", "classes", "include_classes", "source", "group_pattern", "clips_per_class", "render_seed",
)  # fmt: skip
# What `auto` may settle on, by the name that runs carry: timm's name, and the values that null stands for.
_NETWORKS = {
    "inception_2015": ("inception_2015", "protocol", "299"),
    "inception_v3": ("inception_v3.tf_in1k", "protocol", "299"),
    "efficientnet_lite0": ("tf_efficientnet_lite0", "timm", "224"),
}


@dataclass(frozen=True, eq=False)
class ExpectedCell:
    """Runs equal in everything that determines a result but the seed.

    Attributes:
        experiment: file of conf/experiment that asks for it; empty: the person's own sweep.
        axes: setting and value that tell it from its siblings, e.g. `dataset=genre`, `preprocess=normalized`.
        common: overrides that it shares with its siblings.
        seeds: of the runs wanted; one where the seed changes nothing.
        settings: the whole configuration as plain values. title: of the dataset. base: the dataset whose clips it uses.
        digest: of the settings that determine a result, apart from a network's and the seed; runs bear it too.
        seeded: whether the seed changes a result.
    """

    experiment: str
    axes: tuple[tuple[str, str], ...]
    common: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    title: str
    base: str
    digest: str
    seeded: bool

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
        """Whether the run was made with these settings, whatever its seed and its clips, and however it ended."""
        origin = run.tags.get("origin", "")
        rendered = _STAND_IN if origin == "rendered" else ()
        return (
            run.tags.get("dataset") == self.title
            and run.tags.get("settings") == self.digest
            and self._source(origin)
            and self._weights(run.tags.get("weights", ""))
            and self.params.get("backbone.engine") in ("auto", None, run.params.get("backbone.engine"))
            and _backbone(self.params, run.tags) == _backbone(run.params, run.tags)
            and all(self.params[key] == run.params.get(key) for key in rendered)
        )

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
            return found.partition(",")[0] == f"random seed {self.params['backbone.weights_seed']}"
        return not found.startswith("random ") and (wanted != "None" or not found.startswith("file "))


def _backbone(params: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
    """A network's settings that determine features, in one form for all who say the same; weights are in the tags.

    The digest of the settings has those of a backbone without weights.

    Args:
        params: `group.key` to text. tags: of the run that is looked at.
    """
    own = {key: value for key, value in params.items() if key.startswith("backbone.")}
    if "backbone.precision" not in own:
        return {}
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
        experiment: as in ExpectedCell. common: overrides of every job. box: setting to its values.
    """
    words = [f"experiment={experiment}"] if experiment else []
    words += [f"{key}={','.join(values)}" for key, values in box.items()]
    return " ".join((_TRAIN, *(shlex.quote(word) for word in (*words, *common))))


def commands(missing: Sequence[tuple[ExpectedCell, Sequence[int]]]) -> list[str]:
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
