"""``make bench-abuse``: what strangers can do to the service, bounded in number and time.

The server runs as the Procfile starts it, on loopback, and is asked quietly first and then
during each flood. What counts are the ratios, and what is left behind in memory and on disk.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlencode
from urllib.request import urlopen

import flask_migrate

from config import PREFIX, ROOT, Config
from registry_ui import create_app
from registry_ui.catalog.reconcile import reconcile
from registry_ui.db.session import db
from registry_ui.demo.images import Step, image, index
from registry_ui.launch import keys, settings
from registry_ui.names import RepositoryName
from registry_ui.page_call_budget import MAX_CALLS
from tests.benchmarks.counted_registry import OnDisk, calls_to, counted_stack
from tests.benchmarks.flood import Latency, flood, measure
from tests.benchmarks.token_endpoint import ASKER, PULL_PUSH, fill, memory_of, served
from tests.support.processes import free_port
from tests.support.stack import Stack

CONNECTIONS = 16
#: How much slower the token endpoint may become for a client that did nothing wrong.
SLOWER = 3.0
#: The same during a flood of anonymous requests, which is answered as quickly as it comes.
FLOODED = 16.0
#: Bytes that a stranger may add to the database within an hour.
LARGEST_HOUR = 10_000_000

#: Project of public images that somebody crafted, and calls of a view that is not the first.
CRAFTED, LATER_CALLS = "open/crafted", 3
#: Processes of the web server: deploy/gunicorn.conf.py.
WEB_PROCESSES = 2

Outcome = tuple[str, bool]


@dataclass(frozen=True)
class Target:
    """A running server, and what a well-behaved client asks it."""

    port: int
    token: str

    def quiet_client(self, seconds: float) -> Latency:
        """Ask for bearer tokens with an access token."""
        query = {"account": f"user{ASKER}", "scope": PULL_PUSH, "service": "registry"}
        headers = {"Authorization": basic(f"user{ASKER}", self.token)}
        return measure(self.port, "/jwt/auth?" + urlencode(query), headers, seconds)


@dataclass(frozen=True)
class RunningTarget(Target):
    """The web server alone, with its files and its process."""

    home: Path
    master: Popen


def basic(username: str, password: str) -> str:
    """Return the header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def get(path: str, authorization: str = "") -> bytes:
    """Return a request as it goes over the wire."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: docker/28.2.2\r\n"
    if authorization:
        head += f"Authorization: {authorization}\r\n"
    return (head + "\r\n").encode()


def wrong_password(path: str, username: Callable[[int], str]) -> Callable[[int], bytes]:
    """Return a maker of requests, each with another wrong password."""
    return lambda number: get(path, basic(username(number), f"wrong{number}"))


@contextmanager
def running(users: int) -> Iterator[RunningTarget]:
    """Run the web server with so many users, projects and images."""
    with tempfile.TemporaryDirectory(prefix="rui-abuse-") as directory:
        home, port = Path(directory), free_port()
        environ = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        environ |= {PREFIX + "VAR": str(home / "var"), PREFIX + "PORT": str(port)}
        config: Config = settings.read_settings(environ)
        keys.ensure_signing_key(config.token_key_file, config.token_certificate_file)
        app = create_app(config)
        with app.app_context():
            flask_migrate.upgrade(str(ROOT / "migrations"))
            token, _ = fill(app, users)
            db.session.remove()
            db.engine.dispose()
        with served("web", "wsgi:app", port, environ, home) as master:
            target = RunningTarget(port, token, home, master)
            target.quiet_client(1)
            yield target


def under(
    target: Target, seconds: float, name: str, request_of: Callable[[int], bytes]
) -> tuple[float, dict[str, int]]:
    """Measure a well-behaved client before and during a flood; return the ratio and the answers."""
    before = target.quiet_client(seconds)
    with flood(target.port, CONNECTIONS, request_of) as answers:
        during = target.quiet_client(seconds)
    ratio = during.median / before.median
    print(f"{name}\n  before {before}\n  during {during}")
    print(f"  ratio {ratio:.2f}, the flood was answered {dict(answers)}", flush=True)
    assert set(before.statuses) | set(during.statuses) == {200}
    return ratio, answers


def passwords(seconds: float) -> Iterator[Outcome]:
    """Wrong passwords at the token endpoint and at the API."""
    doors = {"the token endpoint": "/jwt/auth?service=registry", "the API": "/api/v4/projects"}
    whose = {"one name": lambda _: "user7", "many names": lambda number: f"user{number % 97}"}
    with running(100) as target:
        for door, path in doors.items():
            for names, username in whose.items():
                name = f"{CONNECTIONS} connections with wrong passwords at {door}, {names}"
                ratio, _ = under(target, seconds, name, wrong_password(path, username))
                yield (
                    f"token endpoint within {SLOWER:.0f} times its quiet median: {name}",
                    (ratio <= SLOWER),
                )


def deep_name(number: int) -> str:
    """Return a name of the greatest depth, which no other request has."""
    return f"r{number}/" + "/".join("a" * 120)


def made_up(number: int) -> bytes:
    """Return an anonymous request for names that nobody owns."""
    return get(f"/jwt/auth?service=registry&scope=repository:made/up{number}:pull")


def made_up_and_deep(number: int) -> bytes:
    """Return an anonymous request with many scopes, each of a deep name of its own."""
    names = (deep_name(number * 12 + part) for part in range(12))
    scopes = "".join(f"&scope=repository:{name}:pull" for name in names)
    return get(f"/jwt/auth?service=registry{scopes}")


def stored_bytes(target: RunningTarget) -> int:
    """Return what the database takes on disk."""
    return sum(file.stat().st_size for file in (target.home / "var").glob("registry_ui.sqlite*"))


def names(seconds: float) -> Iterator[Outcome]:
    """Names that nobody owns: the disk. By the caps, an hour is no more than the first seconds."""
    with running(100) as target:
        before = stored_bytes(target)
        ratio, answers = under(target, seconds, "made-up names by anonymous requests", made_up)
        grown = stored_bytes(target) - before
        print(f"  the database grew by {grown:,} bytes for {sum(answers.values()):,} requests")
        yield "an hour of made-up names adds less than 10 MB", grown < LARGEST_HOUR
        yield f"token endpoint within {FLOODED:.0f} times its quiet median", ratio <= FLOODED


def memory(seconds: float) -> Iterator[Outcome]:
    """Deep names that nobody owns: the memory of the processes."""
    with running(100) as target:
        before = memory_of(target.master)
        _, answers = under(target, seconds, "deep made-up names, many at a time", made_up_and_deep)
        grown = memory_of(target.master) - before
        print(f"  memory grew by {grown:,} KiB for {sum(answers.values()):,} requests")
        yield "deep made-up names take less than 64 MiB of all processes", grown < 64 * 1024


def crafted(stack: Stack) -> list[str]:
    """Put public images on the registry of which most is missing; return the addresses of pages.

    Indexes whose manifests are missing, an index of images whose configurations are missing, and
    a list of tags that are all such indexes.
    """
    disk = OnDisk.of(stack)
    stack.fill.project(CRAFTED, "public")
    for number in range(20):
        children = [image([Step(f"RUN {number} {n}")], platform="linux/amd64") for n in range(64)]
        disk.write(f"{CRAFTED}/missing", f"v{number}", index(children))
        if number == 0:
            for child in children:
                disk.write_manifest(f"{CRAFTED}/configs", child)
            disk.write(f"{CRAFTED}/configs", "v0", index(children))
    pages = [f"missing/-/tags/v{number}" for number in range(4)]
    return [f"/{CRAFTED}/-/images/{page}" for page in ("configs/-/tags/v0", *pages, "missing")]


def calls(seconds: float) -> Iterator[Outcome]:
    """What views of crafted public images make the pages ask of the registry."""
    with (
        tempfile.TemporaryDirectory(prefix="rui-abuse-") as directory,
        counted_stack(Path(directory)) as stack,
    ):
        pages = crafted(stack)
        stack.start("registry", "web")  # the worker's own calls would count too
        with stack.app.app_context():
            # One by one: the catalog leaves out a repository without layers.
            for name in ("configs", "missing"):
                reconcile(RepositoryName(f"{CRAFTED}/{name}"), digests=True)
            db.session.remove()
        stack.fill.user(f"user{ASKER}")
        token = stack.fill.access_token(f"user{ASKER}", "write_registry")
        target = Target(stack.config.port, token)
        first, later = views(stack, pages)
        yield f"a view of a crafted image makes at most {MAX_CALLS} calls", max(first) <= MAX_CALLS
        yield f"a later view makes at most {LATER_CALLS} calls", max(later) <= LATER_CALLS
        before = calls_to(stack)
        name = f"{CONNECTIONS} connections that view crafted public images"
        _, answers = under(target, seconds, name, lambda n: get(pages[n % len(pages)]))
        made, viewed = calls_to(stack) - before, answers.get("200", 0)
        print(f"  {made:,} calls for {viewed:,} views: {made / max(viewed, 1):.2f} each")
        yield f"the same in a flood: {LATER_CALLS} calls each", made <= LATER_CALLS * viewed


def views(stack: Stack, pages: list[str]) -> tuple[list[int], list[int]]:
    """View each page ten times; print and return the calls of first and later views.

    Each process of the web server remembers for itself what is missing: the first views of a
    page in each are first views.
    """
    first, later = [], []
    for page in pages:
        counts = []
        for _ in range(10):
            before = calls_to(stack)
            address = f"http://127.0.0.1:{stack.config.port}{page}"
            with urlopen(address) as answer:
                answer.read()
            counts.append(calls_to(stack) - before)
        print(f"{page}\n  calls of ten views: {counts}", flush=True)
        cold = sorted(counts, reverse=True)[:WEB_PROCESSES]
        first += cold
        later += sorted(counts)[: len(counts) - WEB_PROCESSES]
    return first, later


SECTIONS: dict[str, Callable[[float], Iterator[Outcome]]] = {
    "passwords": passwords,
    "names": names,
    "memory": memory,
    "calls": calls,
}


def main() -> int:
    """Measure and say what holds; 1 where something does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("sections", nargs="*", help=", ".join(SECTIONS))
    options = parser.parse_args()
    failed = 0
    for name in options.sections or SECTIONS:
        outcomes = list(SECTIONS[name](options.seconds))
        for words, kept in outcomes:
            failed += not kept
            print(f"{'holds' if kept else 'FAILS':6} {words}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
