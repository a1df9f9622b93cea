"""Splits: the paper's rule to the bit, and no recording on both sides."""

import random
import re
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.clip import Clip, Dataset
from src.data.dataset import by_loudness, relabelled, select_classes
from src.data.split import Split, assign_folds, groups_on_both_sides, hash_part
from src.errors import UserError

HASH = Split(name="hash", seed=0, folds=5, fold=0)
STRATIFIED = Split(name="stratified", seed=0, folds=5, fold=0)
GROUPED = Split(name="grouped", seed=0, folds=5, fold=0)


def clip(label: str, file: str, group: str | None = None) -> Clip:
    return Clip(Path(f"/audio/{label}/{file}.wav"), label, f"{label}/{file}", group)


def dataset(clips: list[Clip], classes: tuple[str, ...] = ("a", "b"), base: str = "toy") -> Dataset:
    return Dataset("toy", base, Path("/audio"), classes, tuple(clips), "recorded", "made up")


def many(per_class: dict[str, int]) -> Dataset:
    clips = [clip(label, f"{i:04d}") for label, n in per_class.items() for i in range(n)]
    return dataset(clips, tuple(per_class))


# The script's rule, by hand: SHA-1 of the text as an integer, its last 27 bits, as a share of the largest such number.
# The last 7 hex digits of `printf %s/%s BASE NAME | sha1sum` hold them; a tenth of 2^27 - 1 is 13421772.7.
BY_HAND = [
    ("genre", "rock/01", "f7f7473", 125793395, "train"),  # 0xf7f7473 = 260011123, less 134217728
    ("genre", "rock/02", "8bafd2f", 12254511, "validation"),  # 146472239, less 134217728: 9.13 %
    ("genre", "rock/8", "9052dcc", 17116620, "test"),  # 151334348, less 134217728: 12.75 %
    ("genre", "metal/Enter Sandman", "167c62c", 23578156, "test"),  # below 134217728: 17.57 %
    ("genre", "classical/1", "99f5928", 27220264, "train"),  # 161437992, less 134217728: 20.28 %
    ("toy", "chöre/Müller", "c1f18e8", 69146856, "train"),  # umlauts as UTF-8, composed
]
"""Text of base and name, the end of its SHA-1, those 27 bits as a number, part."""


@pytest.mark.parametrize(("base", "name", "last_digits", "bits", "part"), BY_HAND)
def test_hash_as_worked_out_by_hand(base, name, last_digits, bits, part):
    assert int(last_digits, 16) % 2**27 == bits
    assert part == ("validation" if bits < 13421772.7 else "test" if bits < 26843545.4 else "train")
    assert hash_part(base, name) == part


def test_text_from_nohash_on_is_ignored():
    plain = hash_part("toy", "rock/song")
    variants = [hash_part("toy", f"rock/song_nohash_{tail}") for tail in ("", "take 2", "x_nohash_y", *range(60))]
    assert set(variants) == {plain}
    parts = {hash_part("toy", f"rock/song_nohash{i}") for i in range(60)}
    assert len(parts) == 3  # without the last underscore it is a name like any other


def test_names_are_hashed_in_one_form_of_umlauts():
    for i in range(50):
        composed, decomposed = (unicodedata.normalize(form, f"chöre/Müller{i}") for form in ("NFC", "NFD"))
        assert composed != decomposed
        assert hash_part("toy", composed) == hash_part("toy", decomposed)


def test_hash_gives_a_tenth_each():
    parts = Counter(hash_part("toy", f"rock/{i}") for i in range(20000))
    # Binomial: 2000 with a standard deviation of 42; five of them.
    assert abs(parts["test"] - 2000) < 212
    assert abs(parts["validation"] - 2000) < 212


def test_hash_does_not_depend_on_seed_folder_subset_or_labels():
    whole = many({"a": 60, "b": 60, "c": 60})
    expected = {c.name: part for c, part in zip(whole.clips, HASH.parts(whole), strict=True)}
    moved = replace(whole, root=Path("/elsewhere"), name="other title")
    moved = replace(moved, clips=tuple(replace(c, path=Path("/elsewhere", c.id)) for c in moved.clips))
    relabel = relabelled(whole, {"x": ["a"], "y": ["b", "c"]})
    louder = by_loudness(
        whole, [float(hash_part("r", c.name) == "test") + i / 999 for i, c in enumerate(whole.clips)], 3
    )
    for other in (moved, select_classes(whole, ["a", "c"]), relabel, louder):
        for rule in (HASH, replace(HASH, seed=5, folds=9, fold=3)):
            assert all(expected[c.name] == part for c, part in zip(other.clips, rule.parts(other), strict=True))
    assert HASH.key() == replace(HASH, seed=5).key() == {"name": "hash"}


def test_another_dataset_has_another_split():
    one, other = many({"a": 100, "b": 100}), replace(many({"a": 100, "b": 100}), base="other")
    assert HASH.parts(one) != HASH.parts(other)


