"""From what was typed to the cells that are wanted; with the entry point, the only place here that knows Hydra."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from src.config import build
from src.config.build import Choices
from src.config.effect import given_by, refuse_ignored
from src.errors import UserError
from src.experiment import settings_key
from src.features.cache import digest_of
from src.tracking.expected_cell import ExpectedCell

log = logging.getLogger(__name__)

_Value = TypeVar("_Value", str, int)

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
_OWN = ("name", "action", "folder", "resample_seed", "progress", "workers")
_SEEDS = (0, 1, 2, 3, 4)
_SUBJECTS = {"dataset", "preprocess"}


@dataclass(frozen=True)
class Typed:
    """Overrides of the command line, without the report's own.

    Attributes:
        fixed: override as typed, by the setting it gives. swept: setting to its values.
    """

    fixed: dict[str, str] = field(default_factory=dict)
    swept: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, words: Sequence[str]) -> "Typed":
        """Sort overrides.

        Raises:
            UserError: one cannot be read.
        """
        try:
            parsed = OverridesParser.create().parse_overrides(list(words))
        except HydraException as error:
            raise UserError(f"{' '.join(words)}: cannot be read as settings ({str(error).splitlines()[0]})") from error
        found = cls()
        for override in parsed:
            key = override.get_key_element()
            if override.is_sweep_override():
                found.swept[key] = _once(key, override.sweep_string_iterator())
            elif key not in _OWN:
                found.fixed[key] = str(override.input_line)
        return found


def wanted(experiment: str, typed: Typed) -> list[ExpectedCell]:
    """The cells of an experiment, under the overrides typed; none where it has not the dataset that was.

    Args:
        experiment: a file of conf/experiment, whose hydra.sweeper.params are the axes; empty: those typed are.

    Raises:
        UserError: an override that does not compose, or a sweep over what is no axis of the experiment.
    """
    with _hydra():
        here = typed if not experiment else _without_what_it_fixes(experiment, typed)
        base = _composed(experiment, tuple(here.fixed.values()))
        axes = {key: _choices(str(value)) for key, value in (base.hydra.sweeper.params or {}).items()}
        _check(experiment, axes, here)
        asked = {key: (_value(key, word),) for key, word in here.fixed.items() if key in axes} | here.swept
        for key in _SUBJECTS & asked.keys() & axes.keys():  # those of another experiment's are not this one's
            asked[key] = tuple(value for value in asked[key] if value in axes[key])
        axes |= asked
        common = {key: word for key, word in here.fixed.items() if key not in axes}
        seeds = _seeds(axes.pop("seed", None), common)
        composer = _Composer(experiment, common)
        cells = [
            _cell(experiment, tuple(zip(axes, values, strict=True)), common, seeds, composer)
            for values in product(*axes.values())
        ]
        choices = [chosen for _, chosen in cells]
        if not experiment:
            refuse_ignored(choices, given_by((*here.fixed, *here.swept)))
        else:  # what is typed for several experiments may concern some of them only
            common = {key: word for key, word in common.items() if not _ignored(choices, key)}
        return [replace(cell, common=tuple(common.values())) for cell, _ in cells]


def _ignored(cells: Sequence[Choices], key: str) -> bool:
    """Whether a setting changes nothing in any of the cells."""
    try:
        refuse_ignored(cells, given_by([key]))
    except UserError:
        return True
    return False


class _Composer:
    """Composed settings of combinations, each value of an axis composed once.

    A group that the experiment leaves alone is composed without it, once for all experiments.
    """

    def __init__(self, experiment: str, common: Mapping[str, str]) -> None:
        self._experiment, self._common = experiment, tuple(common.values())
        plain, own = _plain("", self._common), _plain(experiment, self._common)
        self._touched = {group for group in own if own[group] != plain.get(group)}

    def __call__(self, axes: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Groups that one axis alone chooses are composed apart; settings that depend on each other, together."""
        owners = [key.split(".")[0] for key, _ in axes]
        if len(set(owners)) < len(owners):
            return _plain(self._experiment, (*self._common, *(f"{key}={value}" for key, value in axes)))
        settings = dict(_plain(self._experiment, self._common))
        for owner, (key, value) in zip(owners, axes, strict=True):
            experiment = self._experiment if owner in self._touched else ""
            settings[owner] = _plain(experiment, (*self._common, f"{key}={value}"))[owner]
        return settings


