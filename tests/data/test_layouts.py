"""Datasets as people have them, through whole jobs: parts and folds in folders, lists, excerpts, windows."""

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from src.errors import UserError

# enough to tell a high tone from a low one
LEARNS = (
    "spectrogram=mel",
    "spectrogram.n_fft=512",
    "spectrogram.n_mels=16",
    "backbone.rows=16",
    "trainer.max_steps=500",
)


def rows(store, outcome, name="predictions.csv"):
    return list(csv.DictReader(io.StringIO(store.artifact(outcome.run_id, name).decode())))


@pytest.fixture
def layout(tmp_path, write_clips):
    """`layout(names, clips)`: below a folder, one for each name, with clips of two classes in each."""

    def made(names, clips=4):
        for name in names:
            write_clips(tmp_path / "sounds" / name, ["high", "low"], clips)
            for path in (tmp_path / "sounds" / name).rglob("*.wav"):  # other bytes in each
                sound, rate = soundfile.read(path)
                soundfile.write(path, sound * (0.5 + 0.1 * len(list(tmp_path.glob("sounds/*")))), rate)
        return tmp_path / "sounds"

    return made


@pytest.mark.parametrize(
    ("names", "split"),
    [(["train", "valid", "test"], "given"), (["Training", "Eval"], "given"), (["fold1", "fold2"], "folds")],
)
def test_parts_are_not_taken_for_classes(bench, layout, names, split):
    root = layout(names)
    with pytest.raises(UserError, match=rf"dataset=parts dataset\.root=\S+ split={split}"):
        bench.run("dataset=folder", f"dataset.root='{root}'")
    bench.run("dataset=folder", f"dataset.root='{root}'", f"dataset.classes={{{','.join(f'{n}:[]' for n in names)}}}")


def test_parts_in_folders_are_the_split(bench, layout):
    root = layout(["train", "valid", "test"])
    outcome = bench.run("dataset=parts", f"dataset.root='{root}'", "split=given")
    parts = {(row["clip"].split("/")[1], row["part"]) for row in rows(bench.store(), outcome)}
    assert parts == {("train", "train"), ("valid", "validation"), ("test", "test")}
    assert outcome.test_clips == 8


def test_without_a_validation_part_a_tenth_of_training_validates(bench, layout):
    root = layout(["train", "test"], clips=20)
    outcome = bench.run("dataset=parts", f"dataset.root='{root}'", "split=given")
    counts = Counter((row["clip"].split("/")[1], row["part"]) for row in rows(bench.store(), outcome))
    assert counts == {("train", "train"): 36, ("train", "validation"): 4, ("test", "test"): 40}


def test_lists_of_files_are_the_split(bench, layout):
    root = layout(["."], clips=10)
    (root / "testing_list.txt").write_text("high/00.wav\nlow/01.wav\n")
    (root / "validation_list.txt").write_text("high/02.wav\n\n")
    words = ["dataset=folder", f"dataset.root='{root}'", "split=given", "dataset.lists.test=testing_list.txt"]
    outcome = bench.run(*words, "dataset.lists.validation=validation_list.txt")
    parts = {row["clip"]: row["part"] for row in rows(bench.store(), outcome) if row["part"] != "train"}
    assert parts == {"high/00.wav": "test", "low/01.wav": "test", "high/02.wav": "validation"}
    (root / "testing_list.txt").write_text("high/99.wav\n")
    with pytest.raises(UserError, match=r"testing_list\.txt.*high/99\.wav"):
        bench.run(*words)


