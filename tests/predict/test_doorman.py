"""What the doorman lets through, byte for byte, and what he turns away without reading it."""

import asyncio
import json

import pytest

from src.predict.request_limits import guard_server, limited


def ask(parts, *, headers=(), most=100, seconds=5.0, kind="http"):
    """(status, what was answered, what the application read, how many parts were taken) of one request."""
    sent, read, taken = [], [], 0

    async def app(scope, receive, send):
        more = scope["type"] == "http"
        while more:
            message = await receive()
            read.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive():
        nonlocal taken
        taken += 1
        if taken > len(parts):
            await asyncio.sleep(60)
        return {"type": "http.request", "body": parts[taken - 1], "more_body": taken < len(parts) + ("never" in scope)}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": list(headers), **({"never": True} if seconds < 1 else {})}
    asyncio.run(limited(app, most, seconds)(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"]), b"".join(read), taken


@pytest.mark.parametrize("parts", [[b""], [b"a" * 100], [b"a" * 60, b"b" * 40], [b"a"] * 100])
def test_what_is_small_enough_arrives_as_it_was_sent(parts):
    status, _, read, _ = ask(parts, headers=[(b"content-length", str(len(b"".join(parts))).encode())])
    assert (status, read) == (200, b"".join(parts))


def test_what_claims_too_much_is_refused_unread():
    status, told, read, taken = ask([b"a"], headers=[(b"content-length", b"2147483648")])
    assert (status, read, taken) == (413, b"", 0)
    assert told["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert "larger than 0.0001 million bytes" in told["message"]


def test_what_claims_nothing_is_read_no_further_than_the_limit():
    status, _, read, taken = ask([b"a" * 40] * 1000)
    assert (status, read, taken) == (413, b"", 3)


@pytest.mark.parametrize("claim", [b"-5", b"1e3", b"abc", b""])
def test_claims_that_are_no_numbers_are_refused(claim):
    assert ask([b"a"], headers=[(b"content-length", claim)])[0] == 413


def test_who_takes_too_long_is_sent_away():
    status, told, *_ = ask([b"a"], seconds=0.05)
    assert (status, told["error_code"]) == (408, "TIMEOUT")


def test_a_format_that_unpacks_to_any_size_is_refused():
    status, told, _, taken = ask([b"a"], headers=[(b"content-type", b"application/vnd.apache.parquet")])
    assert (status, taken) == (415, 0)
    assert "JSON or CSV" in told["message"]


def test_what_is_no_request_passes():
    assert ask([], kind="lifespan")[0] == 200


def test_only_the_scoring_server_is_guarded():
    assert not guard_server(100)
