"""Throw-away servers for the tests: each on a free port, ended by its own process handle."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

import psycopg
import pytest

from config import ROOT

#: Programs that deploy/test-programs.sh has unpacked. Those of the machine come first.
UNPACKED = ROOT / os.environ.get("REGISTRY_UI_VAR", "var") / "debian" / "tests" / "bin"
#: Above what services use, and above the one port (10080) that browsers refuse to open.
FIRST_PORT = 12_000
#: The files whose locks reserve ports, and the locks this process holds until it ends.
RESERVED = Path("/tmp/registry-ui-test-ports")
_held: list[int] = []


def free_port() -> int:
    """Return a port that is free, and that nobody but this test process will be given.

    A port that the kernel chooses is free only until the probe is closed: the next connection
    anybody opens may leave from it, or the next probe may be given the same one. So the ports come
    from below those of outgoing connections, and a lock keeps other test processes off them.
    """
    RESERVED.mkdir(exist_ok=True)
    count = _first_outgoing_port() - FIRST_PORT
    while True:
        port = FIRST_PORT + secrets.randbelow(count)
        if _reserve(port):
            return port


def _first_outgoing_port() -> int:
    """Return the first port from which the kernel opens connections."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def _reserve(port: int) -> bool:
    """Lock the port for this process, if nobody holds it and nobody listens there."""
    lock = os.open(RESERVED / str(port), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        os.close(lock)
        return False
    _held.append(lock)
    return True


def until(condition: Callable[[], object], seconds: float = 120, what: str = "") -> object:
    """Poll until ``condition`` returns something true, and return it; fail after a deadline."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        time.sleep(0.05)


def required(*names: str) -> str:
    """Return the first of these programs that there is; if there is none, skip, or fail in CI."""
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *places, str(UNPACKED)])
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    return missing(*names)


def missing(*names: str) -> NoReturn:
    """Skip, because none of these is installed; in CI, fail."""
    message = f"{' or '.join(names)} is not installed"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


class Process(Protocol):
    """The part of Popen's interface that tests use."""

    args: Any
    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Server:
    """A child process with a log; ``stop`` ends it and what it started."""

    def __init__(self, command: list[str], log: Path, **options: object) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process: Process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options
            )

    @classmethod
    def of(cls, process: Process, log: Path) -> Server:
        """Return the server that a process is, which was started in another way."""
        made = cls.__new__(cls)
        made.log, made.process = log, process
        return made

    def wait_for_port(self, port: int, seconds: float = 120) -> None:
        """Wait until it listens; fail with the end of its log."""

        def listens() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"{self.process.args} ended: {self.log.read_text()[-2000:]}")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, seconds, f"port {port} of {self.process.args}")

    def stop(self) -> None:
        """Ask it to end, then make it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)


#: Nothing needs to outlive a crash, and a database is made for every test: a quarter of the time.
POSTGRES_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "max_connections=200",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "shared_buffers=512MB",
)


def start_postgres(home: Path) -> tuple[Server, str]:
    """Start a PostgreSQL of its own; return it and the URL of its first database."""
    initdb, postgres = required("initdb"), required("postgres")
    data, port = home / "data", free_port()
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(home, "postgres")
        user = {"user": "postgres"}
    subprocess.run(
        [initdb, "-D", data, "-U", "test", "--auth=trust", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=home,
        **user,
    )
    server = Server(
        [
            postgres,
            "-D",
            str(data),
            "-p",
            str(port),
            "-k",
            str(home),
            *(word for setting in POSTGRES_SETTINGS for word in ("-c", setting)),
        ],
        home / "postgres.log",
        cwd=home,
        **user,
    )
    server.wait_for_port(port)
    url = f"postgresql://test@127.0.0.1:{port}/postgres"
    until(lambda: _accepts(url), 120, "PostgreSQL has started up")
    return server, url


def _accepts(url: str) -> bool:
    """Whether a PostgreSQL that listens has also recovered far enough to be connected to."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def start_redis(home: Path, port: int | None = None) -> tuple[Server, str]:
    """Start a Redis of its own, on a free port unless one is given; return it and its URL."""
    program, port = required("redis-server"), port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    server = Server(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home)],
        home / "redis.log",
    )
    server.wait_for_port(port)
    return server, f"redis://127.0.0.1:{port}/0"