def test_every_clip_is_tested_in_its_own_fold_by_a_head_that_never_saw_it(bench, layout):
    """Fold 2 holds the classes the other way round: heads that did not see it get all of it wrong."""
    root = layout(["fold1", "fold2", "fold10"], clips=6)
    (root / "fold2" / "high").rename(root / "fold2" / "x")
    (root / "fold2" / "low").rename(root / "fold2" / "high")
    (root / "fold2" / "x").rename(root / "fold2" / "low")
    outcome = bench.run("dataset=parts", f"dataset.root='{root}'", "split=folds", *LEARNS)
    store = bench.store()
    [run] = store.runs()
    table = rows(store, outcome)
    assert all(row["part"] == "test" and row["fold"] == row["clip"].split("/")[1][4:] for row in table)
    assert outcome.test_clips == len(table) == 36
    right = [row["label"] == row["predicted"] for row in table]
    assert outcome.accuracy == pytest.approx(sum(right) / 36)
    assert run.metrics["test/fold/2"] == 0
    folds = [run.metrics[f"test/fold/{name}"] for name in ("1", "2", "10")]
    assert np.mean(folds) == pytest.approx(outcome.accuracy)
    assert run.metrics["test/fold_deviation"] == pytest.approx(np.std(folds, ddof=1))
    assert (run.tags["kind"], run.tags["fold"]) == ("pooled", "all")
    single = bench.run("dataset=parts", f"dataset.root='{root}'", "split=folds", "split.fold=1", *LEARNS)
    assert (single.accuracy, single.test_clips) == (0, 12)
    tested = [row for row in rows(store, single) if row["part"] == "test"]
    assert [row["p_low"] for row in tested] == [row["p_low"] for row in table if row["fold"] == "2"], "to the bit"
    with pytest.raises(UserError, match="has 3 folds"):
        bench.run("dataset=parts", f"dataset.root='{root}'", "split=folds", "split.fold=3", *LEARNS)


def test_each_group_is_left_out_and_named(bench, layout):
    root = layout(["."], clips=9)
    words = ["dataset=folder", f"dataset.root='{root}'", "split=leave_one_out", r"dataset.group_pattern='/(\d)\d'"]
    with pytest.raises(UserError, match=r"leave_one_out.*group"):
        bench.run(*words[:3])
    for path in root.rglob("0[5-8].wav"):
        path.rename(path.with_name(f"1{path.name[1:]}"))
    outcome = bench.run(*words)
    assert {(row["group"], row["fold"]) for row in rows(bench.store(), outcome)} == {("0", "0"), ("1", "1")}


def test_a_sweep_over_folds_is_one_row(run_train, tiny, tmp_path, write_clips):
    write_clips(tmp_path / "clips", ["a", "b"], 9)
    small = [*(word for word in tiny if word != "split=stratified"), "dataset=folder", "dataset.root=clips"]
    done = run_train(["-m", *small, "split=kfold", "split.folds=3", "split.fold=0,1,2", "seed=0,1"], tmp_path)
    assert done.returncode == 0, done.stderr
    [row] = [line for line in done.stdout.splitlines() if line.startswith("clips") and "folds" in line]
    accuracies = [
        float(line.split()[3]) for line in done.stdout.splitlines() if "split.fold=" in line and "finished" in line
    ]
    assert len(accuracies) == 6
    assert f"{100 * np.mean(accuracies):.1f}" in row, "all folds test six clips"
    assert " 18 " in row
    assert " 2 " in row, "two seeds"


def long_file(path: Path, sounds: list[np.ndarray]) -> None:
    soundfile.write(path, np.concatenate(sounds), 8000)


def test_an_excerpt_has_the_features_of_the_same_sound_in_a_file(bench, tmp_path, tone):
    pieces = [tone(hz, 0.5, 8000, noise=0.01, seed=i) for i, hz in enumerate([200, 1500, 260, 1900] * 5)]
    root = tmp_path / "s"
    for label in ("low", "high"):
        (root / "cut" / label).mkdir(parents=True)
    for i, piece in enumerate(pieces):
        soundfile.write(root / "cut" / ("high" if i % 2 else "low") / f"{i:02d}.wav", piece, 8000)
    lines = ["file,label,start,end,part"]
    for k in range(5):
        long_file(root / f"{k}.wav", pieces[4 * k : 4 * k + 4])
        part = "test" if k == 4 else "train"
        lines += [f"{k}.wav,{('low', 'high')[j % 2]},{j / 2},{(j + 1) / 2},{part}" for j in range(4)]
    (root / "clips.csv").write_text("\n".join(lines))
    words = ["dataset=table", f"dataset.table='{root / 'clips.csv'}'", "split=given"]
    with pytest.raises(UserError, match=r"dataset\.columns\.start=start"):  # it is not guessed, but named
        bench.run(*words)
    excerpts = ["dataset.columns.start=start", "dataset.columns.end=end"]
    outcome = bench.run(*words, *excerpts, *LEARNS)
    assert (outcome.accuracy, outcome.test_clips) == (1, 4)
    whole = bench.configured("dataset=folder", f"dataset.root='{root / 'cut'}'").pipeline
    from src.data.audio import Window

    for i in (0, 5, 19):
        file = root / "cut" / ("high" if i % 2 else "low") / f"{i:02d}.wav"
        place = Window((i % 4) / 2, 0.5, None)
        pair = [whole.prepare(file).value, whole.prepare(root / f"{i // 4}.wav", place).value]
        assert np.array_equal(*pair)
    (root / "clips.csv").write_text("\n".join([*lines, "4.wav,low,1.9,2.5,test"]))
    with pytest.raises(UserError, match=r"4\.wav: lasts 2\.00 s.*2\.5"):
        bench.run(*words, *excerpts)


