"""What a run is called in tables, from its tags alone."""

from collections.abc import Mapping

CELL = ("dataset", "preprocess", "spectrogram", "backbone", "weights", "head", "transfer", "split", "origin")
FROZEN = "frozen"


def cell_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Values of the tags that make a cell; runs that do not say how much of the network learned trained the head."""
    return tuple(transfer_of(tags) if tag == "transfer" else tags[tag] for tag in CELL)


def transfer_of(tags: Mapping[str, str]) -> str:
    """What of the network was trained: `frozen` is nothing."""
    return tags.get("transfer", FROZEN)


def backbone_of(tags: Mapping[str, str]) -> str:
    """The backbone and the last word of its weights, which is their digest or seed: short enough for a column."""
    name, weights = tags["backbone"], tags["weights"]
    if weights == "none":
        return name
    return f"{name} {weights}" if weights.startswith("random ") else f"{name} {weights.split()[-1]}"


def made_by(tags: Mapping[str, str]) -> str:
    """Picture, backbone with its weights, head and split, for a person."""
    picture = "" if tags["spectrogram"] == "none" else f"{tags['spectrogram']}, "
    tuned = "" if transfer_of(tags) == FROZEN else f", {transfer_of(tags)}"
    return f"{picture}{tags['backbone']} ({tags['weights']}), {tags['head']}{tuned}, split {tags['split']}"


def one_line(words: str) -> str:
    """Without line breaks and runs of blanks."""
    return " ".join(words.split())
