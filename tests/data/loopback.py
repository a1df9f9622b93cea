"""A web server on 127.0.0.1 that misbehaves on request."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer: by default the whole file, or the range asked for, with an entity tag."""

    body: bytes = b""
    status: int | None = None
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    if_range: bool = True
    breaks_after: int | None = None
    claims: int | None = None
    chunked: bool = False
    kind: str = "application/octet-stream"
    location: str | None = None
    stalls: float = 0.0


@dataclass
class Loopback:
    """Pages of the server, each a list of answers of which the last is repeated, and the requests it got."""

    address: str
    pages: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def put(self, path: str, *answers: Answer) -> str:
        self.pages[path] = list(answers)
        return self.address + path

    def ranges(self) -> list[str | None]:
        return [asked for _, asked, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    loopback: Loopback

    def do_GET(self) -> None:
        self.close_connection = True
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        self.loopback.requests.append((self.path, asked, condition))
        answers = self.loopback.pages.get(self.path, [Answer(b"no such page", status=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and answer.ranges else 0
        if answer.if_range and condition not in (None, answer.etag, answer.modified):
            start = 0
        time.sleep(answer.stalls)
        if start > 0 and start >= len(answer.body):
            self._send(Answer(status=416), b"", 0, 0)
        else:
            self._send(answer, answer.body[start:], start, len(answer.body))

    def _send(self, answer: Answer, body: bytes, start: int, total: int) -> None:
        self.send_response(answer.status or (206 if start else 200))
        self.send_header("Content-Type", answer.kind)
        self.send_header("Connection", "close")
        for name, value in (("ETag", answer.etag), ("Last-Modified", answer.modified), ("Location", answer.location)):
            if value is not None:
                self.send_header(name, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body) if answer.claims is None else answer.claims))
        self.end_headers()
        sent = body if answer.breaks_after is None else body[: answer.breaks_after]
        if answer.chunked:
            sent = b"%x\r\n%s\r\n" % (len(sent), sent) + (b"0\r\n\r\n" if answer.breaks_after is None else b"")
        # A client that has seen enough hangs up.
        with suppress(ConnectionError):
            self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Loopback]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    handler.loopback = Loopback(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler.loopback
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