def test_windows_are_learnt_from_and_files_are_scored(bench, tmp_path, tone):
    for label, hz in (("low", 200), ("high", 1500)):
        (tmp_path / "long" / label).mkdir(parents=True)
        for i in range(10):
            sounds = [
                tone(hz * (1 + i / 40), 0.9, 8000, noise=0.3, seed=20 * i + hz),
                tone(700, 0.4, 8000, noise=0.3, seed=i),
            ]
            long_file(tmp_path / "long" / label / f"{i}.wav", sounds)
    words = ["dataset=folder", f"dataset.root='{tmp_path / 'long'}'", "dataset.window=0.3", "dataset.hop=0.2"]
    outcome = bench.run(*words)
    store = bench.store()
    [run] = store.runs()
    files, windows = rows(store, outcome), rows(store, outcome, "windows.csv")
    # 1.3 s: windows at 0, 0.2 ... 1.0, and a rest of 0.1 s, which is too short
    assert Counter(row["clip"].split("@")[0] for row in windows) == {row["clip"]: 6 for row in files}
    assert len(files) == 20
    assert outcome.test_clips == run.metrics["clips/test"] == sum(row["part"] == "test" for row in files)
    assert run.metrics["windows/test"] == 6 * outcome.test_clips
    parts = {row["clip"]: row["part"] for row in files}
    for row in files:
        of = [other for other in windows if other["clip"].split("@")[0] == row["clip"]]
        assert {other["part"] for other in of} == {parts[row["clip"]]}, "a file is never on both sides"
        logs = np.log([[float(other[f"p_{label}"]) for label in ("high", "low")] for other in of]).mean(axis=0)
        expected = np.exp(logs) / np.exp(logs).sum()
        assert [float(row[f"p_{label}"]) for label in ("high", "low")] == pytest.approx(expected.tolist(), abs=1e-6)
    tested = [row for row in windows if row["part"] == "test"]
    assert run.metrics["test/window_accuracy"] == np.mean([row["label"] == row["predicted"] for row in tested])
    longer = bench.run(*words[:3], "dataset.hop=0.3")
    assert longer.run_id != outcome.run_id


def test_new_audio_is_cut_as_the_training_clips_were(run_train, tiny, tmp_path, write_clips):
    write_clips(tmp_path / "clips", ["a", "b"], 10, seconds=0.5)
    words = ["dataset=folder", "dataset.root=clips", "dataset.window=0.2", "dataset.hop=0.1"]
    assert run_train([*tiny, *words], tmp_path).returncode == 0
    done = run_train(["run=best", "audio=clips/a/03.wav", "output=csv"], tmp_path, module="src.predict")
    assert done.returncode == 0, done.stderr
    starts = [line["start"] for line in csv.DictReader(io.StringIO(done.stdout)) if line["part"] == "window"]
    assert [float(start) for start in starts] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_sweep_says_where_most_test_clips_are_of_one_class(run_train, tiny, tmp_path, write_clips):
    write_clips(tmp_path / "clips", ["a"], 30)
    write_clips(tmp_path / "clips", ["b"], 5)
    done = run_train(["-m", *tiny, "dataset=folder", "dataset.root=clips", "split=folds", "seed=0,1"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "clips: 85.7 % of the test clips are of one class" in done.stdout
