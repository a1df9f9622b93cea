"""Where things are on this machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paths:
    """Folders of the datasets, of the cache, of the tracking database, and of weight files."""

    data: str
    cache: str
    tracking: str
    weights: str
