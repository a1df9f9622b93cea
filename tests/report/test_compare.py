import numpy as np

from src.report.compare import compare
from src.report.overrides import Typed, wanted


def _filled(shelf, words, right):
    cells = wanted("", Typed.of(words))
    for one, count in zip(cells, right, strict=True):
        for seed in one.seeds:
            shelf.add(one, seed, np.arange(40) < count)
    return compare(shelf.desk(cells))


def test_pairs_differ_in_one_setting(shelf):
    words = ["dataset=composer", "preprocess=unprocessed,normalized", "head.learning_rate=0.01,0.1", "seed=0"]
    report = _filled(shelf, words, (30, 31, 35, 39))
    cells, found = report.tables
    assert cells.header[:3] == ("dataset", "preprocess", "head.learning_rate")
    assert [row[1:3] for row in found.rows] == [
        ("unprocessed, head.learning_rate: 0.1 − 0.01", "+2.5"),
        ("0.01, preprocess: normalized − unprocessed", "+12.5"),
        ("0.1, preprocess: normalized − unprocessed", "+20.0"),
        ("normalized, head.learning_rate: 0.1 − 0.01", "+10.0"),
    ]
    assert report.missing == () and report.errors == ()
    assert [source.cell for source in report.sources] == [
        f"composer preprocess={condition} head.learning_rate={rate}"
        for condition in ("unprocessed", "normalized")
        for rate in ("0.01", "0.1")
    ]


def test_datasets_that_share_clips_are_compared_and_others_not(shelf):
    report = _filled(shelf, ["dataset=genre,short_genre,composer", "seed=0"], (30, 31, 20))
    assert [row[0] for row in report.tables[1].rows] == ["genre / short_genre"]
    assert any("Datasets are not compared with each other" in note for note in report.notes)


def test_folders_of_the_same_name_are_two_datasets(shelf, tmp_path):
    roots = [tmp_path / place / "birds" for place in ("here", "there")]
    words = ["dataset=folder", f"dataset.root={roots[0]},{roots[1]}", "seed=0,1"]
    cells = wanted("", Typed.of(words))
    for one, root, count in zip(cells, roots, (30, 20), strict=True):
        for seed in one.seeds:
            tags = {"dataset_root": str(root)}
            shelf.add(one, seed, np.arange(40) < count, data=f"of {root.parent.name}", origin="recorded", tags=tags)
    report = compare(shelf.desk(cells))
    assert [row.cell.accuracies for row in map(shelf.desk(cells).row, shelf.desk(cells).cells)] == [
        [0.75] * 2,
        [0.5] * 2,
    ]
    assert len(report.tables[0].rows) == 2
    assert len(report.tables) == 1, "they share no clips, though these have the same names"
    assert any("Datasets are not compared with each other" in note for note in report.notes)


def test_splits_are_not_compared(shelf):
    report = _filled(shelf, ["dataset=composer", "split=hash,stratified", "seed=0"], (30, 31))
    assert len(report.tables) == 1
    assert any("Splits are not compared with each other" in note for note in report.notes)


def test_missing_seeds_of_the_sweep(shelf):
    cells = wanted("", Typed.of(["dataset=composer", "preprocess=normalized", "seed=0,1"]))
    shelf.add(cells[0], 1, np.ones(10, dtype=bool))
    report = compare(shelf.desk(cells))
    assert report.missing == ("python -m src.train -m seed=0 dataset=composer preprocess=normalized",)
    assert report.tables[0].rows[0][-3] == "1 of 2"


def test_two_spellings_of_a_value_are_one_cell():
    cells = wanted("", Typed.of(["dataset=composer", "head.learning_rate=0.1,1e-1,0.3", "seed=0"]))
    assert [dict(one.axes) for one in cells] == [{"head.learning_rate": "0.1"}, {"head.learning_rate": "0.3"}]


def test_settings_that_mean_the_same_are_one_row(shelf):
    """The order in which classes are kept changes nothing: both cells have the one run."""
    keep = "dataset.include_classes=[beethoven,mozart],[mozart,beethoven]"
    cells = wanted("", Typed.of(["dataset=composer", keep, "preprocess=normalized", "seed=0"]))
    shelf.add(cells[0], 0, np.arange(40) < 30)
    report = compare(shelf.desk(cells))
    assert len(cells) == 2 and len(report.tables[0].rows) == 1
    assert any("has the runs of" in note for note in report.notes)


def test_a_seed_given_twice_is_one_seed(shelf, caplog):
    (one,) = wanted("", Typed.of(["dataset=composer", "preprocess=normalized", "seed=0,0,1"]))
    assert one.seeds == (0, 1)
    assert "seed: got 0,0,1" in caplog.text
    for seed in (0, 1):
        shelf.add(one, seed, np.arange(40) < 30 + seed)
    (row,) = compare(shelf.desk([one])).tables[0].data
    assert row["seeds"] == "0 1"
