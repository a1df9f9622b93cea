"""Which source serves: recordings before publications before stand-ins, and nothing silently."""

import logging
import shlex
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.data import manifest, render
from src.data.sources import load_dataset, published_folder, rendered_folder
from src.errors import UserError


def put(folder: Path, origin: str) -> None:
    clips = []
    for label in ("pop", "rock"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / "1.wav").write_bytes(b"x")
        clips.append({"file": f"{label}/1.wav", "label": label})
    manifest.write(folder / "manifest.json", {"origin": origin, "provenance": f"{origin} here", "clips": clips})


@pytest.fixture
def renderer(monkeypatch):
    """Stands for the renderer: takes what it takes, writes two clips."""

    def written(name, out, **_):
        put(out, "rendered")

    spy = create_autospec(render.render, side_effect=written)
    monkeypatch.setattr(render, "render", spy)
    monkeypatch.setattr(render, "names", lambda: ["toy"])
    return spy


@pytest.fixture
def settings(tmp_path, dataset_settings):
    def of(**changes):
        values = {"name": "toy", "classes": {"pop": [], "rock": []}, "source": "auto", **changes}
        return dataset_settings(tmp_path / "data" / "toy", **values)

    return of


def test_recordings_come_first_then_a_publication_then_a_stand_in(tmp_path, settings, renderer, caplog):
    data = tmp_path / "data"
    with caplog.at_level(logging.WARNING):
        rendered = load_dataset(settings(), data, workers=1)
    assert (rendered.origin, rendered.root) == ("rendered", rendered_folder(data, settings()))
    assert "no recordings in" in caplog.text
    assert "are no reproduction" in caplog.text
    put(published_folder(data, "toy"), "recorded")
    published = load_dataset(settings(), data, workers=1)
    assert (published.origin, published.root) == ("recorded", published_folder(data, "toy"))
    put(data / "toy", "recorded")
    own = load_dataset(settings(), data, workers=1)
    assert (own.origin, own.root, own.provenance) == ("recorded", data / "toy", f"recordings in {data / 'toy'}")
    assert [clip.name for clip in own.clips] == [clip.name for clip in rendered.clips]


@pytest.mark.parametrize("source", ["recordings", "published", "rendered"])
def test_a_source_can_be_chosen(tmp_path, settings, renderer, source):
    data = tmp_path / "data"
    put(data / "toy", "recorded")
    put(published_folder(data, "toy"), "recorded")
    roots = {"recordings": data / "toy", "published": published_folder(data, "toy")}
    roots["rendered"] = rendered_folder(data, settings())
    assert load_dataset(settings(source=source), data, workers=1).root == roots[source]


def test_a_stand_in_is_rendered_once(tmp_path, settings, renderer):
    for _ in range(2):
        load_dataset(settings(), tmp_path / "data", workers=1)
    assert renderer.call_count == 1


def test_each_size_and_seed_is_its_own_stand_in(tmp_path, settings, renderer):
    data = tmp_path / "data"
    roots = {
        load_dataset(settings(**change), data, workers=1).root
        for change in ({}, {"clips_per_class": 5}, {"clips_per_class": "full"}, {"render_seed": 1})
    }
    assert len(roots) == 4
    asked = [(call.kwargs["clips_per_class"], call.kwargs["seed"]) for call in renderer.call_args_list]
    assert asked == [(60, 0), (5, 0), (None, 0), (60, 1)]


def test_a_subset_uses_the_audio_of_its_base(tmp_path, settings, renderer):
    whole = load_dataset(settings(), tmp_path / "data", workers=1)
    subset = load_dataset(settings(name="toy2", base="toy"), tmp_path / "data", workers=1)
    assert (subset.root, subset.base, subset.name) == (whole.root, "toy", "toy2")
    assert renderer.call_count == 1


def test_incomplete_recordings_are_an_error_never_a_stand_in(tmp_path, settings, renderer):
    (tmp_path / "data" / "toy" / "rock").mkdir(parents=True)
    (tmp_path / "data" / "toy" / "rock" / "1.wav").write_bytes(b"x")
    with pytest.raises(UserError, match="no folder for pop"):
        load_dataset(settings(), tmp_path / "data", workers=1)
    assert renderer.call_count == 0


@pytest.mark.parametrize("where", ["my sounds", "data/mine", "data/toy"])
def test_a_root_of_other_classes_is_asked_about_and_nothing_is_rendered(tmp_path, settings, renderer, where):
    root = tmp_path / where
    for label in ("owl", "wren"):
        (root / label).mkdir(parents=True)
        (root / label / "1.wav").write_bytes(b"x")
    with pytest.raises(UserError, match=r"owl, wren.*pop, rock") as error:
        load_dataset(replace(settings(), root=str(root)), tmp_path / "data", workers=1)
    [line] = [line for line in str(error.value).splitlines() if line.startswith("  python -m src.train")]
    words = shlex.split(line)
    assert words[3] == "dataset=folder"
    assert OverridesParser.create().parse_override(words[4]).value() == str(root)
    assert ("leave dataset.root out" in str(error.value)) == (where != "data/toy")
    assert renderer.call_count == 0


def test_a_root_that_was_set_and_is_not_there_is_an_error_never_a_stand_in(tmp_path, settings, renderer):
    chosen = replace(settings(), root=str(tmp_path / "typo"))
    with pytest.raises(UserError, match=r"typo: no such folder.*\n.*dataset=folder dataset\.root="):
        load_dataset(chosen, tmp_path / "data", workers=1)
    (tmp_path / "typo").mkdir()
    (tmp_path / "typo" / "1.wav").write_bytes(b"x")
    with pytest.raises(UserError, match=r"typo: no class folders"):
        load_dataset(chosen, tmp_path / "data", workers=1)
    assert renderer.call_count == 0


def test_an_empty_folder_at_the_usual_place_is_no_reason_to_ask(tmp_path, settings, renderer):
    for name in ("notes", ".cache", "__MACOSX"):
        (tmp_path / "data" / "toy" / name).mkdir(parents=True)
    assert load_dataset(settings(), tmp_path / "data", workers=1).origin == "rendered"


def test_recordings_that_are_not_there_say_what_was_expected(tmp_path, settings, renderer):
    with pytest.raises(
        UserError, match=r"toy: no such folder; expected .*toy/<class>/<audio files> for each of pop, rock"
    ):
        load_dataset(settings(source="recordings"), tmp_path / "data", workers=1)
    (tmp_path / "data" / "toy").mkdir(parents=True)
    with pytest.raises(UserError, match=r"toy: no class folders; expected .*with two or more classes"):
        load_dataset(settings(source="recordings", classes=None), tmp_path / "data", workers=1)


def test_a_publication_that_is_not_there_says_how_to_get_it(tmp_path, settings, renderer):
    with pytest.raises(
        UserError, match=r"toy: not downloaded yet; run: python -m src\.prepare dataset=toy dataset\.source"
    ):
        load_dataset(settings(source="published"), tmp_path / "data", workers=1)


def test_a_dataset_without_a_stand_in_cannot_be_rendered(tmp_path, settings, renderer):
    with pytest.raises(UserError, match=r"no such folder"):
        load_dataset(settings(name="mine"), tmp_path / "data", workers=1)
    with pytest.raises(UserError, match=r"dataset\.source=rendered: .*mine.*no stand-in.*toy"):
        load_dataset(settings(name="mine", source="rendered"), tmp_path / "data", workers=1)
    assert renderer.call_count == 0
