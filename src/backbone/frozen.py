"""A frozen vision network at work; implements the Backbone protocol."""

import logging
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from src.backbone import JSON
from src.backbone.engine import Engine, batch_size, choose
from src.backbone.network import Network, build, feature_count
from src.backbone.resize import resize, scaled
from src.backbone.state import State, digest, fit
from src.backbone.vision import TimmBackbone
from src.backbone.weights import INCEPTION, table_name
from src.errors import UserError

log = logging.getLogger(__name__)

PROTOCOL = 128.0  # the retrain script's mean and deviation of pixel values, which run from 0 to 255
NEAR_PROTOCOL = (127.5,) * 3  # the mean and deviation of networks for which the script's are meant


class FrozenNetwork:
    """A frozen network, ready to embed pictures; the settings' `load` makes one.

    Attributes:
        network: its module must not be trained, nor run elsewhere once `embed` was called: the engine may change it.
    """

    input: Literal["picture"] = "picture"

    def __init__(
        self, settings: TimmBackbone, weights_dir: Path | None, workers: int, network: Network | None = None
    ) -> None:
        """Build the network and choose its engine.

        Args:
            network: where it is built already: the settings' architecture with other weights.

        Raises:
            UserError: see `TimmBackbone.load`.
        """
        self.name = table_name(settings.model)
        self._again = settings, weights_dir, workers
        self.network = network or build(settings.model, settings.weights, settings.weights_seed, weights_dir)
        self.weights = self.network.weights
        self._size = settings.size or self.network.card.size
        self._mean, self._deviation = self._scaling(settings.scaling)
        self._antialias = settings.antialias
        count = feature_count(self.network.module, self.network.card, self._size)
        self.feature_names = [f"{self.name}_{index:04d}" for index in range(count)]
        kind = choose(settings.engine, settings.precision, settings.device)
        self.batch_size = batch_size(kind, workers)
        self.identity: dict[str, JSON] = {
            "model": settings.model,
            "weights": self.network.digest[:16],
            **kind.identity(settings.precision),
            "size": self._size,
            "mean": list(self._mean),
            "deviation": list(self._deviation),
            "antialias": settings.antialias,
        }
        self._start = partial(kind, self.network.module, (3, self._size, self._size), settings.precision, workers)
        self._lock = Lock()

    def copy(self) -> Network:
        """The network as it was built: another one, that may be trained."""
        settings, weights_dir, _ = self._again
        return build(settings.model, settings.weights, settings.weights_seed, weights_dir)

    def tuned(self, state: State, began_with: str = "") -> "FrozenNetwork":
        """This network with the weights of a trained copy; frozen again, everything else the same.

        Args:
            began_with: weights that the training started from, in words; empty: this network's.

        Raises:
            UserError: they belong to another network.
        """
        fresh, model = self.copy(), self._again[0].model
        fit(fresh.module, state, where="the fine-tuned network", model=model)
        found = digest(fresh.module)
        told = f"{began_with or fresh.weights}, fine-tuned {found[:8]}"
        return FrozenNetwork(*self._again, replace(fresh, weights=told, digest=found))

    def pixels(self, picture: UInt8[np.ndarray, "rows columns *colours"], /) -> UInt8[np.ndarray, "channels size size"]:
        """The squashed picture in whole grey levels, one channel or three: far fewer bytes than `prepare` gives."""
        small = resize(picture, self._size, self._size, antialias=self._antialias)
        rounded: UInt8[np.ndarray, "channels size size"] = np.rint(small).astype(np.uint8)
        return rounded

    @property
    def pixels_key(self) -> dict[str, int]:
        """What determines `pixels` besides the picture."""
        return {"size": self._size, "antialias": int(self._antialias)}

    @property
    def scaling(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of each channel, of values from 0 to 255."""
        return self._mean, self._deviation

    def prepare(self, picture: UInt8[np.ndarray, "rows columns *colours"], /) -> Float32[np.ndarray, "3 size size"]:
        """Squash a picture, (rows, columns) or (rows, columns, 3), to the network's input."""
        return scaled(resize(picture, self._size, self._size, antialias=self._antialias), self._mean, self._deviation)

    def embed(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Pooled features of prepared pictures.

        Raises:
            UserError: the engine cannot run the network, or a feature is not finite.
        """
        if not inputs:
            return np.empty((0, len(self.feature_names)), np.float32)
        with self._lock:  # held only while the first caller loads it
            engine = self._engine
        features = engine.run(inputs)
        if not np.isfinite(features).all():
            raise UserError(
                f"{self.name} ({self.weights}): features are not finite. Random weights can overflow in a deep "
                "network: try another backbone.weights_seed or model. Other weights are damaged"
            )
        return features

    @cached_property
    def _engine(self) -> Engine:
        """Loaded when the first clip comes: where all features are cached, none does."""
        return self._start()

    def _scaling(self, scaling: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation of the three channels, which the log states.

        Args:
            scaling: of the settings. None: the protocol's for Inception's weights that were trained with about these
                values, and timm's for all others.
        """
        card = self.network.card
        meant_for_it = card.mean == card.deviation and card.mean in (NEAR_PROTOCOL, (PROTOCOL,) * 3)
        mean: tuple[float, ...]
        deviation: tuple[float, ...]
        if scaling == "protocol" or (scaling is None and meant_for_it and self.name == table_name(INCEPTION.model)):
            mean, deviation, source = (PROTOCOL,) * 3, (PROTOCOL,) * 3, "the retrain script's"
        else:
            mean, deviation, source = card.mean, card.deviation, f"those that timm states for {card.published.model}"
        if scaling == "protocol" and not meant_for_it:
            log.warning(
                "backbone.scaling=protocol: the weights %s were trained with other pixel values (mean %s, deviation "
                "%s); backbone.scaling=timm uses these",
                card.published.model, _listed(card.mean), _listed(card.deviation),
            )  # fmt: skip
        log.info(
            "backbone scaling: mean %s, deviation %s of pixel values, %s", _listed(mean), _listed(deviation), source
        )
        return mean, deviation


def _listed(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in dict.fromkeys(values))
