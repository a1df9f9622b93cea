"""Small renderings, shared by the tests that look at them."""

import sys
from pathlib import Path

import pytest

from src.data.render import render, sound_font

sys.path.insert(0, str(Path(__file__).parent))
from renderings import Rendering


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose renderings share their parsed scores."""
    return tmp_path_factory.mktemp("stand_ins")


@pytest.fixture(scope="session")
def rendering(workshop: Path) -> Rendering:
    """Renders with the small sound font that is installed everywhere, in this process."""

    def make(dataset: str, folder: str, clips_per_class: int, seed: int = 0) -> Path:
        return render(
            dataset,
            workshop / folder,
            clips_per_class=clips_per_class,
            seed=seed,
            sound_font=sound_font.bundled(),
            workers=1,
            progress=None,
        )

    return make
