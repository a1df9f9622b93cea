"""timm in torch as it comes, in a process of its own: what a script that knows nothing of this project gets.

`benchmarks.networks` and `benchmarks.backbone` begin it. Of its own, because its speed depends on how the process gets
memory: by itself, the C library asks the system for every large tensor anew and gives it back after use, whose pages
then cost more time than the layers' arithmetic; in a process where others have allocated, it may be twice as fast or
half. `keeps_memory` is that same code under an environment variable of the C library which few know.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.measuring import ROOT

BATCH = 32  # as the plain script has it
SMALL = 8  # with which it is fastest where it keeps its memory
KEEPS = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296"
INPUTS, FEATURES = "inputs.npy", "features.npy"


class Eager:
    """A process that embeds the same pictures whenever it is asked."""

    def __init__(
        self,
        model: str,
        weights: str | None,
        inputs: list[np.ndarray],
        threads: int,
        *,
        batch: int = BATCH,
        channels_last: bool = False,
        keeps_memory: bool = False,
    ) -> None:
        """Begin it, and wait until it has its network.

        Args:
            inputs: float32 (3, height, width) each. keeps_memory: that it once had (glibc).
        """
        self._place = tempfile.TemporaryDirectory()
        np.save(Path(self._place.name) / INPUTS, np.stack(inputs))
        words = [sys.executable, "-m", "benchmarks.eager", self._place.name, model, weights or "-"]
        words += [str(threads), str(batch), "channels_last" if channels_last else "contiguous_format"]
        given = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
        self._process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=given | ({"GLIBC_TUNABLES": KEEPS} if keeps_memory else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            self._answer()
        except SystemExit:
            self.close()
            raise

    def run(self) -> None:
        """Embed all of them."""
        self._ask("run")

    def features(self) -> np.ndarray:
        """Of the last run, float32 (pictures, features)."""
        self._ask("keep")
        return np.load(Path(self._place.name) / FEATURES, allow_pickle=False)

    def _ask(self, what: str) -> None:
        if self._process.stdin:
            self._process.stdin.write(what + "\n")
        self._answer()

    def _answer(self) -> None:
        if not self._process.stdout or not self._process.stdout.readline():
            sys.exit(f"benchmarks.eager ended with status {self._process.wait()}")

    def __enter__(self) -> "Eager":
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._place.cleanup()


def main() -> None:
    """Serve the process that began this one, a line each way, until it closes the pipe."""
    import torch

    from src.backbone.network import build

    place, model, weights, threads, batch, layout = sys.argv[1:]
    torch.set_num_threads(int(threads))
    memory_format = getattr(torch, layout)
    module = build(model, None if weights == "-" else weights, 0, None).module.to(memory_format=memory_format)
    pictures = torch.from_numpy(np.load(Path(place) / INPUTS, allow_pickle=False))
    features = np.zeros(0, np.float32)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line == "run\n":
            with torch.inference_mode():
                parts = [module(each.contiguous(memory_format=memory_format)) for each in pictures.split(int(batch))]
            features = torch.cat(parts).numpy()
        else:
            np.save(Path(place) / FEATURES, features)
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
