"""Who may ask MLflow's scoring server: it reads a body of any size and as long as it takes, by itself."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_SERVER = "mlflow.pyfunc.scoring_server.app"
# a few bytes of these can stand for any number of rows
_UNBOUNDED = b"application/vnd.apache.parquet"
_SECONDS = 60.0
_CODES = {400: "BAD_REQUEST", 408: "TIMEOUT", 413: "REQUEST_LIMIT_EXCEEDED", 415: "UNSUPPORTED_MEDIA_TYPE"}


def guard_server(most: int) -> bool:
    """Where this process is MLflow's scoring server, let it refuse what is too large; whether it is.

    The server loads its model first and makes its FastAPI application afterwards, so that the class is still to be
    used; there is no setting for it, neither in MLflow nor in uvicorn.

    Args:
        most: bytes of a body.
    """
    if _SERVER not in sys.modules:
        return False
    import fastapi

    class Guarded(fastapi.FastAPI):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self.add_exception_handler(RecursionError, _nested)

        async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            await limited(super().__call__, most)(scope, receive, send)

    fastapi.FastAPI = Guarded  # type: ignore[misc]  # MLflow makes its application from this name
    return True


def limited(app: App, most: int, seconds: float = _SECONDS) -> App:
    """The application behind a doorman, who reads each body himself and turns away what it should not see.

    Args:
        most: bytes of a body. seconds: in which it must have come.
    """

    async def guarded(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").startswith(_UNBOUNDED):
            await _refuse(send, 415, "Parquet is not taken; send JSON or CSV")
            return
        claimed = headers.get(b"content-length", b"0")
        try:
            async with asyncio.timeout(seconds):
                body = None if not claimed.isdigit() or int(claimed) > most else await _read(receive, most)
        except TimeoutError:
            await _refuse(send, 408, f"The request had not come within {seconds:g} s")
            return
        if body is None:
            told = f"The request is larger than {most / 1_000_000:g} million bytes, the most this model takes"
            await _refuse(send, 413, told)
            return
        await _pass_on(app, scope, body, receive, send)

    return guarded


async def _pass_on(app: App, scope: MutableMapping[str, Any], body: bytes, receive: Receive, send: Send) -> None:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    await app(scope, replayed, send)


async def _read(receive: Receive, most: int) -> bytes | None:
    """The body, or None where it is longer; what came of one whose sender left."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body", False))
        if len(body) > most:
            return None
    return bytes(body)


async def _nested(_: Any, __: Exception) -> Any:
    from fastapi.responses import Response

    told = _content(400, "The request is nested too deeply")
    return Response(told, status_code=400, media_type="application/json")


def _content(status: int, told: str) -> bytes:
    return json.dumps({"error_code": _CODES[status], "message": told}).encode()


async def _refuse(send: Send, status: int, told: str) -> None:
    content = _content(status, told)
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