@pytest.mark.parametrize("rule", [HASH, STRATIFIED, GROUPED, Split("kfold", 0, 5, 2)])
def test_no_rule_depends_on_the_order_of_files(rule):
    clips = [clip(label, f"{i:02d}", f"{label}{i // 2}") for label in "ab" for i in range(40)]
    expected = dict(zip([c.id for c in clips], rule.parts(dataset(clips)), strict=True))
    for seed in range(3):
        shuffled = random.Random(seed).sample(clips, len(clips))
        assert dict(zip([c.id for c in shuffled], rule.parts(dataset(shuffled)), strict=True)) == expected


def test_stratified_takes_a_tenth_of_every_class():
    whole = many({"a": 200, "b": 100, "c": 30})
    parts = STRATIFIED.parts(whole)
    counts = Counter((c.label, part) for c, part in zip(whole.clips, parts, strict=True))
    for label, n in (("a", 200), ("b", 100), ("c", 30)):
        assert (counts[label, "test"], counts[label, "validation"]) == (n // 10, n // 10)


@pytest.mark.parametrize("n", [11, 15, 19, 27, 104])
def test_stratified_is_within_a_clip_of_a_tenth(n):
    whole = many({"a": n, "b": n + 3})
    counts = Counter((c.label, part) for c, part in zip(whole.clips, STRATIFIED.parts(whole), strict=True))
    for label, size in (("a", n), ("b", n + 3)):
        for part in ("test", "validation"):
            assert abs(counts[label, part] - size / 10) < 1


def test_a_split_has_its_own_seed():
    whole = many({"a": 50, "b": 50})
    assert STRATIFIED.parts(whole) == Split("stratified", 0, 7, 3).parts(whole)  # folds are of kfold
    other = replace(STRATIFIED, seed=1)
    assert STRATIFIED.parts(whole) != other.parts(whole)
    assert STRATIFIED.key() == {"name": "stratified", "seed": 0}
    assert Split("kfold", 1, 4, 2).key() == {"name": "kfold", "seed": 1, "folds": 4, "fold": 2}


def test_stratified_ignores_groups_and_grouped_wants_them():
    with pytest.raises(UserError, match=r"split=grouped: the clips of toy have no groups; .*dataset\.group_pattern"):
        GROUPED.parts(many({"a": 20, "b": 20}))
    clips = [clip(label, f"{i:02d}", label) for label in "ab" for i in range(20)]
    assert Counter(STRATIFIED.parts(dataset(clips)))["test"] == 4


# Size and class of each group, groups with a clip in every class, and an order of the files.
# (Plain values: the type checker of clips draws from `random`, which a strategy must not.)
GROUPS = st.tuples(
    st.lists(st.tuples(st.integers(1, 8), st.sampled_from("abc")), min_size=1, max_size=20),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(GROUPS, st.integers(0, 5), st.sampled_from(["grouped", "kfold"]))
def test_no_group_is_on_both_sides(groups, seed, name):
    sizes, shared, order = groups
    clips = [clip(label, f"g{g}_{i}", f"group {g}") for g, (n, label) in enumerate(sizes) for i in range(n)]
    clips += [clip(label, f"s{g}", f"shared {g}") for g in range(shared) for label in "abc"]
    clips += [clip(label, f"own{i}") for label in "abc" for i in range(12)]
    order.shuffle(clips)
    whole = dataset(clips, ("a", "b", "c"))
    parts = Split(name, seed, 5, seed % 5).parts(whole)
    by_group: dict[str, set[str]] = {}
    for c, part in zip(whole.clips, parts, strict=True):
        by_group.setdefault(c.group or c.name, set()).add(part)
    assert all(len(found) == 1 for found in by_group.values())
    assert groups_on_both_sides(whole.clips, parts) == []
    assert set(parts) == {"train", "validation", "test"}


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 4), st.integers(30, 60), st.integers(0, 9))
def test_grouped_is_about_80_10_10(size, groups, seed):
    clips = [clip(label, f"{g}_{i}", f"{label}{g}") for label in "ab" for g in range(groups) for i in range(size)]
    counts = Counter(
        (c.label, p) for c, p in zip(clips, replace(GROUPED, seed=seed).parts(dataset(clips)), strict=True)
    )
    for label in "ab":
        for part in ("test", "validation"):
            # Groups of one size: within one group of a tenth of the class.
            assert abs(counts[label, part] - size * groups / 10) < size


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(3, 7), st.integers(1, 5), st.integers(0, 9), st.booleans())
def test_every_clip_is_tested_exactly_once(folds, size, seed, grouped):
    clips = [
        clip(label, f"{g}_{i}", f"{label}{g}" if grouped else None)
        for label in "ab" for g in range(3 * folds) for i in range(size)
    ]  # fmt: skip
    runs = [Split("kfold", seed, folds, fold).parts(dataset(clips)) for fold in range(folds)]
    for parts in zip(*runs, strict=True):
        assert Counter(parts) == {"test": 1, "validation": 1, "train": folds - 2}
    for parts in runs:
        tested = Counter(c.label for c, part in zip(clips, parts, strict=True) if part == "test")
        # 3 k groups of a class in k folds: 3 each.
        assert tested == ({"a": 3 * size, "b": 3 * size} if grouped else tested)
        assert abs(tested["a"] - 3 * size) < 1


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 15)), min_size=1, max_size=80),
    st.integers(3, 10), st.integers(0, 3),
)  # fmt: skip
def test_folds_hold_each_unit_whole_whatever_the_labels(items, folds, seed):
    labels, units = [label for label, _ in items], [f"u{unit}" for _, unit in items]
    found = assign_folds(labels, units, folds=folds, seed=seed)
    assert found.shape == (len(items),)
    assert all(0 <= fold < folds for fold in found)
    homes: dict[str, set[int]] = {}
    for unit, fold in zip(units, found.tolist(), strict=True):
        homes.setdefault(unit, set()).add(fold)
    assert all(len(home) == 1 for home in homes.values())


