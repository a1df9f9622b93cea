"""What a run is called in tables, from its tags alone."""

from collections.abc import Mapping

CELL = ("dataset", "preprocess", "spectrogram", "backbone", "weights", "head", "split", "origin")


def backbone_of(tags: Mapping[str, str]) -> str:
    """The backbone and the last word of its weights, which is their digest or seed: short enough for a column."""
    name, weights = tags["backbone"], tags["weights"]
    if weights == "none":
        return name
    return f"{name} {weights}" if weights.startswith("random ") else f"{name} {weights.split()[-1]}"


def made_by(tags: Mapping[str, str]) -> str:
    """Picture, backbone with its weights, head and split, for a person."""
    picture = "" if tags["spectrogram"] == "none" else f"{tags['spectrogram']}, "
    return f"{picture}{tags['backbone']} ({tags['weights']}), {tags['head']}, split {tags['split']}"


def one_line(words: str) -> str:
    """Without line breaks and runs of blanks."""
    return " ".join(words.split())
