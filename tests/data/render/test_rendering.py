import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from renderings import Rendering, manifest_of, samples_of

from src.data.render import description, mastering, plan, render, sound_font
from src.data.render.rendering import wanted_loudness
from src.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*")}


@pytest.fixture(scope="module")
def composer(rendering: Rendering) -> Path:
    return rendering("composer", "composer", 2)


def test_clips_lie_where_the_manifest_says(composer: Path) -> None:
    manifest = manifest_of(composer)
    planned = plan("composer", 2, seed=0)
    assert [clip["file"] for clip in manifest["clips"]] == [f"{one.label}/{one.name}.flac" for one in planned]
    assert set(contents(composer)) == {clip["file"] for clip in manifest["clips"]}
    for clip, one in zip(manifest["clips"], planned, strict=True):
        assert (clip["label"], clip["group"], clip["duration"]) == (one.label, one.group, 30.0)
        assert clip["digest"] == hashlib.sha256((composer / clip["file"]).read_bytes()).hexdigest()
        assert clip["source"].startswith("music21 corpus ")
        assert clip["licence"].startswith("score: ")
        assert "TimGM6mb.sf2: GPL" in clip["licence"]


def test_the_manifest_says_what_made_the_clips(composer: Path) -> None:
    manifest = manifest_of(composer)
    assert (manifest["dataset"], manifest["origin"], manifest["seed"]) == ("composer", "rendered", 0)
    assert manifest["clips_per_class"] == 2
    font = sound_font.find(sound_font.bundled())
    assert manifest["sound_fonts"] == [{"name": font.name, "sha256": font.sha256}]
    assert manifest["provenance"] == f"rendered with {font.name} {font.sha256[:8]}, seed 0, 2 clips per class"
    assert set(manifest["versions"]) >= {"music21", "numpy"}
    assert any("key, tempo and ensemble" in note for note in manifest["notes"])


def test_clips_are_music(composer: Path) -> None:
    for clip in manifest_of(composer)["clips"]:
        samples, sample_rate = samples_of(composer / clip["file"])
        assert (sample_rate, len(samples)) == (44100, 30 * 44100)
        assert 0.05 < np.abs(samples).max() <= 0.97 + 1e-4
        seconds = np.sqrt((samples.reshape(30, -1) ** 2).mean(axis=1))
        # Music may pause; it does not stop: most seconds are within 20 dB of the whole.
        assert np.mean(seconds > 0.1 * np.sqrt(np.mean(samples**2))) > 0.8


