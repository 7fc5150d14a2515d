"""A registry that does what a real one can not be made to do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is sent back. ``trickle`` sends the body byte by byte, with these seconds between."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    trickle: float = 0
    length: int | None = None


class HostileRegistry:
    """Listens on loopback; ``answer`` decides what every request gets, ``asked`` remembers them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], Answer] = lambda _asked: Answer(404)
        self.released = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: HostileRegistry

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
        self.registry.asked.append(asked)
        answer = self.registry.answer(asked)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        try:
            self._send(answer, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _send(self, answer: Answer, body: bytes) -> None:
        if "Date" in answer.headers:
            self.send_response_only(answer.status)
        else:
            self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header(
            "Content-Length", str(len(body) if answer.length is None else answer.length)
        )
        self.end_headers()
        if self.command == "HEAD":
            return
        if not answer.trickle:
            self.wfile.write(body)
            self.close_connection = answer.length is not None
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.registry.released.wait(answer.trickle):
                self.close_connection = True
                return

    def log_message(self, *_args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def hostile_registry() -> Iterator[HostileRegistry]:
    """Run one, and stop it."""
    server = _Server(("127.0.0.1", 0), _Handler)
    registry = HostileRegistry(f"http://localhost:{server.server_address[1]}")
    # One registry for each server: the handler's class is where it is found.
    server.RequestHandlerClass = type("Handler", (_Handler,), {"registry": registry})
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        registry.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


#: What the client's bearer tokens are in these tests.
BEARER = "our-bearer-token"
#: Timeout in seconds of a client whose registry does not answer in a test.
TIMEOUT = 0.3
#: Timeout in seconds of any other client: a busy machine is not what its tests are about.
PATIENCE = 60.0


def always(*args: Any, **more: Any) -> Callable[[Asked], Answer]:
    """Answer everything the same."""
    return lambda _asked: Answer(*args, **more)
