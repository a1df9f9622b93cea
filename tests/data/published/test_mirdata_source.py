import builtins
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from loopback import Answer

from src.data import published
from src.data.published import mirdata_source
from src.errors import UserError

MD5 = "5d41402abc4b2a76b9719d911017c592"  # of b"hello"


class StubDataset:
    """What of mirdata's Dataset is used; `download` stands for mirdata's unpacking of the archive that is there."""

    def __init__(self, folder: Path, address: str, tracks: dict[str, SimpleNamespace], files: dict[str, bytes]) -> None:
        self.folder, self.tracks, self.files = folder, tracks, files
        self.remotes = {
            key: SimpleNamespace(
                filename=f"{key}.zip", url=f"{address}/{key}.zip?download=1", checksum=MD5, destination_dir=where
            )
            for key, where in (
                ("training_data", None),
                ("audio", "audio"),
                ("annotations", "annotation"),
            )
        }
        self._license_info = "Creative Commons\n   Attribution 4.0"
        self.damaged: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def download(self, partial_download: list[str]) -> None:
        self.asked = partial_download
        for key in partial_download:
            remote = self.remotes[key]
            assert (self.folder / (remote.destination_dir or "") / remote.filename).read_bytes() == b"hello"
        for name, content in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def validate(self, verbose: bool) -> tuple[dict, dict]:
        return {"tracks": {"elsewhere": ["not downloaded"]}}, {"tracks": self.damaged}

    def load_tracks(self) -> dict[str, SimpleNamespace]:
        return self.tracks


@pytest.fixture
def stub(server, tmp_path, monkeypatch, sound):
    """Installs a mirdata whose dataset has the given tracks, each with a file of its name."""
    for key in ("training_data", "audio", "annotations"):
        server.put(f"/{key}.zip?download=1", Answer(b"hello"))

    def install(name: str, **tracks: dict[str, object]) -> StubDataset:
        folder = tmp_path / "downloads" / name
        files = {f"clips/{key}.wav": sound(number) for number, key in enumerate(tracks)}
        made = {
            key: SimpleNamespace(track_id=key, audio_path=str(folder / f"clips/{key}.wav"), **facts)
            for key, facts in tracks.items()
        }
        dataset = StubDataset(folder, server.address, made, files)
        module = ModuleType("mirdata")
        asked: list[tuple[str, str]] = []
        module.__dict__.update(
            __version__="1.0.0",
            initialize=lambda name, data_home: asked.append((name, data_home)) or dataset,
            asked=asked,
        )
        monkeypatch.setitem(sys.modules, "mirdata", module)
        return dataset

    return install


def fetch(name: str, tmp_path: Path) -> dict:
    out = published.fetch(name, tmp_path / "downloads", tmp_path / name, retries=0, pause=0.0)
    return json.loads((out / "manifest.json").read_text())


def labels(manifest: dict) -> dict[str, tuple[str, str | None]]:
    return {clip["file"]: (clip["label"], clip["group"]) for clip in manifest["clips"]}


def test_irmas_uses_its_training_excerpts_grouped_by_recording(stub, tmp_path, server):
    stub(
        "irmas",
        **{
            "[cel][cla]0001__1": {"train": True, "predominant_instrument": "cel"},
            "[cel][cla]0001__2": {"train": True, "predominant_instrument": "cel"},
            "[gac][dru][pop_roc]0002__1": {"train": True, "predominant_instrument": "gac"},
            "01 - Test-1": {"train": False, "predominant_instrument": None},
        },
    )
    manifest = fetch("irmas", tmp_path)
    assert labels(manifest) == {
        "acoustic_guitar/[gac][dru][pop_roc]0002__1.wav": ("acoustic_guitar", "[gac][dru][pop_roc]0002"),
        "cello/[cel][cla]0001__1.wav": ("cello", "[cel][cla]0001"),
        "cello/[cel][cla]0001__2.wav": ("cello", "[cel][cla]0001"),
    }
    assert sys.modules["mirdata"].asked == [("irmas", str(tmp_path / "downloads" / "irmas"))]
    assert manifest["provenance"] == (
        f"IRMAS training data (Bosch et al. 2012) through mirdata 1.0.0, "
        f"{server.address}/training_data.zip?download=1 (md5 {MD5})"
    )
    assert manifest["licence"] == "Creative Commons Attribution 4.0"
    assert "irmas [cel][cla]0001__1" in {clip["source"] for clip in manifest["clips"]}


def test_tinysol_is_grouped_by_instrument_and_pitch(stub, tmp_path):
    stub(
        "tinysol",
        **{
            "BTb-ord-A#1-ff": {"instrument_full": "Bass Tuba", "pitch_id": "34"},
            "BTb-ord-A#1-pp": {"instrument_full": "Bass Tuba", "pitch_id": "34"},
            "Vn-ord-A3-ff": {"instrument_full": "Violin", "pitch_id": 57},
        },
    )
    found = Counter(labels(fetch("tinysol", tmp_path)).values())
    assert found == {("bass_tuba", "bass_tuba-034"): 2, ("violin", "violin-057"): 1}


def test_medley_solos_db_is_grouped_by_song(stub, tmp_path):
    dataset = stub("medley_solos_db", a={"instrument": "distorted electric guitar", "song_id": 7})
    assert labels(fetch("medley_solos_db", tmp_path)) == {
        "distorted_electric_guitar/a.wav": ("distorted_electric_guitar", "song 7")
    }
    assert dataset.asked == ["audio", "annotations"]


def test_damaged_clips_are_named(stub, tmp_path):
    dataset = stub("medley_solos_db", **{key: {"instrument": "piano", "song_id": 1} for key in "abc"})
    dataset.damaged = {"b": ["b.wav"]}
    del dataset.files["clips/c.wav"]
    with pytest.raises(UserError, match=r"2 of 3 clips are missing or damaged, such as .*b\.wav"):
        fetch("medley_solos_db", tmp_path)


def test_what_mirdata_cannot_do_is_explained(stub, tmp_path):
    dataset = stub("medley_solos_db", a={"instrument": "piano", "song_id": 1})

    def fail(partial_download: list[str]) -> None:
        raise OSError("index not reachable")

    dataset.download = fail
    with pytest.raises(UserError, match=r"could not set up medley_solos_db \(index not reachable\)"):
        fetch("medley_solos_db", tmp_path)


def test_an_archive_that_is_gone_can_be_brought_by_hand(stub, server, tmp_path):
    stub("medley_solos_db", a={"instrument": "piano", "song_id": 1})
    server.put("/audio.zip?download=1", Answer(status=404))
    with pytest.raises(
        UserError, match=r"download audio\.zip by hand .*put it at .*downloads/medley_solos_db/audio/audio\.zip"
    ):
        fetch("medley_solos_db", tmp_path)
    (tmp_path / "downloads" / "medley_solos_db" / "audio" / "audio.zip").write_bytes(b"hello")
    assert len(fetch("medley_solos_db", tmp_path)["clips"]) == 1


def test_without_the_extra_it_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mirdata", None)
    with pytest.raises(UserError, match=r"mirdata, which is not installed.*pip install -e '\.\[datasets\]'"):
        fetch("irmas", tmp_path)


def test_every_irmas_code_has_its_own_instrument():
    assert len(set(mirdata_source._IRMAS.values())) == 11
    assert builtins.all(value.isidentifier() for value in mirdata_source._IRMAS.values())
