"""musicnn (Pons and Serra, 2019): its input, its network in torch, and its weights from a TensorFlow checkpoint."""

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn.functional import pad
from torchaudio.functional import melscale_fbanks

from src.backbone.state import State, read_whole
from src.errors import UserError

SAMPLE_RATE = 16_000
N_FFT = 512
HOP_LENGTH = 256
N_MELS = 96
FRAMES = 187
"""Of a patch, about 3 s."""
POOLED, PENULTIMATE = 1506, 200
EPSILON = 0.001

SHA256 = {
    "MSD_musicnn": (
        "87f3e0f3550c8d3bafc840374003e5c8af5eeb5ecf6add61af09a7822d3282c8",
        "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
    ),
    "MTT_musicnn": (
        "da2d7bb670b2b31e9bc441bb1bd75eca31b5b061f963cc1f9630c1aff3238f57",
        "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
    ),
}
"""Of each model's two files, `.index` and `.data-00000-of-00001`, in version 0.1.0 of its package."""


def patches(samples: Float32[np.ndarray, " samples"]) -> Float32[np.ndarray, "patches 187 96"]:
    """Log mel spectrogram of a signal at 16 kHz, cut into patches one after another.

    A shorter clip is repeated until it fills one; a rest that fills none is left out. In float32: the package's own
    float16 overflows on loud clips.
    """
    window = torch.hann_window(N_FFT)
    signal = torch.from_numpy(samples)
    spectrum = torch.stft(signal, N_FFT, HOP_LENGTH, window=window, pad_mode="constant", return_complex=True)
    bank = melscale_fbanks(N_FFT // 2 + 1, 0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    mel = (spectrum.real.square() + spectrum.imag.square()).T @ bank
    frames = torch.log10(1 + 10_000 * mel)
    if len(frames) < FRAMES:
        frames = frames.repeat(-(-FRAMES // len(frames)), 1)
    count = len(frames) // FRAMES
    cut: Float32[np.ndarray, "patches 187 96"] = frames[: count * FRAMES].reshape(count, FRAMES, N_MELS).numpy()
    return cut


class Convolution(nn.Module):
    """Convolution, ReLU, batch normalisation; zeros before and after in time."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int], before: int = 0, after: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON)
        self._padding = (0, 0, before, after)

    def forward(self, maps: Tensor) -> Tensor:
        """Normalised maps."""
        normalised: Tensor = self.norm(torch.relu(self.conv(pad(maps, self._padding))))
        return normalised


class Musicnn(nn.Module):
    """Patches to features of a layer: `pooled`, maximum and mean over time, or `penultimate`, which follows them."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, eps=EPSILON)
        self.front = nn.ModuleList(
            [
                *(Convolution(1, 204, (7, height), before=3, after=3) for height in (38, 67)),
                # TensorFlow's `same` of an even kernel puts one zero more after
                *(Convolution(1, 51, (k, 1), before=(k - 1) // 2, after=k // 2) for k in (128, 64, 32)),
            ]
        )
        self.middle = nn.ModuleList(Convolution(n, 64, (7, 1), before=3, after=3) for n in (561, 64, 64))
        self.pooled_norm = nn.BatchNorm1d(POOLED, eps=EPSILON)
        self.dense = nn.Linear(POOLED, PENULTIMATE)
        self.dense_norm = nn.BatchNorm1d(PENULTIMATE, eps=EPSILON)
        self.tags = nn.Linear(PENULTIMATE, 50)
        self.layer = layer

    def forward(self, log_mel: Float[Tensor, "batch 1 187 96"]) -> Float[Tensor, "batch features"]:
        """Features of each patch."""
        maps = self.norm(log_mel)
        front = torch.cat([branch(maps).amax(dim=3, keepdim=True) for branch in self.front], 1)  # batch 561 187 1
        first = self.middle[0](front)
        second = self.middle[1](first) + first
        third = self.middle[2](second) + second
        together = torch.cat([front, first, second, third], 1)[..., 0]  # batch 753 187
        pooled = torch.stack([together.amax(2), together.mean(2)], 2).flatten(1)
        if self.layer == "pooled":
            return pooled
        return self.dense_norm(torch.relu(self.dense(self.pooled_norm(pooled))))  # type: ignore[no-any-return]

    def classify(self, penultimate: Float[Tensor, "batch 200"]) -> Float[Tensor, "batch 50"]:
        """Probability of each of the model's 50 tags."""
        return torch.sigmoid(self.tags(penultimate))


def load(model: str, layer: str) -> Musicnn:
    """The network with the weights of the installed package, frozen.

    Raises:
        UserError: the package is missing, or holds other files.
    """
    package = find_spec("musicnn")  # it is not imported: it would import TensorFlow
    if package is None or not package.submodule_search_locations:
        raise UserError(
            "backbone=musicnn: the package with its weights is missing; install it with: "
            "pip install --no-deps musicnn==0.1.0 (make setup does)"
        )
    folder = Path(package.submodule_search_locations[0]) / model
    way_out = "Install it again: pip install --no-deps --force-reinstall musicnn==0.1.0"
    index, data = (
        read_whole(folder / name, sha256, way_out)
        for name, sha256 in zip((".index", ".data-00000-of-00001"), SHA256[model], strict=True)
    )
    network = Musicnn(layer)
    network.load_state_dict(as_state(read_checkpoint(index, data)), strict=True)
    return network.eval().requires_grad_(False)


def random_network(layer: str, seed: int) -> Musicnn:
    """The network with weights as torch draws them, frozen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Musicnn(layer).eval().requires_grad_(False)


def as_state(variables: dict[str, np.ndarray]) -> State:
    """Variables of the checkpoint as entries of `Musicnn`; optimiser's variables are left out."""
    state: State = {}

    def norm(target: str, number: int) -> None:
        source = "batch_normalization" + (f"_{number}" if number else "")
        names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        state.update({f"{target}.{ours}": tensor(f"{source}/{theirs}") for ours, theirs in names.items()})
        state[f"{target}.num_batches_tracked"] = torch.tensor(0)

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(variables[name].copy())

    norm("norm", 0)
    blocks = [*(f"front.{i}" for i in range(5)), *(f"middle.{i}" for i in range(3))]
    for number, target in enumerate(blocks):
        source = "conv2d" + (f"_{number}" if number else "")
        kernel = tensor(f"{source}/kernel").permute(3, 2, 0, 1)  # height width in out
        if target.startswith("middle"):  # its width is the channels of what came before
            kernel = kernel.permute(0, 3, 2, 1)
        state |= {f"{target}.conv.weight": kernel.contiguous(), f"{target}.conv.bias": tensor(f"{source}/bias")}
        norm(f"{target}.norm", number + 1)
    norm("pooled_norm", 9)
    norm("dense_norm", 10)
    for target, source in (("dense", "dense"), ("tags", "dense_1")):
        state[f"{target}.weight"] = tensor(f"{source}/kernel").T.contiguous()
        state[f"{target}.bias"] = tensor(f"{source}/bias")
    return state


def read_checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """The float32 variables of a TensorFlow checkpoint: `index` is a LevelDB table of where they lie in `data`."""
    handles = list(_varints(index[-48:-8]))
    [(_, handle), *_] = _entries(index, *handles[2:4])
    variables = {}
    for name, entry in _entries(index, *list(_varints(handle))[:2]):
        fields = _fields(entry)
        if name and fields.get(1) == [1]:
            shape = [_fields(dimension).get(1, [1])[0] for dimension in _fields(fields.get(2, [b""])[0]).get(2, [])]
            offset, size = fields.get(4, [0])[0], fields[5][0]
            variables[name.decode()] = np.frombuffer(data[offset : offset + size], "<f4").reshape(shape)
    return variables


def _entries(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block, each key sharing a prefix with the one before."""
    block = table[offset : offset + size]
    end = len(block) - 4 * (struct.unpack("<I", block[-4:])[0] + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _fields(message: bytes) -> dict[int, list]:  # type: ignore[type-arg]  # numbers and bytes, by the field
    """Fields of a protocol buffer by number."""
    fields: dict[int, list] = {}  # type: ignore[type-arg]
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        else:
            length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = message[at : at + length], at + length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varints(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
