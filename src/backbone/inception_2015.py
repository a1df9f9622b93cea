"""Inception's graph of 2015-12-05, the network that the paper used: recognised in order to be refused.

Names and shapes of its weights are those of timm's `inception_v3`, which pools differently in nine blocks (Szegedy et
al., "Rethinking the Inception Architecture for Computer Vision", 2015; the published graph of that date).
"""

import hashlib
from pathlib import Path

from src.errors import UserError

DATE = "2015-12-05"  # in the name of the published graph and of its conversions
SIZE = 95_628_359  # bytes of pt_inception-2015-12-05-6726825d.pth, its weights for PyTorch
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
CLASSES = 1008  # other weights of Inception v3 have 1000 or 1001


def refuse(file: Path, outputs: int | None = None) -> None:
    """Refuse its weights wherever they can be recognised: by name, by digest, or by the classifier's size.

    Args:
        file: may be missing.
        outputs: of the classifier in the file; None: not known.

    Raises:
        UserError: these are its weights.
    """
    if DATE in file.name:
        sign = "its name says so"
    elif outputs == CLASSES:
        sign = f"its classifier has {outputs} outputs"
    elif _is_the_published_file(file):
        sign = f"its SHA-256 is {SHA256[:8]}..."
    else:
        return
    raise UserError(
        f"backbone.weights: {file} holds the weights of Inception's graph of {DATE} ({sign}). They would load into "
        "timm's inception_v3, which pools differently, and give wrong features. The graph of 2015 is not offered yet; "
        "leave backbone.weights at null for the weights of inception_v3.tf_in1k"
    )


def _is_the_published_file(file: Path) -> bool:
    try:
        if file.stat().st_size != SIZE:
            return False
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == SHA256
    except OSError:
        return False
