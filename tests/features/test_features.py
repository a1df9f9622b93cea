"""The feature cache: what was put in comes out to the bit, or is known to be gone."""

import json
import logging
import resource
import signal
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from src.features.cache import FeatureCache, digest_of, listing

RECIPE = {"version": 1, "window": {"start": 0.0, "duration": None}, "backbone": {"model": "toy"}}


def rows_of(n: int, width: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)


def names_of(n: int, prefix: str = "d") -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


@pytest.fixture
def store(tmp_path):
    return FeatureCache(tmp_path, RECIPE)


def segment(store):
    [path] = store.folder.glob("*.safetensors")
    return path


def test_rows_come_back_to_the_bit(store, tmp_path):
    rows = rows_of(4)
    rows[1] = [np.float32(1e-45), -0.0, np.finfo(np.float32).max]
    store.write(names_of(4), rows, dataset="toy")
    found = FeatureCache(tmp_path, RECIPE).read(names_of(4))
    assert list(found) == names_of(4)
    assert np.stack(list(found.values())).tobytes() == rows.tobytes()


def test_only_what_is_asked_for_and_there_is_found(store):
    store.write(["a", "b"], rows_of(2), dataset="toy")
    store.write(["c"], rows_of(1, seed=1), dataset="toy")
    found = store.read(["c", "a", "z"])
    assert set(found) == {"a", "c"}
    np.testing.assert_array_equal(found["c"], rows_of(1, seed=1)[0])
    assert store.read([]) == {}


def test_opening_creates_nothing(tmp_path):
    assert FeatureCache(tmp_path / "cache", RECIPE).read(["a"]) == {}
    assert not (tmp_path / "cache").exists()


def test_the_folder_says_what_made_it(store):
    store.write(["a"], rows_of(1), dataset="toy")
    assert json.loads((store.folder / "pipeline.json").read_bytes()) == RECIPE


def test_a_recipe_is_named_by_its_values_alone(tmp_path):
    shuffled = dict(reversed(RECIPE.items()))
    assert digest_of(RECIPE) == digest_of(shuffled)
    others = [
        {**RECIPE, "version": 2},
        {**RECIPE, "window": {"start": 0.0, "duration": 30.0}},
        {**RECIPE, "window": {"start": 1e-9, "duration": None}},
        {**RECIPE, "backbone": {"model": "Toy"}},
        {**RECIPE, "more": None},
    ]
    assert len({digest_of(pipeline) for pipeline in [RECIPE, *others]}) == 6
    FeatureCache(tmp_path, RECIPE).write(["a"], rows_of(1), dataset="toy")
    assert FeatureCache(tmp_path, others[0]).read(["a"]) == {}


def damage(path, how: str) -> None:
    content = path.read_bytes()
    if how == "a flipped bit in the last feature":
        content = content[:-1] + bytes([content[-1] ^ 1])
    elif how == "a flipped bit in a digest":
        at = content.index(b"d1")
        content = content[: at + 1] + b"7" + content[at + 2 :]
    elif how == "cut off":
        content = content[:-5]
    elif how == "cut in the header":
        content = content[:20]
    elif how == "empty":
        content = b""
    else:
        content = how.encode() * 50
    path.write_bytes(content)


@pytest.mark.parametrize(
    "how",
    [
        "a flipped bit in the last feature",
        "a flipped bit in a digest",
        "cut off",
        "cut in the header",
        "empty",
        "zeros",
    ],
)
def test_a_damaged_segment_is_set_aside_and_said(store, caplog, how):
    store.write(names_of(3), rows_of(3), dataset="toy")
    path = segment(store)
    store.write(["other"], rows_of(1), dataset="toy")
    damage(path, how)
    with caplog.at_level(logging.WARNING):
        assert set(store.read([*names_of(3), "other"])) == {"other"}
    assert "corrupt" in caplog.text
    assert str(path) in caplog.text
    assert path.with_suffix(".corrupt").exists()
    caplog.clear()
    assert set(store.read([*names_of(3), "other"])) == {"other"}  # the second time there is nothing to say
    assert caplog.text == ""
    store.write(names_of(3), rows_of(3), dataset="toy")
    assert set(store.read(names_of(3))) == set(names_of(3))


def test_a_segment_without_our_metadata_is_set_aside(store):
    import safetensors.numpy

    store.write(["a"], rows_of(1), dataset="toy")
    foreign = store.folder / "foreign.safetensors"
    foreign.write_bytes(safetensors.numpy.save({"features": rows_of(1)}))
    assert set(store.read(["a", "b"])) == {"a"}
    assert foreign.with_suffix(".corrupt").exists()


def test_what_a_killed_writer_left_is_not_read(store):
    store.write(["a"], rows_of(1), dataset="toy")
    (store.folder / f".{segment(store).name}.abcd").write_bytes(b"half")
    assert set(store.read(["a", "b"])) == {"a"}
    assert not list(store.folder.glob("*.corrupt"))


def test_threads_writing_at_once_lose_nothing(tmp_path):
    def work(k: int) -> None:
        store = FeatureCache(tmp_path, RECIPE)
        for i in range(10):
            store.write([f"{k}-{i}"], rows_of(1, seed=k), dataset="toy")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(FeatureCache(tmp_path, RECIPE).read(f"{k}-{i}" for k in range(4) for i in range(10))) == 40


def test_a_place_that_cannot_be_written_raises(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        FeatureCache(tmp_path / "file", RECIPE).write(["a"], rows_of(1), dataset="toy")


@contextmanager
def full_disk():
    """No file of this process can grow beyond 20 kB, which is what a full disk does to it, for any user.

    Not longer than the block: the file that the tests' own output goes to may be larger.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_no_half_segment(store):
    with full_disk():
        store.write(["a"], rows_of(1), dataset="toy")
        with pytest.raises(OSError, match="too large"):
            store.write(["b"], rows_of(1, width=10_000), dataset="toy")
    assert set(store.read(["a", "b"])) == {"a"}
    assert sorted(path.suffix for path in store.folder.iterdir()) == [".json", ".safetensors"]


def test_listing(tmp_path):
    one, two = FeatureCache(tmp_path, RECIPE), FeatureCache(tmp_path, {**RECIPE, "version": 2})
    one.write(["a", "b"], rows_of(2), dataset="x")
    one.write(["c"], rows_of(1), dataset="x")
    one.write(["d"], rows_of(1), dataset="y")
    two.write(["a"], rows_of(1), dataset="x")
    found = {(entry["pipeline"], entry["dataset"]): entry for entry in listing(tmp_path)}
    assert set(found) == {(one.folder.name, "x"), (one.folder.name, "y"), (two.folder.name, "x")}
    entry = found[one.folder.name, "x"]
    assert (entry["clips"], len(entry["paths"]), entry["settings"]) == (3, 2, RECIPE)
    assert entry["bytes"] == sum(path.stat().st_size for path in entry["paths"])
    assert 0 <= entry["days"] < 0.01
    assert listing(tmp_path / "none") == []
