from collections import Counter
from itertools import pairwise

import pytest

from src.data.render import description, names, plan
from src.errors import UserError

# Table 1 of the paper: sorted cardinalities.
TABLE_1 = {
    "ballroom": [529, 507, 497, 470, 468, 464, 455, 350, 252, 65, 53, 47, 23],
    "composer": [600, 600],
    "genre": [600, 600, 600],
    "instrument": [600, 600],
    "short_genre": [600, 600, 600],
    "vocalist": [600, 600],
}


@pytest.mark.parametrize("dataset", TABLE_1)
def test_full_plan_has_the_cardinalities_of_table_1(dataset: str) -> None:
    counts = Counter(clip.label for clip in plan(dataset, None, seed=0))
    assert sorted(counts.values(), reverse=True) == TABLE_1[dataset]


@pytest.mark.parametrize("dataset", TABLE_1)
def test_a_small_edition_is_the_beginning_of_a_larger_one(dataset: str) -> None:
    small, large = plan(dataset, 6, seed=3), plan(dataset, 20, seed=3)
    assert {(clip.label, clip.name) for clip in small} < {(clip.label, clip.name) for clip in large}
    assert [clip for clip in large if clip in small] == small


@pytest.mark.parametrize("dataset", TABLE_1)
def test_label_and_name_identify_a_clip(dataset: str) -> None:
    clips = plan(dataset, None, seed=0)
    assert len({(clip.label, clip.name) for clip in clips}) == len(clips)


def test_the_seed_decides_which_excerpts_are_taken() -> None:
    assert plan("composer", 20, seed=0) == plan("composer", 20, seed=0)
    assert plan("composer", 20, seed=0) != plan("composer", 20, seed=1)


def test_composers_share_no_group_and_material_comes_again_only_when_used_up() -> None:
    clips = plan("composer", None, seed=0)
    groups = {label: {clip.group for clip in clips if clip.label == label} for label in ("beethoven", "mozart")}
    assert not groups["beethoven"] & groups["mozart"]
    mozart = [clip for clip in clips if clip.label == "mozart"]
    fresh = [clip for clip in mozart if clip.recipe["semitones"] == 0 and "_v" not in clip.name]
    # 43 minutes of music hold at most 86 excerpts of 30 s; the ends of movements cost a few.
    assert 70 <= len(fresh) <= 86
    assert mozart[: len(fresh)] == fresh
    assert all(clip.group in {one.group for one in fresh} for clip in mozart)


def test_excerpts_of_one_pass_do_not_overlap() -> None:
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for clip in plan("composer", None, seed=0):
        variant = clip.name.partition("_v")[2]
        start = clip.recipe["start"]
        spans.setdefault((clip.group, variant), []).append((start, start + 30 * clip.recipe["tempo"] / 60))
    for found in spans.values():
        found.sort()
        assert all(before[1] <= after[0] + 1e-3 for before, after in pairwise(found))


def test_nonsense_is_refused() -> None:
    with pytest.raises(UserError, match=r"'waltzes' has no stand-in; expected one of .*composer"):
        plan("waltzes", 5, seed=0)
    with pytest.raises(UserError, match="clips_per_class: got 0; expected 1 or more"):
        plan("composer", 0, seed=0)


def test_every_description_is_read() -> None:
    for name in names():
        assert description.load(name).classes
