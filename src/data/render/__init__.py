"""Stand-ins for the paper's datasets: real scores, played by sampled instruments.

description -> plan -> arrange (excerpts, band, notes, chords) -> sampler, voice -> mastering -> FLAC -> manifest
"""

from src.data.render.description import names
from src.data.render.rendering import plan, render

__all__ = ["names", "plan", "render"]