@pytest.mark.parametrize("dataset", ["ballroom", "instrument", "vocalist", "genre"])
def test_every_band_is_as_loud_as_drawn(dataset: str, rendering: Rendering) -> None:
    folder = rendering(dataset, f"{dataset}_loudness", 1)
    described = description.load(dataset)
    for clip, one in zip(manifest_of(folder)["clips"], plan(dataset, 1, seed=0), strict=True):
        samples, sample_rate = samples_of(folder / clip["file"])
        assert len(samples) == round(clip["duration"] * sample_rate)
        assert np.abs(samples).max() <= 0.97 + 1e-4
        # The gain is found on every eighth sample.
        wanted = wanted_loudness(0, one, described.classes[one.label])
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(wanted, rel=0.03)
        seconds = samples[: len(samples) // sample_rate * sample_rate].reshape(-1, sample_rate)
        assert (np.sqrt((seconds**2).mean(axis=1)) > 0.02 * wanted).all()


def test_the_same_seed_gives_the_same_bytes(composer: Path, rendering: Rendering) -> None:
    assert contents(rendering("composer", "composer_again", 2)) == contents(composer)


def test_another_seed_gives_other_audio(composer: Path, rendering: Rendering) -> None:
    other = contents(rendering("composer", "composer_other", 1, seed=1))
    assert not set(other.values()) & set(contents(composer).values())


def test_worker_processes_give_the_same_bytes(composer: Path, workshop: Path) -> None:
    told: list[tuple[int, int]] = []
    out = render(
        "composer",
        workshop / "composer_parallel",
        clips_per_class=2,
        seed=0,
        sound_font=sound_font.bundled(),
        workers=2,
        progress=lambda done, total: told.append((done, total)),
    )
    assert contents(out) == contents(composer)
    assert manifest_of(out) == manifest_of(composer)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_is_ready_is_left_alone(composer: Path, rendering: Rendering, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (composer / "manifest.json").stat().st_mtime_ns
    monkeypatch.setattr(mastering, "write_flac", None)
    assert rendering("composer", "composer", 2) == composer
    assert (composer / "manifest.json").stat().st_mtime_ns == before


def test_a_lost_clip_comes_back(composer: Path, rendering: Rendering) -> None:
    lost = composer / manifest_of(composer)["clips"][0]["file"]
    before = contents(composer)
    lost.unlink()
    rendering("composer", "composer", 2)
    assert contents(composer) == before


def test_an_edition_grows_and_shrinks(workshop: Path, rendering: Rendering) -> None:
    folder = workshop / "composer_growing"
    rendering("composer", folder.name, 1)
    small = contents(folder)
    times = {name: (folder / name).stat().st_mtime_ns for name in small}
    rendering("composer", folder.name, 2)
    assert {name: (folder / name).stat().st_mtime_ns for name in small} == times
    assert len(contents(folder)) == 4
    rendering("composer", folder.name, 1)
    assert contents(folder) == small


def test_what_a_killed_process_left_half_written_goes(composer: Path, rendering: Rendering) -> None:
    clip = composer / manifest_of(composer)["clips"][0]["file"]
    old, fresh = (clip.with_name(f".{clip.name}.{pid}") for pid in (1, 2))
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    clip.unlink()
    rendering("composer", "composer", 2)
    assert not old.exists()
    assert fresh.exists()  # another process may be writing it
    fresh.unlink()


def test_a_killed_rendering_goes_on_where_it_stopped(composer: Path, workshop: Path) -> None:
    out = workshop / "composer_killed"
    program = (
        "from pathlib import Path; from src.data.render import render, sound_font\n"
        f"render('composer', Path({str(out)!r}), clips_per_class=2, seed=0, sound_font=sound_font.bundled(),"
        " workers=1, progress=None)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not contents_finished(out) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in contents_finished(out)}
    assert finished
    render("composer", out, clips_per_class=2, seed=0, sound_font=sound_font.bundled(), workers=1, progress=None)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert contents_finished(out) == [out / clip["file"] for clip in sorted_clips(out)]
    assert manifest_of(out) == manifest_of(composer)


def contents_finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/[!.]*.flac"))


def sorted_clips(folder: Path) -> list[dict[str, str]]:
    return sorted(manifest_of(folder)["clips"], key=lambda clip: clip["file"])


def test_recordings_are_not_mixed_with_stand_ins(tmp_path: Path, rendering: Rendering) -> None:
    folder = tmp_path / "composer"
    (folder / "mozart").mkdir(parents=True)
    (folder / "mozart" / "my recording.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"my recording\.wav: this recording is not part of the stand-in"):
        rendering("composer", str(folder), 1)
    assert (folder / "mozart" / "my recording.wav").exists()


def test_a_full_disk_says_which_and_how_much(
    tmp_path: Path, rendering: Rendering, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkstemp", full)
    # Four clips of 30 s, 44.1 kHz, 16 bits are 10.6 MB, in FLAC about 0.6 of that.
    with pytest.raises(
        UserError, match=r"composer: the disk is full; 4 of 4 clips are missing and need about 6 MB; free"
    ):
        rendering("composer", str(tmp_path / "composer"), 2)


def test_too_little_space_is_noticed_before_rendering(
    tmp_path: Path, rendering: Rendering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(UserError, match="the disk is full; 4 of 4 clips"):
        rendering("composer", str(tmp_path / "composer"), 2)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, rendering: Rendering) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="composer: cannot be written"):
        rendering("composer", str(tmp_path / "file" / "composer"), 1)


ORPHANS = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from src.data.render.rendering import _die_with_parent

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _die_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60).result()
"""


def test_workers_of_a_killed_rendering_end(tmp_path: Path) -> None:
    (tmp_path / "orphans.py").write_text(ORPHANS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(tmp_path / "orphans.py")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert alive(worker)
        process.kill()
    deadline = time.monotonic() + 20
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
