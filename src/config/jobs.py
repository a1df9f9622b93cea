"""The jobs of a sweep as Hydra would start them; with the entry points, the only place here that knows Hydra."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.errors import UserError

Words = tuple[str, ...]


def jobs_of(axes: Mapping[str, Any], words: Sequence[str]) -> list[Words]:
    """The overrides of each job of a sweep, in order, as Hydra's basic sweeper lists them.

    Args:
        axes: `hydra.sweeper.params` of the composed configuration, as an experiment file sets them.
        words: overrides from the command line. A key given twice has its last value; a word replaces an axis.

    Raises:
        HydraException: an override cannot be read, or has a kind of sweep that the basic sweeper does not know.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    overrides = OverridesParser.create(_loader()).parse_overrides([*(f"{key}={axes[key]}" for key in axes), *words])
    return [tuple(job) for job in BasicSweeper.split_arguments(overrides, None)[0]]


def is_sweep(word: str) -> bool:
    """Whether a word of the command line gives a setting several values."""
    if word.startswith("-") or "=" not in word:
        return False
    try:
        return bool(OverridesParser.create().parse_override(word).is_sweep_override())
    except HydraException:
        return False


def expand(words: Sequence[str]) -> list[Words]:
    """The overrides of each job that `python -m src.train -m WORDS` starts, in its order.

    Raises:
        UserError: an override cannot be read or composed, or takes another sweeper than Hydra's basic one.
    """
    try:
        typed = OverridesParser.create(_loader()).parse_overrides(list(words))
        task = [word for word in typed if not _is_hydras(word)]
        fixed = [str(word.input_line) for word in task if not word.is_sweep_override()]
        axes = compose("config", fixed, return_hydra_config=True).hydra.sweeper.params or {}
        return jobs_of(axes, [str(word.input_line) for word in task])
    except HydraException as error:
        raise UserError(f"{' '.join(words)}: {str(error).strip()}") from error


def told_apart(jobs: Sequence[Words]) -> list[str]:
    """What tells each job from its siblings."""
    common = set.intersection(*(set(job) for job in jobs)) if len(jobs) > 1 else set()
    return [" ".join(word for word in job if word not in common) for job in jobs]


class Composer:
    """Settings of jobs; what chooses groups is composed once, plain values are then set in a copy, as Hydra does."""

    def __init__(self) -> None:
        """Nothing is composed yet."""
        self._known: dict[Words, DictConfig] = {}
        self._parser = OverridesParser.create(_loader())

    def __call__(self, words: Words) -> DictConfig:
        """The configuration of one job.

        Raises:
            UserError: it does not compose.
        """
        overrides = self._parser.parse_overrides(list(words))
        plain = [word for word in overrides if _is_plain(word)]
        try:
            settings = self._chosen(tuple(str(word.input_line) for word in overrides if word not in plain))
            for word in plain:
                OmegaConf.update(settings, str(word.key_or_group), word.value(), merge=True)
            return settings
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(f"{' '.join(words)}: {str(error).strip()}") from error

    def _chosen(self, words: Words) -> DictConfig:
        if words not in self._known:
            self._known[words] = compose("config", list(words))
        return deepcopy(self._known[words])


class SweepLoader(ConfigLoaderImpl):
    """Hydra's loader, which composes each choice of groups once for all jobs of a sweep.

    Composing takes a quarter of a second; a job that only sets values, as `seed=3` does, gets a copy instead.
    """

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        super().__init__(loader.get_search_path())
        self._known: dict[Words, DictConfig] = {}

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """What Hydra's own returns, and raises."""
        overrides = OverridesParser.create(self).parse_overrides(sweep_overrides)
        plain = [word for word in overrides if not _is_hydras(word) and _is_plain(word)]
        chosen = tuple(str(word.input_line) for word in overrides if word not in plain)
        if chosen not in self._known:
            self._known[chosen] = super().load_sweep_config(master_config, list(chosen))
        settings = deepcopy(self._known[chosen])
        try:
            for word in plain:
                OmegaConf.update(settings, str(word.key_or_group), word.value(), merge=True)
        except OmegaConfBaseException:
            return super().load_sweep_config(master_config, sweep_overrides)
        job = settings.hydra.job
        names = job.config.override_dirname
        task = [word for word in overrides if not word.is_hydra_override()]
        settings.hydra.overrides.task = [str(word.input_line) for word in task]
        job.override_dirname = get_overrides_dirname(task, names.exclude_keys, names.item_sep, names.kv_sep)
        OmegaConf.copy_cache(from_config=master_config, to_config=settings)
        return settings


def compose_once() -> None:
    """Give the jobs of the sweep that begins a `SweepLoader`."""
    hydra = GlobalHydra.instance().hydra
    if hydra is not None and isinstance(loader := hydra.config_loader, ConfigLoaderImpl):
        hydra.config_loader = SweepLoader(loader)


def _is_hydras(word: Override) -> bool:
    return word.get_key_element().lstrip("+~").startswith(("hydra.", "hydra/"))


def _is_plain(word: Override) -> bool:
    """Whether it only sets a value; choosing a group's file and adding or removing settings is composing."""
    changes = not (word.is_add() or word.is_force_add() or word.is_delete()) and word.package is None
    return changes and not _is_group(_loader(), str(word.key_or_group))


@cache
def _is_group(loader: Any, name: str) -> bool:
    return bool(loader.get_group_options(name, ObjectType.CONFIG))


def _loader() -> Any:
    return GlobalHydra.instance().config_loader()
