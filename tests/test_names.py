"""Files whose names are no text, or text that breaks lines, tables and markup: every command stores and prints them."""

import csv
import io
import json
import os
import unicodedata
from html import escape

import pytest
import soundfile

from src.gallery.gallery import exhibit
from src.predict.classify import predict
from src.prepare.dataset import make_ready
from src.show import show

NAMES = [
    b"M\xfasica.wav",
    b"new\nline.wav",
    b"return\r.wav",
    b"tab\there.wav",
    b"\x1b[31mred.wav",
    b"comma, semi; and \"quotes\" 'too'.wav",
    b"-n --help.wav",
    b"=1+1.wav",
    b"<b>&amp;.wav",
    b"$HOME `id` %s {x}.wav",
    "\N{GUITAR}\N{VARIATION SELECTOR-16}.wav".encode(),
    unicodedata.normalize("NFD", "Händel.wav").encode(),
    "Bär.WAV".encode(),
    b"x" * 251 + b".wav",
    ("ä" * 125 + ".wav").encode(),
]


@pytest.fixture
def strange(bench, tone):
    """Overrides for a folder of two classes, itself of a strange name, whose files are called as above."""
    root = bench.folder / os.fsdecode(b"S\xf6unds\n1")
    for number, label in enumerate((b"caf\xe9", "\N{DRUM WITH DRUMSTICKS}".encode())):
        (root / os.fsdecode(label)).mkdir(parents=True)
        for i, name in enumerate(NAMES):
            sound = tone(200.0 * (1 + number) + i, 0.2, noise=0.01, seed=i)
            soundfile.write(os.fsencode(root / os.fsdecode(label) / os.fsdecode(name)), sound, 8000, format="WAV")
    quoted = str(root).replace("'", "\\'")
    return ["dataset=folder", f"dataset.root='{quoted}'", "preprocess=unprocessed"]


def test_a_job_and_all_that_uses_its_run(bench, strange, compose, capsys):
    outcome = bench.run(*strange)
    store = bench.store()
    run = store.get(outcome.run_id)
    table = list(csv.DictReader(io.StringIO(store.artifact(outcome.run_id, "predictions.csv").decode(), newline="")))
    assert len(table) == 2 * len(NAMES)
    ids = {row["clip"] for row in table}
    assert {"caf/M\\xfasica.wav", "drum_with_drumsticks/new\\nline.wav", "caf/tab\\there.wav", "caf/Händel.wav"} <= ids
    assert all(row["clip"].isprintable() for row in table)
    assert "S\\xf6unds\\n1" in run.params["dataset.root"]

    root = bench.folder / os.fsdecode(b"S\xf6unds\n1")
    places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
    runs = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment='{bench.experiment}'", "workers=2"]
    for output in ("table", "csv", "json"):
        capsys.readouterr()
        predict(
            compose(
                [*places, *runs, f"run={outcome.run_id}", "progress=false", f"audio='{root}'", f"output={output}"],
                "predict",
            )
        )
        text = capsys.readouterr().out
        text.encode()
        if output == "table":
            assert len(text.splitlines()) == 1 + 2 * len(NAMES)
        files = [row["file"] for row in csv.DictReader(io.StringIO(text, newline=""))] if output == "csv" else []
        files = [row["file"] for row in json.loads(text)] if output == "json" else files
        assert len(files) in (0, 2 * len(NAMES))

    page = bench.folder / "page.html"
    exhibit(compose([*places, *runs, f"run={outcome.run_id}", f"out='{page}'", "media.sounds=link"], "gallery"))
    tested = [row["clip"] for row in table if row["part"] == "test"]
    assert [clip for clip in tested if escape(clip) not in page.read_text("utf8")] == []

    words = [word for word in bench.overrides(*strange) if not word.startswith("trainer")]
    make_ready(compose(words, "prepare"))
    [listed] = (bench.folder / "data" / ".manifests").iterdir()
    assert len(json.loads(listed.read_bytes())["clips"]) == 2 * len(NAMES)

    words = [f"picture='{bench.folder / 'x.png'}'", f"features='{bench.folder / 'x.csv'}'", "preprocess=unprocessed"]
    file = root / os.fsdecode(b"caf\xe9") / os.fsdecode(NAMES[0])
    small = ["backbone=pixels", "backbone.rows=4", "backbone.columns=4"]
    show(compose([*places, f"paths.tracking='{bench.tracking}'", *small, f"audio='{file}'", *words], "show"))
    assert "M\\xfasica.wav" in (bench.folder / "x.csv").read_text("utf8")


def test_a_sweep_over_a_folder_of_a_strange_name(tmp_path, write_clips, run_train, tiny):
    root = tmp_path / os.fsdecode(b"S\xf6unds")
    write_clips(tmp_path / "plain", ["low", "high"], 10)
    (tmp_path / "plain").rename(root)
    done = run_train(["-m", *tiny, "dataset=folder", f"dataset.root='{root}'", "seed=0,1"], tmp_path)
    assert (done.returncode, done.stdout.count(": accuracy ")) == (0, 2), done.stderr
