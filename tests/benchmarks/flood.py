"""Load from strangers: a bounded flood of prepared requests, and a client that measures beside it.

Both are plain sockets in processes of their own, so that neither waits for the other.
"""

from __future__ import annotations

import http.client
import multiprocessing
import selectors
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

#: Seconds after which an unanswered request of the flood is an error.
SILENCE = 30.0


@dataclass
class Connection:
    """One connection of the flood: a request out, its answer in, and the next."""

    port: int
    sock: socket.socket = field(init=False)
    received: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), SILENCE)

    def send(self, request: bytes) -> None:
        """Send a request; connect again if the server closed the connection."""
        self.received = b""
        try:
            self.sock.sendall(request)
        except OSError:
            self.sock.close()
            self.sock = socket.create_connection(("127.0.0.1", self.port), SILENCE)
            self.sock.sendall(request)

    def is_answered(self) -> bool:
        """Read what has come; return whether the answer is complete."""
        part = self.sock.recv(65536)
        if not part:
            return True
        self.received += part
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return False
        _, found, rest = head.lower().partition(b"content-length:")
        return not found or len(body) >= int(rest.split(b"\r\n", 1)[0])

    @property
    def status(self) -> str:
        """The status of the answer; ``closed`` where none came."""
        words = self.received.split(b" ", 2)
        return words[1].decode() if len(words) > 2 else "closed"


def attack(
    port: int,
    connections: int,
    request_of: Callable[[int], bytes],
    stop: Any,
    answers: Any,
) -> None:
    """Send the requests by so many connections until told to stop; hand over the statuses."""
    statuses: Counter[str] = Counter()
    numbers = count()
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port)
            connection.send(request_of(next(numbers)))
            selector.register(connection.sock, selectors.EVENT_READ, connection)
        while not stop.is_set():
            for key, _ in selector.select(timeout=0.2):
                connection = key.data
                if not connection.is_answered():
                    continue
                statuses[connection.status] += 1
                selector.unregister(connection.sock)
                connection.send(request_of(next(numbers)))
                selector.register(connection.sock, selectors.EVENT_READ, connection)
    answers.put(dict(statuses))


@contextmanager
def flood(
    port: int, connections: int, request_of: Callable[[int], bytes]
) -> Iterator[dict[str, int]]:
    """Keep a server busy meanwhile; afterwards, the yielded counter holds the answers by status."""
    context = multiprocessing.get_context("fork")
    stop, answers = context.Event(), context.Queue()
    process = context.Process(
        target=attack, args=(port, connections, request_of, stop, answers), daemon=True
    )
    process.start()
    found: dict[str, int] = {}
    try:
        yield found
    finally:
        stop.set()
        found.update(answers.get(timeout=SILENCE))
        process.join(SILENCE)


@dataclass(frozen=True)
class Latency:
    """How long answers took, in milliseconds, and which statuses they had."""

    median: float
    p95: float
    count: int
    statuses: dict[int, int]

    def __str__(self) -> str:
        return f"median {self.median:7.2f} ms, p95 {self.p95:7.2f} ms, {self.count} answers"


def measure(port: int, path: str, headers: dict[str, str], seconds: float) -> Latency:
    """Ask again and again by one connection, as a client that waits for each answer."""
    took, statuses = [], Counter[int]()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SILENCE)
    end = time.monotonic() + seconds
    while time.monotonic() < end or not took:
        begin = time.monotonic()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        took.append((time.monotonic() - begin) * 1000)
        statuses[answer.status] += 1
        time.sleep(0.005)
    connection.close()
    p95 = sorted(took)[int(len(took) * 0.95)]
    return Latency(statistics.median(took), p95, len(took), dict(statuses))
