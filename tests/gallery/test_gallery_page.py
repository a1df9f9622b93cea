"""The page: whole, safe with hostile names, and in need of nothing but itself."""

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
from hand import hand

from src.gallery.media import Shown
from src.gallery.page import Told, page

ODD = '</script><b onclick="x()">\'&"</b>'
EMPTY = {"meta", "image", "use", "line", "circle", "col", "wbr"}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.within: dict[str, str] = {"style": "", "script": ""}

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.within:
            self.within[self.open[-1]] += data
        else:
            self.text += data

    def all(self, tag, key):
        return [attributes[key] for name, attributes in self.found if name == tag and key in attributes]


def read(judged=None, shown=None, limit=24):
    judged = judged or hand()
    if shown is None:
        shown = {name: Shown(b"RIFF", (("1k", 0.5),), b"ID3") for name in judged.ids}
    told = Told(f"What {ODD}", (ODD,), (ODD,), tuple((s, ODD, 0.5) for s in judged.seeds), limit)
    text = page(judged, shown, told)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader, text


def test_every_name_is_shown_as_it_is_and_runs_nothing():
    classes = (ODD, "x" + ODD, "<!--")
    reader, text = read(hand(classes, ids=tuple(f"{ODD}/{i}" for i in range(6)), groups=(ODD,) * 6))
    assert not [tag for tag, attributes in reader.found if any(key.startswith("on") for key in attributes)]
    assert text.count("<script>") == text.count("</script>") == 1
    assert ODD in reader.text
    assert "<!--" in reader.text
    labels = reader.all("audio", "aria-label")
    assert labels[0].startswith("Sound of " + ODD)


def test_nothing_is_asked_of_the_network():
    reader, text = read()
    (policy,) = reader.all("meta", "content")[:1]
    assert policy.startswith("default-src 'none'")
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(reader.within[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not [tag for tag, attributes in reader.found if "style" in attributes]  # the policy would ignore them
    addresses = reader.all("audio", "src") + reader.all("image", "href") + reader.all("a", "href")
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"https?://|url\(|@import", text)


def test_links_and_references_lead_somewhere_and_names_are_unique():
    reader, _ = read()
    ids = [attributes["id"] for _, attributes in reader.found if "id" in attributes]
    assert max(Counter(ids).values()) == 1
    targets = [address for tag in ("a", "use") for address in reader.all(tag, "href")]
    assert {address.removeprefix("#") for address in targets} <= set(ids)
    assert set(reader.all("audio", "data-of")) <= set(ids)


def test_every_cell_of_the_matrix_opens_its_clips():
    reader, text = read()
    labels = reader.all("a", "aria-label")
    assert "c taken for a: 0.7 of 2 clips" in labels
    assert "a taken for a: 1 of 2 clips" in labels
    assert len(labels) == 7  # cells with clips
    fold = re.search(r'<details class="cell" id="cell-2-0">(.*?)</details>', text, re.DOTALL)
    assert fold is not None
    assert "c/<wbr>4.wav" in fold[1]
    assert fold[1].count("<article") == 1


def test_a_card_tells_what_every_seed_said():
    _, text = read()
    card = re.search(r'<article class="card" id="clip-4">.*?</article>', text, re.DOTALL)
    assert card is not None
    assert '<span class="tag bad">wrong</span> true <b>c</b>, heard as 2 × <b>a</b>, 1 × <b>b</b>' in card[0]
    assert "seed 0: 85.0 %; seed 1: 85.0 %; seed 4: 5.0 %" in card[0]
    assert "58 %" in card[0]
    assert card[0].count("<circle") == 9
    assert "disputed</span> true <b>b</b>, heard as 2 × <b>c</b>, 1 × <b>b</b>" in text
    assert "group g" in text
    assert "nan" not in text


def test_sounds_and_pictures_are_held_once_however_often_a_clip_is_shown():
    reader, text = read()
    assert len(reader.all("image", "href")) == 6
    assert len(reader.all("audio", "src")) == 6
    assert len(reader.all("audio", "data-of")) > 0
    assert text.count("data:audio/mpeg") == 6
    first, again = text.index('id="sound-1"'), text.index('data-of="sound-1"')
    assert first < again


def test_what_is_not_shown_is_said():
    some = {"a/0.wav": Shown(b"RIFF", (), b"ID3", whole=False), "a/1.wav": Shown(trouble=f"broken {ODD}")}
    reader, _ = read(shown=some)
    assert "The sound is cut short." in reader.text
    assert f"No picture: broken {ODD}." in reader.text
    assert "No picture: not shown." in reader.text
    limited, _ = read(limit=1)
    assert "And 1 more, not shown" in limited.text


def test_one_seed_says_what_others_would_tell():
    found = hand()
    reader, text = read(hand(seeds=(0,), said=found.said[:1], probabilities=found.probabilities[:1]))
    assert reader.text.count("This run has one seed") == 2
    assert "±" not in reader.text
    assert "heard as <b>b</b>" in text
    assert "1 ×" not in text


def test_a_class_without_test_clips_has_a_row_that_says_so():
    found = hand(classes=("a", "b", "c", "d"), probabilities=np.pad(hand().probabilities, ((0, 0), (0, 0), (0, 1))))
    assert "no clips" in read(found)[0].text


def test_a_thousand_classes_make_a_page_that_opens():
    """Every second clip is taken for the class after its own; class 0 has one clip more, taken for class 7."""
    classes = tuple(f"c{i}" for i in range(1000))
    targets = np.append(np.arange(1000), 0)
    said = np.append(np.where(np.arange(1000) % 2 == 0, (np.arange(1000) + 1) % 1000, np.arange(1000)), 7)
    probabilities = np.full((1, 1001, 1000), 1e-4)
    probabilities[0, np.arange(1001), said] = 0.9
    reader, text = read(
        hand(
            classes, ids=tuple(f"{classes[t]}/{i}.wav" for i, t in enumerate(targets)), seeds=(0,), said=said[None],
            groups=(None,) * 1001, seconds=np.ones(1001), targets=targets, probabilities=probabilities,
        ),
        shown={},
    )  # fmt: skip
    assert len(text) < 3e6
    rows = re.findall(r'<tr><th scope="row">(c\d+)</th>(.*?)</tr>', text)
    assert len(rows) == 1000
    name, worst = rows[0]
    assert name == "c0"  # two mistakes, more than any other
    assert re.sub(r"<.*?>", " ", worst).split() == ["2", "0", "c1", "1", ",", "c7", "1", "0", "%"]
    ids = {attributes["id"] for _, attributes in reader.found if "id" in attributes}
    assert {address.removeprefix("#") for address in reader.all("a", "href")} <= ids
    assert "cell-0-7" in ids