def test_clips_of_one_name_stay_together():
    # song.wav and song.mp3 hold the same recording.
    clips = [
        replace(clip(label, f"{i}"), path=Path(f"{i}{e}"))
        for label in "ab"
        for i in range(30)
        for e in (".wav", ".mp3")
    ]
    for rule in (HASH, STRATIFIED, Split("kfold", 0, 3, 0)):
        parts = rule.parts(dataset(clips))
        assert parts[::2] == parts[1::2]


def test_a_leak_is_found():
    clips = [clip("a", "1", "g"), clip("a", "2", "g"), clip("a", "3", "h"), clip("a", "4")]
    assert groups_on_both_sides(clips, ["test", "train", "train", "test"]) == ["g"]
    assert groups_on_both_sides(clips, ["test", "test", "train", "train"]) == []
    assert groups_on_both_sides(clips, ["test", "validation", "train", "train"]) == ["g"]


def test_a_class_without_training_clips_is_named():
    names = [name for name in (f"{i}" for i in range(500)) if hash_part("toy", f"b/{name}") == "test"][:2]
    whole = dataset([clip("a", f"{i}") for i in range(50)] + [clip("b", name) for name in names])
    with pytest.raises(UserError, match=r"toy: split=hash leaves no training clips for b \(2 clips\); add clips"):
        HASH.parts(whole)
    with pytest.raises(UserError, match=r"no training clips for c \(0 clips\)"):
        HASH.parts(replace(whole, classes=("a", "c"), clips=whole.clips[:50]))


def advised(rule: Split, whole: Dataset) -> set[str]:
    """The splits that an error recommends."""
    with pytest.raises(UserError) as raised:
        rule.tested_parts(whole)
    return set(re.findall(r"split=(\w+)", str(raised.value).partition(";")[2]))


def test_only_splits_that_would_do_are_recommended():
    sizes = {"a": 40, "b": 40}
    clips = [clip(label, f"{i}") for label, count in sizes.items() for i in range(count)]
    # Two clips that the hash tests: stratified and kfold divide them otherwise, and may or may not train on one.
    tested = [name for name in (f"{i}" for i in range(500)) if hash_part("toy", f"c/{name}") == "test"]
    for count in (1, 2, 3, 10):
        whole = dataset(clips + [clip("c", name) for name in tested[:count]], ("a", "b", "c"))
        found = advised(HASH, whole)
        for name in ("stratified", "kfold"):
            try:
                parts = Split(name, 0, 5, 0).parts(whole)
            except UserError:
                assert name not in found
            else:
                assert (name in found) == ("test" in parts)
        assert "hash" not in found
    assert found == {"stratified", "kfold"}  # of ten clips


@pytest.mark.parametrize("rule", [STRATIFIED, Split("kfold", 0, 5, 0), HASH])
def test_a_split_does_not_recommend_itself(rule):
    whole = dataset([clip("a", f"{i}") for i in range(50)], ("a", "b"))
    assert advised(rule, whole) == set()  # no split gives a class without clips any


def test_groups_are_not_divided_by_the_split_recommended():
    lonely = [clip("b", f"{i}", "one song") for i in range(20)]
    whole = dataset([clip("a", f"{i}", f"song {i}") for i in range(50)] + lonely)
    parts = GROUPED.parts(replace(whole, classes=("a",), clips=whole.clips[:50]))
    assert set(parts) == {"train", "validation", "test"}
    for seed in range(20):
        rule = replace(GROUPED, seed=seed)
        try:
            rule.parts(whole)
        except UserError:
            assert "stratified" not in advised(rule, whole)
            return
    pytest.fail("no seed put the song outside of training")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("random", 0, 5, 0), r"split\.name: got 'random'; expected one of hash, stratified, grouped, kfold"),
        (("kfold", 0, 2, 0), r"split\.folds=2: expected at least 3"),
        (("kfold", 0, 5, 5), r"split\.fold=5: expected a fold from 0 to 4"),
        (("kfold", 0, 5, -1), r"split\.fold=-1"),
    ],
)
def test_settings_that_make_no_sense(values, reason):
    with pytest.raises(UserError, match=reason):
        Split(*values)
