"""What a run is called in tables, from its tags alone."""

from collections.abc import Mapping

CELL = ("dataset", "preprocess", "spectrogram", "backbone", "weights", "head", "split", "origin")


def made_by(tags: Mapping[str, str]) -> str:
    """Picture, backbone with its weights, head and split, for a person."""
    picture = "" if tags["spectrogram"] == "none" else f"{tags['spectrogram']}, "
    return f"{picture}{tags['backbone']} ({tags['weights']}), {tags['head']}, split {tags['split']}"
