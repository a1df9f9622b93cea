"""`python -m src.gallery` on real runs."""

import re
import shutil

import pytest

from src.errors import UserError
from src.gallery.gallery import exhibit


@pytest.fixture
def shown(bench, compose, tmp_path, capsys):
    """`shown(run, words)`: the page and what is printed."""

    def act(run, *words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        places += [f"paths.tracking='{bench.tracking}'", f"tracking.experiment={bench.experiment}", "workers=1"]
        out = tmp_path / "out" / "page.html"
        exhibit(compose([f"run={run}", *places, f"out='{out}'", *words], "gallery"))
        return out.read_text("utf8"), capsys.readouterr().out

    return act


@pytest.fixture
def runs(bench, tmp_path, write_clips):
    """Two seeds on three classes."""
    write_clips(tmp_path / "sounds", ["a", "b", "c"], 20, seconds=0.2)
    words = ("dataset=folder", f"dataset.root='{tmp_path / 'sounds'}'")
    return [bench.run(*words, f"seed={seed}").run_id for seed in (0, 5)]


def test_all_seeds_of_the_run_are_on_one_page(shown, runs, caplog):
    text, told = shown(runs[1])
    assert "test clips, 2 seeds;" in told
    assert all(run in text for run in runs)
    clips = int(re.search(r"(\d+) test clips", told)[1])
    assert text.count("<image") == text.count("data:audio/mpeg") == clips
    assert f"{clips} of {clips} test clips can be heard" in text
    assert "no longer those" not in text


def test_clips_that_have_moved_are_found_where_they_are(shown, runs, tmp_path, caplog):
    shutil.move(tmp_path / "sounds", tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"say where they are with root=FOLDER"):
        shown(runs[0])
    moved = f"root='{tmp_path / 'elsewhere'}'"
    assert "no longer those" not in shown(runs[0], moved)[0]
    linked, _ = shown(runs[0], moved, "media.sounds=link")
    assert 'src="../elsewhere/' in linked
    (tmp_path / "elsewhere" / "a" / "00.wav").unlink()
    assert "The dataset&#39;s files are no longer those that the runs saw" in shown(runs[0], moved)[0]


def test_limits_leave_out_what_was_got_right(shown, runs):
    text, _ = shown(runs[0], "media.clips=2")
    assert text.count("<image") == 2
    assert re.search(r"Pictures: 2 of \d+ test clips, mistakes first", text)


def test_mistakes_are_told(shown, runs, tmp_path):
    (tmp_path / "text").write_text("")
    for words, match in (
        (["out=page.txt"], r"out=page\.txt: expected a name ending in \.html"),
        ([f"out='{tmp_path / 'text' / 'a.html'}'"], "cannot be written"),
        (["media.sounds=loud"], r"media\.sounds: got 'loud'"),
        (["media.cell=few"], r"media\.cell='few'"),
    ):
        with pytest.raises(UserError, match=match):
            shown(runs[0], *words)


@pytest.mark.slow
def test_as_a_person_runs_it(bench, runs, run_train, tmp_path):
    places = [f"paths.cache={tmp_path / 'cache'}", f"paths.tracking={bench.tracking}"]
    done = run_train([f"run={runs[0]}", *places, f"tracking.experiment={bench.experiment}"], tmp_path, "src.gallery")
    assert done.returncode == 0, done.stderr
    assert f"reports/gallery-{runs[0][:8]}.html: " in done.stdout
    wrong = run_train(["run=feedbeef", *places, f"tracking.experiment={bench.experiment}"], tmp_path, "src.gallery")
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr
