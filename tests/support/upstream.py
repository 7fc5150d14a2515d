"""A registry that others are caches of, and every request that reaches it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .processes import Server, free_port
from .registry import binary

#: Headers of one connection, and not of the response.
OF_A_CONNECTION = {"connection", "transfer-encoding", "content-length"}


@dataclass
class Upstream:
    """``push_url`` leads to the registry itself, ``url`` past the list of requests."""

    push_url: str
    url: str
    requests: list[str] = field(default_factory=list)

    @property
    def manifests(self) -> list[str]:
        """What was asked about repositories; not whether the registry is there."""
        return [request for request in self.requests if not request.endswith("/v2/")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def do_GET(self) -> None:
        self.upstream.requests.append(f"{self.command} {self.path}")
        connection = http.client.HTTPConnection(self.upstream.push_url.removeprefix("http://"))
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OF_A_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", answer.headers["Content-Length"] or str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_args: object) -> None:
        """Say nothing of a cache that is stopped while it has a connection."""


@contextmanager
def running_upstream(version: str, home: Path) -> Iterator[Upstream]:
    """Run a registry without authentication, and what counts the requests to it."""
    port = free_port()
    config = home / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {home / 'data'}\n"
        f"http:\n  addr: localhost:{port}\n"
    )
    registry = Server([binary(version), "serve", str(config)], home / "registry.log")
    registry.wait_for_port(port)
    server = _Server(("127.0.0.1", 0), _Handler)
    made = Upstream(f"http://localhost:{port}", f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"upstream": made})
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
        registry.stop()
