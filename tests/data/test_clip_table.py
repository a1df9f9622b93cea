"""Tables of clips: what the columns mean, and one error for all that is wrong with the rows."""

import json
from pathlib import Path

import pandas as pd
import pytest

from src.data.dataset import recordings, windowed
from src.data.split import Split
from src.errors import UserError

ROWS = [
    {"filename": "a1.wav", "category": "Frog", "speaker": "ann", "split": "train"},
    {"filename": "a2.wav", "category": "Frog", "speaker": "ann", "split": "dev"},
    {"filename": "b1.wav", "category": "crow", "speaker": "bob", "split": "Train"},
    {"filename": "b2.wav", "category": "crow", "speaker": "cid", "split": "test"},
]


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """A folder of files with the names of ROWS, and of those below fold1 and fold2."""
    for name in [row["filename"] for row in ROWS] + ["fold1/x.wav", "fold2/x.wav", "fold2/y.wav", "long.wav"]:
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / name).write_bytes(name.encode())
    return tmp_path / "audio"


@pytest.fixture
def listed(audio, dataset_settings):
    """`listed(rows, kind=".csv", columns={...}, **settings)`: the dataset of a table written beside the audio."""

    def made(rows, kind=".csv", *, columns=None, **settings):
        frame, path = pd.DataFrame(rows), audio / f"meta{kind}"
        if kind == ".parquet":
            frame.to_parquet(path)
        elif kind == ".jsonl":
            path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8-sig")
        else:
            frame.to_csv(path, index=False, sep="," if kind == ".csv" else "\t", encoding="utf-8-sig")
        known = dataset_settings("", table=str(path)).columns
        return recordings(dataset_settings("", table=str(path), columns={**known, **(columns or {})}, **settings))

    return made


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_usual_columns_are_found_in_every_kind_of_table(listed, audio, kind):
    dataset = listed(ROWS, kind)
    assert dataset.name == "meta"
    assert dataset.classes == ("crow", "frog")
    assert [(clip.path, clip.label, clip.group, clip.part) for clip in dataset.clips] == [
        (audio / "b1.wav", "crow", "bob", "train"),
        (audio / "b2.wav", "crow", "cid", "test"),
        (audio / "a1.wav", "frog", "ann", "train"),
        (audio / "a2.wav", "frog", "ann", "validation"),
    ]
    assert dataset.clips[0].id == "crow/b1.wav"
    assert any("label=category" in note for note in dataset.notes), "what was guessed is kept with the run"


def test_columns_that_are_named_joined_or_make_up_the_path(listed, audio):
    rows = [
        {"fold": 1, "name": "x", "kind": "0", "site": "lake", "day": "mon"},
        {"fold": 2, "name": "x", "kind": "1", "site": "lake", "day": "tue"},
        {"fold": 2, "name": "y", "kind": "0", "site": "wood", "day": "tue"},
    ]
    columns = {"file": "fold{fold}/{name}.wav", "label": "kind", "group": ["site", "day"], "part": None}
    dataset = listed(rows, columns=columns)
    assert [(clip.path, clip.group, clip.fold) for clip in dataset.clips] == [
        (audio / "fold1/x.wav", "lake mon", "1"),
        (audio / "fold2/y.wav", "wood tue", "2"),
        (audio / "fold2/x.wav", "lake tue", "2"),
    ]


def test_rows_may_be_chosen_by_value(listed):
    rows = [{**row, "esc10": str(i != 1)} for i, row in enumerate(ROWS)]
    assert len(listed(rows, where={"esc10": "True", "split": ["Train", "train", "test"]}).clips) == 3
    with pytest.raises(UserError, match=r"dataset\.where\.esc10=maybe.*True"):
        listed(rows, where={"esc10": "maybe"})
    with pytest.raises(UserError, match=r"no column 'colour'"):
        listed(rows, where={"colour": "red"})


def test_one_error_names_everything_that_is_wrong(listed):
    rows = [
        *ROWS,
        {**ROWS[0], "filename": "gone.wav"},
        {**ROWS[0], "filename": "x.wav", "category": ""},
        ROWS[1],
        {**ROWS[2], "category": "raven"},
        {**ROWS[3], "filename": "fold1/x.wav", "split": "maybe"},
    ]
    with pytest.raises(UserError) as raised:
        listed(rows)
    told = str(raised.value)
    for words in ("row 6: ", "gone.wav", "no label (1): row 7", "row 8: a2.wav, as row 3", "row 9: b1.wav, as row 4"):
        assert words in told
    assert "row 10: maybe" in told
    assert "on_unreadable=skip" in told
    assert "one label" in told


