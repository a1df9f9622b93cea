import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))
from loopback import Loopback, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as loopback:
        yield loopback


@pytest.fixture
def sound() -> Callable[[int], bytes]:
    """A WAV of a tenth of a second at 8 kHz, another one for each number."""

    def make(number: int) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, np.random.default_rng(number).uniform(-0.5, 0.5, 800), 8000, format="WAV")
        return file.getvalue()

    return make