@cache
def _plain(experiment: str, words: tuple[str, ...]) -> dict[str, Any]:
    composed = _composed(experiment, words)
    return build.plain(OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"]))


def _cell(
    experiment: str,
    axes: tuple[tuple[str, str], ...],
    common: Mapping[str, str],
    seeds: tuple[int, ...],
    make: _Composer,
) -> tuple[ExpectedCell, Choices]:
    chosen = build.choices(make(axes))
    dataset = chosen.dataset
    key = settings_key(
        dataset, chosen.image_transform, chosen.backbone,
        head=chosen.head, transfer=chosen.transfer, trainer=chosen.trainer, split=chosen.split,
    )  # fmt: skip
    seeded = "seed" in chosen.reads
    cell = ExpectedCell(
        experiment=experiment,
        axes=axes,
        common=tuple(common.values()),
        seeds=seeds if seeded else seeds[:1],
        settings=chosen.settings,
        title=dataset.title,
        base=dataset.base or dataset.title,
        digest=digest_of(key),
        seeded=seeded,
    )
    return cell, chosen


def _without_what_it_fixes(experiment: str, typed: Typed) -> Typed:
    """Overrides of a group that the experiment itself chooses (the baseline's backbone) do not reach it."""
    plain, own = dict(_options("")), dict(_options(experiment))
    fixed = {group for group in own if own[group] != plain.get(group) and group != "experiment"}
    words = {key: word for key, word in typed.fixed.items() if key.split(".")[0] not in fixed}
    return Typed(words, typed.swept)


@cache
def _options(experiment: str) -> tuple[tuple[str, str], ...]:
    """The option that each group is set to where nothing is typed."""
    return tuple((str(group), str(option)) for group, option in _composed(experiment, ()).hydra.runtime.choices.items())


def _check(experiment: str, axes: Mapping[str, Sequence[str]], typed: Typed) -> None:
    strange = [key for key in typed.swept if key not in axes]
    if experiment and strange:
        raise UserError(
            f"{strange[0]}: got several values, but {experiment} is a sweep over {', '.join(axes)}; give one value, or "
            "use name=compare"
        )


def _seeds(swept: Sequence[str] | None, common: dict[str, str]) -> tuple[int, ...]:
    if swept is None:
        word = common.pop("seed", None)
        return _SEEDS if word is None else (build.parse_int("seed", int(_value("seed", word))),)
    try:
        return _once("seed", (int(value) for value in swept))
    except ValueError as error:
        raise UserError(f"seed: got {','.join(swept)}; expected whole numbers") from error


def _once(key: str, values: Iterable[_Value]) -> tuple[_Value, ...]:
    """Values without repetitions."""
    every = tuple(values)
    kept = tuple(dict.fromkeys(every))
    if len(kept) < len(every):
        log.warning("%s: got %s; a value counts once", key, ",".join(map(str, every)))
    return kept


def _choices(text: str) -> tuple[str, ...]:
    override = OverridesParser.create().parse_override(f"x={text}")
    return tuple(override.sweep_string_iterator()) if override.is_sweep_override() else (text,)


def _value(key: str, word: str) -> str:
    return word.lstrip("+").removeprefix(f"{key}=")


@cache
def _composed(experiment: str, words: tuple[str, ...]) -> DictConfig:
    """Composing takes a tenth of a second; what is returned must not be changed."""
    chosen = [f"experiment={experiment}"] if experiment else []
    try:
        return compose("config", [*chosen, *words], return_hydra_config=True)
    except HydraException as error:
        raise UserError(f"{' '.join((*chosen, *words))}: {str(error).strip()}") from error


@contextmanager
def _hydra() -> Iterator[None]:
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