def test_missing_files_may_be_left_out(listed):
    dataset = listed([*ROWS, {**ROWS[0], "filename": "gone.wav"}], on_unreadable="skip")
    assert len(dataset.clips) == 4
    assert "left out 1 rows whose file is missing" in dataset.notes


@pytest.mark.parametrize(
    ("rows", "columns", "named"),
    [
        ([{"a": "a1.wav", "label": "x"}], {}, "dataset.columns.file="),
        ([{"file": "a1.wav", "digit": "1"}], {}, "dataset.columns.label="),
        (ROWS, {"group": "artist"}, "dataset.columns.group=artist"),
        (ROWS, {"file": "{dir}/{filename}"}, "'dir'"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(listed, rows, columns, named):
    with pytest.raises(UserError) as raised:
        listed(rows, columns=columns)
    assert named in str(raised.value)
    assert all(name in str(raised.value) for name in rows[0])


@pytest.mark.parametrize(
    ("name", "content"), [("none.csv", None), ("meta.xlsx", b"x"), ("bad.jsonl", b"{"), ("bad.parquet", b"PAR1")]
)
def test_a_table_that_cannot_be_read_is_named(audio, dataset_settings, name, content):
    if content is not None:
        (audio / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"dataset\.table=.*{name}"):
        recordings(dataset_settings("", table=str(audio / name)))


def test_parts_of_a_long_recording_are_clips_and_stay_together(listed):
    rows = [
        {"file": "long.wav", "label": "frog", "from": 0, "to": 2.5},
        {"file": "long.wav", "label": "crow", "from": 2.5, "to": 4},
        {"file": "long.wav", "label": "frog", "from": 7, "to": ""},
        {"file": "a1.wav", "label": "crow", "from": 0, "to": 1},
    ]
    dataset = listed(rows, columns={"start": "from", "end": "to"})
    assert [(clip.id, clip.excerpt) for clip in dataset.clips] == [
        ("crow/a1.wav@0-1", (0.0, 1.0)),
        ("crow/long.wav@2.5-4", (2.5, 4.0)),
        ("frog/long.wav@0-2.5", (0.0, 2.5)),
        ("frog/long.wav@7-", (7.0, None)),
    ]
    groups = [clip.group for clip in dataset.clips]
    assert groups[1] == groups[2] == groups[3] != groups[0]
    with pytest.raises(UserError, match="start < end"):
        listed([{**rows[0], "to": 0}, rows[1]], columns={"start": "from", "end": "to"})
    with pytest.raises(UserError, match="number of seconds"):
        listed([{**rows[0], "to": "soon"}, rows[1]], columns={"start": "from", "end": "to"})


@pytest.mark.parametrize(
    ("seconds", "window", "hop", "spans"),
    [
        (10.0, 3.0, None, [(0, 3), (3, 6), (6, 9)]),
        (10.5, 3.0, None, [(0, 3), (3, 6), (6, 9), (9, 10.5)]),
        (7.0, 3.0, 1.5, [(0, 3), (1.5, 4.5), (3, 6), (4.5, 7)]),
        (1.0, 3.0, None, [(0, 1)]),
        (3.0, 3.0, None, [(0, 3)]),
    ],
)
def test_windows_follow_each_other_and_inherit_their_clip(listed, dataset_settings, seconds, window, hop, spans):
    dataset = listed(ROWS)
    cut = windowed(dataset_settings("", window=window, hop=hop), dataset, lambda _: seconds)
    of_first = [clip for clip in cut.clips if clip.window_of == "crow/b1.wav"]
    assert [clip.excerpt for clip in of_first] == spans
    assert {(clip.label, clip.group, clip.part) for clip in of_first} == {("crow", "bob", "train")}
    assert len({clip.id for clip in cut.clips}) == len(cut.clips) == 4 * len(spans)


def test_leave_one_out_and_folds_of_a_table(listed):
    dataset = listed([{**row, "fold": i // 2 + 9} for i, row in enumerate(ROWS)], columns={"label": "split"})
    names = {clip.id: clip for clip in dataset.clips}
    assert Split("folds", 0, 5, "all").fold_names(dataset) == ["9", "10"]
    parts = dict(zip(names, Split("folds", 0, 5, 1).assign(dataset), strict=True))
    assert {clip_id for clip_id, part in parts.items() if part == "test"} == {
        clip_id for clip_id, clip in names.items() if clip.fold == "10"
    }
    assert set(parts.values()) == {"train", "test"}
    out = Split("leave_one_out", 0, 5, "all")
    assert out.fold_names(dataset) == ["ann", "bob", "cid"]
    tested = [[p == "test" for p in run.assign(dataset)] for run in out.runs(dataset)]
    assert [sum(column) for column in zip(*tested, strict=True)] == [1, 1, 1, 1], "every clip is tested once"
