"""`python -m src.explain action=neighbours`: copies of a clip come first, under whatever label."""

import csv
import io
import shutil

import pytest
import soundfile

from src.errors import UserError
from src.explain.neighbours import neighbours


@pytest.fixture
def found(bench, compose, tmp_path, capsys):
    """`found(words)`: rows of neighbours.csv, and what is printed; the files are in tmp_path/out."""

    def act(*words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        places += [f"paths.tracking='{bench.tracking}'", f"tracking.experiment={bench.experiment}", "workers=1"]
        neighbours(compose([*places, "run=best", f"out='{tmp_path / 'out'}'", *words], "explain"))
        rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "neighbours.csv").read_text())))
        return rows, capsys.readouterr().out

    return act


def test_a_copy_under_a_wrong_label_is_the_nearest(bench, write_clips, found, tmp_path):
    root = bench.folder / "sounds"
    write_clips(root, ["high", "low"], 10, seconds=0.3)
    samples, rate = soundfile.read(root / "low" / "03.wav")
    soundfile.write(root / "high" / "copy.wav", 0.5 * samples, rate, subtype="FLOAT")
    bench.run("dataset=folder", f"dataset.root='{root}'", "preprocess=normalized")
    rows, told = found(f"audio='{root / 'low' / '03.wav'}'", "neighbours=5")
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert (rows[0]["clip"], rows[0]["label"]) == ("high/copy.wav", "high")
    assert float(rows[0]["distance"]) < 0.05
    assert [row["label"] for row in rows[1:]] == ["low"] * 4
    assert "low/03.wav" not in [row["clip"] for row in rows]
    assert "03.wav: " in told
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names[:2] == ["01-high.wav", "02-low.wav"]
    assert {"clip.wav", "neighbours.csv", "neighbours.png"} <= set(names)
    nearest, _ = soundfile.read(tmp_path / "out" / "01-high.wav")
    assert nearest == pytest.approx(0.5 * samples, abs=1e-6)  # float32


def test_what_cannot_be_a_neighbour_is_told(bench, write_clips, found, tmp_path):
    root = bench.folder / "sounds"
    write_clips(root, ["high", "low"], 10, seconds=0.2)
    bench.run("dataset=folder", f"dataset.root='{root}'")
    with pytest.raises(UserError, match="neighbours=0"):
        found(f"audio='{root / 'low' / '03.wav'}'", "neighbours=0")
    with pytest.raises(UserError, match="nowhere"):
        found("audio=nowhere.wav")
    shutil.copy(root / "low" / "03.wav", tmp_path / "new.wav")
    (root / "low" / "09.wav").unlink()
    with pytest.raises(UserError, match="root=FOLDER"):
        found(f"audio='{tmp_path / 'new.wav'}'")
