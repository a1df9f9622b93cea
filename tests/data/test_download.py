import hashlib
import json
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from loopback import Answer, Loopback, serving

from src.data.download import download
from src.errors import UserError

# Larger than what fits into socket buffers at once, so that breaking off is seen in the middle.
BODY = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
HALF = 150_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as loopback:
        yield loopback


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "set.zip"


def left_behind(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {target.name}


def test_a_file_arrives_whole_and_alone(server, target):
    seen = []
    url = server.put("/set.zip", Answer(BODY))
    got = download(
        url, target, sha256=SHA256, md5=MD5, size=len(BODY), progress=lambda *step: seen.append(step), pause=0.0
    )
    assert got == target
    assert target.read_bytes() == BODY
    assert left_behind(target) == set()
    assert seen[-1] == ("set.zip", len(BODY), len(BODY))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_it_goes_on_where_the_server_broke_off(server, target):
    url = server.put("/set.zip", Answer(BODY, breaks_after=100_000), Answer(BODY, breaks_after=50_000), Answer(BODY))
    # No retry without progress is needed: both breaks came after new bytes.
    download(url, target, sha256=SHA256, retries=0, pause=0.0)
    assert target.read_bytes() == BODY
    assert server.requests == [
        ("/set.zip", None, None),
        ("/set.zip", "bytes=100000-", '"one"'),
        ("/set.zip", "bytes=150000-", '"one"'),
    ]


def interrupted(url: str, target: Path, **expected: object) -> None:
    def stop(name: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(url, target, progress=stop, pause=0.0, **expected)
    assert not target.exists()
    assert target.with_name("set.zip.part").stat().st_size > 0


def test_the_next_call_goes_on_from_an_interrupted_one(server, target):
    url = server.put("/set.zip", Answer(BODY))
    interrupted(url, target)
    have = target.with_name("set.zip.part").stat().st_size
    download(url, target, sha256=SHA256)
    assert server.requests[1] == ("/set.zip", f"bytes={have}-", '"one"')
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize(
    "tags", [("one", "two", None, None), (None, None, "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT")]
)
def test_a_file_that_changed_meanwhile_is_not_joined_to_its_predecessor(server, target, if_range, tags):
    before = Answer(BODY, etag=tags[0], modified=tags[2], breaks_after=HALF)
    after = Answer(OTHER, etag=tags[1], modified=tags[3], if_range=if_range)
    url = server.put("/set.zip", before, after)
    download(url, target, pause=0.0)
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_anything_to_tell_the_file_by_it_starts_over(server, target, etag):
    url = server.put("/set.zip", Answer(BODY, etag=etag, breaks_after=HALF), Answer(BODY, etag=etag))
    download(url, target, pause=0.0)
    assert server.ranges() == [None, None]
    assert target.read_bytes() == BODY


def test_with_a_checksum_it_goes_on_all_the_same(server, target):
    url = server.put("/set.zip", Answer(BODY, etag=None, breaks_after=HALF), Answer(BODY, etag=None))
    download(url, target, md5=MD5, pause=0.0)
    assert server.ranges() == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == BODY


def test_parts_that_do_not_fit_together_are_fetched_again(server, target):
    url = server.put("/set.zip", Answer(OTHER, etag=None, breaks_after=HALF), Answer(BODY, etag=None))
    download(url, target, sha256=SHA256, pause=0.0)
    assert server.ranges() == [None, f"bytes={HALF}-", None]
    assert target.read_bytes() == BODY


def test_a_part_of_another_file_does_not_end_up_in_this_one(server, target):
    old = server.put("/old.zip", Answer(OTHER))
    interrupted(old, target)
    download(server.put("/set.zip", Answer(BODY)), target)
    assert target.read_bytes() == BODY
    assert server.ranges() == [None, None]
    target.unlink()
    interrupted(old, target)
    download(server.put("/set.zip", Answer(BODY)), target, sha256=SHA256, pause=0.0)
    assert target.read_bytes() == BODY


def test_the_next_address_is_tried_where_one_does_not_give_the_file(server, target):
    gone = server.put("/gone.zip", Answer(status=404))
    wrong = server.put("/wrong.zip", Answer(OTHER))
    download([gone, wrong, server.put("/set.zip", Answer(BODY))], target, sha256=SHA256, retries=0, pause=0.0)
    assert [path for path, _, _ in server.requests] == ["/gone.zip", "/wrong.zip", "/set.zip"]
    assert target.read_bytes() == BODY


def test_the_next_address_goes_on_where_the_first_broke_off(server, target):
    """Each server marks the file in its own way; the checksum tells that the parts fit."""
    first = server.put("/first.zip", Answer(BODY, etag='"a"', breaks_after=HALF), Answer(status=404))
    second = server.put("/second.zip", Answer(BODY, etag='"b"'))
    download([first, second], target, sha256=SHA256, retries=0, pause=0.0)
    assert server.requests[-1] == ("/second.zip", f"bytes={HALF}-", None)
    assert target.read_bytes() == BODY


def test_the_last_address_says_what_to_do_by_hand(server, target):
    addresses = [server.put(f"/{name}.zip", Answer(status=404)) for name in ("one", "two")]
    with pytest.raises(UserError, match=r"two\.zip: the server answered 404.* by hand from http.*/page"):
        download(addresses, target, retries=0, pause=0.0, page=f"{server.address}/page")


@pytest.mark.parametrize("notes", ["", "[]", '{"url": 1}', "\0"])
def test_damaged_notes_cost_the_part_not_the_download(server, target, notes):
    url = server.put("/set.zip", Answer(BODY))
    interrupted(url, target)
    target.with_name("set.zip.part.json").write_text(notes)
    download(url, target)
    assert target.read_bytes() == BODY


def test_a_whole_part_is_only_renamed(server, target):
    url = server.put("/set.zip", Answer(BODY))
    interrupted(url, target)
    target.with_name("set.zip.part").write_bytes(BODY)
    download(url, target, sha256=SHA256)
    assert len(server.requests) == 1
    assert target.read_bytes() == BODY


def test_a_server_that_ignores_ranges_sends_everything_again(server, target):
    url = server.put("/set.zip", Answer(BODY, breaks_after=HALF), Answer(BODY, ranges=False))
    download(url, target, pause=0.0)
    assert server.ranges() == [None, f"bytes={HALF}-"]
    assert target.read_bytes() == BODY


def test_a_file_that_became_shorter_is_fetched_anew(server, target):
    short = Answer(BODY[:1000], if_range=False)
    url = server.put("/set.zip", Answer(BODY, breaks_after=HALF), short)
    download(url, target, pause=0.0)
    assert server.ranges() == [None, f"bytes={HALF}-", None]
    assert target.read_bytes() == BODY[:1000]


def test_a_length_larger_than_what_comes_is_given_up(server, target):
    url = server.put("/set.zip", Answer(BODY[:5000], claims=9000))
    with pytest.raises(
        UserError, match=r"could not be downloaded.*(4000 more expected|nothing after the first 5000 bytes).*by hand"
    ):
        download(url, target, retries=2, pause=0.0)
    assert not target.exists()


def test_a_length_smaller_than_what_comes_is_noticed_by_checksum(server, target):
    url = server.put("/set.zip", Answer(BODY, claims=HALF))
    with pytest.raises(UserError, match=f"something else than the published file: its sha256 is .*{SHA256}"):
        download(url, target, sha256=SHA256, pause=0.0)
    assert left_behind(target) == {".set.zip.lock"}


def test_another_length_than_the_published_is_refused_before_the_body(server, target):
    url = server.put("/set.zip", Answer(BODY))
    with pytest.raises(UserError, match="offers 300000 bytes, the published file has 299999"):
        download(url, target, size=299_999)
    assert not target.with_name("set.zip.part").exists()


def test_an_endless_answer_stops_at_the_published_length(server, target):
    url = server.put("/set.zip", Answer(BODY, chunked=True))
    with pytest.raises(UserError, match="sends more than the published 1000 bytes"):
        download(url, target, size=1000)


def test_wrong_bytes_are_refused_and_named(server, target):
    url = server.put("/set.zip", Answer(OTHER))
    with pytest.raises(UserError, match=f"its md5 is [0-9a-f]{{32}}, the published one {MD5}") as raised:
        download(url, target, md5=MD5)
    assert str(target) in str(raised.value)
    assert len(server.requests) == 1
    assert left_behind(target) == {".set.zip.lock"}


@pytest.mark.parametrize("status", [401, 403, 404, 410, 204, 304])
def test_a_missing_file_says_what_to_put_where(server, target, status):
    url = server.put("/set.zip", Answer(b"", status=status))
    with pytest.raises(
        UserError, match=f"answered {status}.*may have moved.*set.zip by hand from http://about.page"
    ) as e:
        download(url, target, page="http://about.page", pause=0.0)
    assert f"put it at {target}" in str(e.value)
    assert len(server.requests) == 1


def test_passing_trouble_of_the_server_is_waited_out(server, target):
    url = server.put("/set.zip", Answer(status=500), Answer(status=503), Answer(status=429), Answer(BODY))
    download(url, target, sha256=SHA256, retries=3, pause=0.0)
    assert target.read_bytes() == BODY


def test_lasting_trouble_of_the_server_is_reported(server, target):
    url = server.put("/set.zip", Answer(status=503))
    with pytest.raises(UserError, match=r"answered 503 Service Unavailable.*by hand"):
        download(url, target, retries=2, pause=0.0)
    assert len(server.requests) == 3


def test_redirects_are_followed(server, target):
    there = server.put("/there.zip", Answer(BODY))
    download(server.put("/set.zip", Answer(status=302, location=there)), target, sha256=SHA256)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("location", ["/set.zip", "file:///etc/hostname", "ftp://127.0.0.1/set.zip"])
def test_redirects_that_lead_nowhere_are_reported(server, target, location):
    url = server.put("/set.zip", Answer(status=302, location=location))
    with pytest.raises(UserError, match="leads nowhere"):
        download(url, target, pause=0.0)
    assert not target.exists()


def test_a_web_page_is_not_taken_for_the_file(server, target):
    url = server.put(
        "/set.zip", Answer(b"<html>Welcome to the hotel's network</html>", kind="text/html; charset=utf-8")
    )
    with pytest.raises(UserError, match=r"a web page instead of set\.zip"):
        download(url, target)


def test_without_a_stated_length_it_arrives(server, target):
    url = server.put("/set.zip", Answer(BODY, chunked=True, breaks_after=HALF), Answer(BODY, chunked=True))
    download(url, target, pause=0.0)
    assert target.read_bytes() == BODY


def test_silence_is_cut_short(server, target):
    url = server.put("/set.zip", Answer(BODY, stalls=0.5), Answer(BODY))
    download(url, target, timeout=0.2, pause=0.0, sha256=SHA256)
    assert len(server.requests) == 2


def test_a_closed_port_and_no_network_say_what_to_do(target, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(UserError, match=r"took no connection.*Check the network; or download set.zip by hand"):
        download(f"http://127.0.0.1:{port}/set.zip", target, retries=1, pause=0.0)

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match="probably no network"):
        download("http://published.example/set.zip", target, retries=1, pause=0.0)


def test_a_full_disk_is_noticed_first(server, target, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=256_000_000))
    url = server.put("/set.zip", Answer(BODY))
    with pytest.raises(UserError, match=r"0.00 GB are needed there and 0.26 GB are free.*another disk"):
        download(url, target)
    assert not target.with_name("set.zip.part").exists()


def test_the_published_file_is_not_fetched_twice(server, target):
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert download(server.put("/set.zip", Answer(BODY)), target, sha256=SHA256) == target
    assert server.requests == []


def test_a_wrong_file_put_there_by_hand_is_named_not_overwritten(server, target):
    target.parent.mkdir()
    target.write_bytes(OTHER)
    with pytest.raises(UserError, match=r"is there, but is not the published file.*Remove it"):
        download(server.put("/set.zip", Answer(BODY)), target, sha256=SHA256)
    assert target.read_bytes() == OTHER


@pytest.mark.parametrize("url", ["ftp://host/set.zip", "file:///etc/hostname", "set.zip", "http://", "http://["])
def test_only_web_addresses_are_fetched(target, url):
    with pytest.raises(UserError, match="expected an http or https address"):
        download(url, target)


def test_two_at_once_fetch_once(server, target):
    url = server.put("/set.zip", Answer(BODY, stalls=0.1))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(download, url, target, sha256=SHA256) for _ in range(2)]
    assert [one.result() for one in both] == [target, target]
    assert len(server.requests) == 1


def test_the_notes_name_the_file_that_the_part_is_of(server, target):
    url = server.put("/set.zip", Answer(BODY, modified="Mon, 01 Jan 2024 00:00:00 GMT"))
    interrupted(url, target)
    notes = json.loads(target.with_name("set.zip.part.json").read_text())
    assert notes == {"url": url, "etag": '"one"', "modified": "Mon, 01 Jan 2024 00:00:00 GMT", "total": 300_000}
