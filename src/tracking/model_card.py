"""What a run says of the model it made: enough to build the same one again, or to name why that cannot be."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from src.errors import UserError
from src.tracking.store import flat

CARD = "model.json"
FORMAT = 2


@dataclass(frozen=True)
class ModelCard:
    """A trained model in a few plain values.

    Attributes:
        features: the pipeline's key: everything that determines a clip's features besides its content.
        backbone: its settings with `_target_`, `auto` settled.
        classes: in the order of the head's outputs. head: its kind.
        typical_seconds, longest_seconds: median of the training clips' durations, and the longest clip's of all.
        tuned: whether the run has a fine-tuned network of its own.
    """

    features: dict[str, Any]
    backbone: dict[str, Any]
    classes: tuple[str, ...]
    head: str
    typical_seconds: float
    longest_seconds: float
    tuned: bool = False

    @classmethod
    def of(
        cls,
        features: Mapping[str, Any],
        backbone: Mapping[str, Any],
        classes: Sequence[str],
        head: str,
        *,
        trained: Sequence[float],
        every: Sequence[float],
        tuned: bool = False,
    ) -> "ModelCard":
        """A card from a run's parts.

        Args:
            trained: seconds of each training clip. every: of each clip.
            tuned: whether the network was fine-tuned.
        """
        return cls(dict(features), dict(backbone), tuple(classes), head, median(trained), max(every), tuned)

    def text(self) -> str:
        """As JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False)

    @classmethod
    def read(cls, text: bytes) -> "ModelCard":
        """The inverse of `text`.

        Raises:
            UserError: it is no such text, or one of a format that this code does not know.
        """
        try:
            content = json.loads(text)
            if content.pop("format") != FORMAT:
                raise UserError(f"{CARD}: of another format than {FORMAT}; the code that made the run can read it")
            return cls(**{**content, "classes": tuple(content["classes"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{CARD}: damaged ({type(error).__name__}: {error})") from error


def differences(stored: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between a stored key of features and one found here: name to both values; None: not there."""
    before, now = flat(stored), flat(json.loads(json.dumps(found)))
    names = sorted(before.keys() | now.keys())
    return {name: (before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)}
