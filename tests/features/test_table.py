"""`python -m src.features`: features that other programs read, the same bits in every format."""

import csv
import io
import json

import numpy as np
import pandas
import pytest
import soundfile

from src.data.windows import window_starts
from src.errors import UserError

PIXELS = ("backbone.rows=4", "backbone.columns=6")


@pytest.fixture
def exported(bench, compose, tmp_path, capsys):
    """`exported(name, words)`: the path of the table, and what is printed."""
    from src.features.__main__ import export

    def act(name, *words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        path = tmp_path / "out" / name
        export(
            compose([*places, "backbone=pixels", *PIXELS, "workers=1", "progress=false", f"output='{path}'", *words],
                    "features")
        )  # fmt: skip
        return path, capsys.readouterr().out

    return act


@pytest.fixture
def sounds(tmp_path, write_clips):
    write_clips(tmp_path / "so'unds", ["high", "low, x"], 4, seconds=0.5)
    return tmp_path / "so'unds"


def labelled(sounds):
    return ("dataset=folder", f'dataset.root="{sounds}"', 'dataset.name="it\'s"', "split=kfold")


def test_every_format_holds_the_same(exported, sounds):
    words = labelled(sounds)
    path, told = exported("a.csv", *words)
    assert "8 of them computed" in told
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf8"))))
    names = list(rows[0])[6:]
    assert len(names) == 24
    features = np.array([[np.float32(row[name]) for name in names] for row in rows])
    assert [row["label"] for row in rows] == ["high"] * 4 + ["low_x"] * 4
    assert {row["part"] for row in rows} <= {"train", "validation", "test"}
    assert rows[0]["file"] == "high/00.wav"
    assert (rows[0]["start"], rows[0]["end"]) == ("0.000", "0.500")

    frame = pandas.read_parquet(exported("a.parquet", *words)[0])
    np.testing.assert_array_equal(frame[names].to_numpy(), features)
    assert list(frame["label"]) == [row["label"] for row in rows]
    with np.load(exported("a.npz", *words)[0]) as arrays:
        np.testing.assert_array_equal(arrays["features"], features)
        assert arrays["features"].dtype == np.float32
        assert list(arrays["feature_names"]) == names
        assert list(arrays["part"]) == [row["part"] for row in rows]

    path, told = exported("a.arff", *words)
    assert " 0 of them computed" in told
    arff = pytest.importorskip("sklearn.externals._arff")  # liac-arff, as scikit-learn ships it
    content = arff.loads(path.read_text("utf8"))
    assert content["relation"].replace("\\", "") == "it's"  # escaped, which this reader leaves in a relation's name
    assert [name for name, _ in content["attributes"]][5:-1] == names
    assert content["attributes"][-1] == ("label", ["high", "low_x"])
    np.testing.assert_array_equal(np.array([row[5:-1] for row in content["data"]], np.float32), features)


def test_a_file_beside_it_says_what_made_it(exported, sounds):
    path, _ = exported("a.npz", *labelled(sounds))
    made_by = json.loads(path.with_name("a.npz.json").read_text("utf8"))
    assert (made_by["rows"], made_by["features"], made_by["dataset"]) == (8, 24, "it's")
    assert made_by["pipeline"]["backbone"]["model"] == "pixels"
    assert len(made_by["data_digest"]) == 32
    assert made_by["settings"]["dataset"]["name"] == "it's"


def test_a_folder_without_labels(exported, sounds):
    (sounds / "high" / "broken.wav").write_text("text")
    path, _ = exported("a.csv", "dataset=files", f'dataset.root="{sounds}"')
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf8"))))
    assert [row["file"] for row in rows][-1] == "low, x/03.wav"
    assert {row["label"] + row["part"] for row in rows} == {""}
    assert len(rows) == 8
    with pytest.raises(UserError, match=r"1 of 9 files cannot be used:\n.*broken\.wav"):
        exported("a.csv", "dataset=files", f'dataset.root="{sounds}"', "dataset.on_unreadable=fail")


def test_a_row_for_each_window(exported, sounds):
    soundfile.write(sounds / "high" / "00.wav", np.linspace(-0.9, 0.9, 8000), 8000, subtype="FLOAT")
    words = ("dataset=files", f'dataset.root="{sounds}"', "window=0.5", "hop=0.25")
    path, told = exported("a.csv", *words)
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf8"))))
    first = [(row["start"], row["end"]) for row in rows if row["file"] == "high/00.wav"]
    assert first == [("0.000", "0.500"), ("0.250", "0.750"), ("0.500", "1.000"), ("0.750", "1.000")]
    assert "windows, " in told
    assert " 0 of them computed" in exported("b.csv", *words)[1]
    # the same window alone has the same features
    alone, _ = exported(
        "c.csv", "dataset=files", f'dataset.root="{sounds}"', "dataset.start=0.25", "dataset.duration=0.5"
    )
    (other,) = [r for r in csv.DictReader(io.StringIO(alone.read_text("utf8"))) if r["file"] == "high/00.wav"]
    assert other == [row for row in rows if row["file"] == "high/00.wav"][1]


def test_mistakes_are_named_before_anything_is_read(exported):
    missing = ("dataset=files", "dataset.root=nowhere")
    for name, words, match in (
        ("a.xls", missing, r"output=.*a\.xls: expected a name ending in \.parquet"),
        ("a.csv", (*missing, "hop=1"), "window=SECONDS"),
        ("a.csv", (*missing, "window=-1"), "window=-1"),
        ("a.csv", missing, "no such folder"),
    ):
        with pytest.raises(UserError, match=match):
            exported(name, *words)


def test_there_is_nothing_to_train_on_without_labels(bench, sounds):
    with pytest.raises(UserError, match="no labels"):
        bench.run("dataset=files", f'dataset.root="{sounds}"')


@pytest.mark.parametrize(
    ("seconds", "hop", "starts"),
    [(3.0, None, [1.0, 2.0]), (3.4, None, [1.0, 2.0]), (3.5, None, [1.0, 2.0, 3.0]), (1.1, None, [1.0]),
     (2.0, 0.5, [1.0, 1.5]), (2.5, 0.5, [1.0, 1.5, 2.0]), (0.5, 0.5, [1.0])],
)  # fmt: skip
def test_a_rest_of_half_a_window_is_a_window(seconds, hop, starts):
    assert window_starts(seconds, 1.0, 1.0, hop) == starts
