from pathlib import Path

import pytest

from src.data.render import corpus
from src.data.render.parse import parse
from src.errors import UserError

# An upbeat of one quaver, a tied note over the bar line, a repeat whose bar is split (3/8 before it, 1/8 after), a
# grace note. Four bars of 2/4, each two quarters long, remain on the grid.
TUNE = """X:1
T:Split bars
M:2/4
L:1/8
K:Em
B|e2 g2-|g2 {a}f2|e3:|d|e2 c2|B4|]
"""


@pytest.fixture
def tune(tmp_path: Path) -> corpus.Score:
    (tmp_path / "tune.abc").write_text(TUNE)
    return parse(tmp_path / "tune.abc", "tune.abc")


def test_bars_of_a_tune_lie_on_the_grid(tune: corpus.Score) -> None:
    e, g, f, d, c, b = 76, 79, 78, 74, 72, 71
    onsets, durations, pitches = zip(*tune.parts[0], strict=True)
    assert pitches == (e, g, f, e, d, e, c, b)
    assert onsets == (0.0, 1.0, 3.0, 4.0, 5.5, 6.0, 7.0, 8.0)
    assert durations == (1.0, 2.0, 1.0, 1.5, 0.5, 1.0, 1.0, 2.0)
    assert tune.bar == 2.0


def test_key_and_title(tune: corpus.Score) -> None:
    assert (tune.metre, tune.tonic, tune.minor, tune.title) == ("2/4", 4, True, "Split bars")


def test_a_quartet_keeps_its_times(workshop: Path) -> None:
    score = corpus.read("mozart/k155/movement2.mxl", workshop / ".scores")
    # K. 155, second movement: Andante in A major, 3/4, 50 bars ending with a quaver's rest, four parts.
    assert (score.tonic, score.minor, score.bar, score.quarters) == (9, False, 3.0, 149.5)
    assert len(score.parts) == 4
    mean_pitches = [sum(pitch for _, _, pitch in part) / len(part) for part in score.parts]
    assert mean_pitches == sorted(mean_pitches, reverse=True)
    # Every part is monophonic almost throughout: ties joined, nothing doubled.
    first = score.parts[0]
    assert all(duration > 0 for _, duration, _ in first)
    assert len({(onset, pitch) for onset, _, pitch in first}) == len(first)


def test_a_kept_score_equals_the_parsed_one(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = corpus.read("mozart/k156/movement4.mxl", workshop / ".scores")
    corpus.read.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "src.data.render.parse", None)  # an import would fail now
    assert corpus.read("mozart/k156/movement4.mxl", workshop / ".scores") == fresh


def test_a_damaged_kept_score_is_parsed_again(workshop: Path) -> None:
    cache = workshop / "damaged"
    fresh = corpus.read("bach/bwv66.6.mxl", cache)
    (kept,) = cache.iterdir()
    kept.write_text(kept.read_text()[:100])
    corpus.read.cache_clear()
    assert corpus.read("bach/bwv66.6.mxl", cache) == fresh


def test_a_score_that_the_corpus_lacks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mozart/k999\.mxl: not in the corpus of music21"):
        corpus.read("mozart/k999.mxl", tmp_path)
