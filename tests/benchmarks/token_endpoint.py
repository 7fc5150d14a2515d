"""``make bench-token``: how quick the token endpoint is, beside a view that only signs.

Floor and endpoint run under the same gunicorn settings, one after the other in short
turns, under the same load generator; what counts is their ratio. Needs ``wrk``.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from subprocess import Popen, run
from urllib.parse import urlencode
from urllib.request import urlopen

import flask_migrate
from sqlalchemy import insert
from sqlalchemy.orm import Session

from config import PREFIX, ROOT, Config
from registry_ui import create_app
from registry_ui.accounts import service as accounts
from registry_ui.accounts.authentication import Attempt, authenticate, principal_of
from registry_ui.accounts.docker_sessions import begin
from registry_ui.accounts.secrets import ACCESS_PREFIX, hash_password, new_secret, secret_hash
from registry_ui.audit import Actor
from registry_ui.db.session import db, writing
from registry_ui.launch import keys, settings
from registry_ui.models import AccessToken, ContainerImage, Membership, Place, User, utc_now
from tests.support.processes import free_port

CONNECTIONS = 8
PASSWORD = "correct horse battery"
CHUNK = 5000
#: The one who asks, in the middle of all the others.
ASKER = 5

PULL_PUSH = f"repository:group{ASKER}/shop/app:pull,push"
LUA = """
wrk.method = "{method}"
wrk.body = "{body}"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["User-Agent"] = "docker/28.2.2"
{more}
"""


@dataclass(frozen=True)
class Case:
    """One kind of request."""

    name: str
    port: int
    path: str
    method: str = "GET"
    authorization: str = ""
    body: str = ""


@dataclass
class Figures:
    """What the turns of one case measured: requests a second, and milliseconds."""

    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def row(self) -> tuple[float, float, float]:
        """The medians."""
        return tuple(statistics.median(values) for values in (self.rate, self.p50, self.p99))  # type: ignore[return-value]


def fill(app, count: int) -> tuple[str, str]:
    """Put so many users, projects and images into the store; return access and refresh token."""
    now = utc_now()
    hashed = hash_password(PASSWORD)
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        secrets = {n: new_secret(ACCESS_PREFIX) for n in numbers}
        with writing() as session:
            insert_users_and_places(session, numbers, hashed, now)
            insert_images(session, numbers)
            insert_access_tokens(session, secrets, now)
        if ASKER in secrets:
            token = secrets[ASKER]
    user = accounts.find_user(f"user{ASKER}")
    refresh = begin(Actor(user.username), principal_of(user), "registry", "docker")
    assert authenticate(Attempt(user.username, token, "")).user_id == user.id
    return token, refresh


def insert_users_and_places(session: Session, numbers: range, hashed: str, now: datetime) -> None:
    """Insert users, and for each a group with a project, in which they are a Developer."""
    users = [
        {"id": n + 1, "username": f"user{n}", "password_hash": hashed, "created_at": now}
        for n in numbers
    ]
    groups = [
        {"id": 2 * n + 1, "kind": "namespace", "path": f"group{n}", "created_at": now}
        for n in numbers
    ]
    shops = [
        {
            "id": 2 * n + 2,
            "kind": "project",
            "path": f"group{n}/shop",
            "parent_id": 2 * n + 1,
            "visibility": "public" if n == ASKER + 1 else "private",
            "created_at": now,
        }
        for n in numbers
    ]
    session.execute(insert(User), users)
    session.execute(insert(Place.__table__), [{**g, "description": ""} for g in groups])
    session.execute(insert(Place.__table__), [{**s, "description": ""} for s in shops])
    session.execute(
        insert(Membership),
        [{"user_id": n + 1, "place_id": 2 * n + 1, "role": 30} for n in numbers],
    )


def insert_images(session: Session, numbers: range) -> None:
    """Insert one image into each project."""
    session.execute(
        insert(ContainerImage),
        [{"project_id": 2 * n + 2, "name": "app", "path": f"group{n}/shop/app"} for n in numbers],
    )


def insert_access_tokens(session: Session, secrets: dict[int, str], now: datetime) -> None:
    """Insert the access token of each user, by the user's number."""
    session.execute(
        insert(AccessToken),
        [
            {
                "user_id": n + 1,
                "name": "ci",
                "secret_hash": secret_hash(secret),
                "scopes": "write_registry",
                "created_at": now,
            }
            for n, secret in secrets.items()
        ],
    )


@contextmanager
def served(
    name: str, module: str, port: int, environ: dict[str, str], home: Path
) -> Iterator[Popen]:
    """Run an application as the Procfile does, on a port of its own."""
    command = [sys.executable, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py"]
    log = (home / f"{name}.log").open("w")
    process = Popen([*command, module], cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}/jwt/jwks.json").read()
                break
            except OSError as error:
                if getattr(error, "code", 0) == 404:
                    break  # the floor has nothing there, but answers
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(15)
        log.close()


def load(case: Case, seconds: float, home: Path) -> tuple[float, float, float]:
    """Put load on one case; return requests a second, p50 and p99 in milliseconds."""
    more = f'wrk.headers["Authorization"] = "{case.authorization}"' if case.authorization else ""
    script = home / "request.lua"
    script.write_text(LUA.format(method=case.method, body=case.body, more=more))
    url = f"http://127.0.0.1:{case.port}{case.path}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency"]
    out = run([*command, "-s", str(script), url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"{case.name}: not every answer was good\n{out}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    return rate, _milliseconds(out, "50%"), _milliseconds(out, "99%")


def _milliseconds(out: str, which: str) -> float:
    value, unit = re.search(rf"{which}\s+([\d.]+)(us|ms|s)", out).groups()
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def memory_of(master: Popen) -> int:
    """Return what a server and its workers hold, in KiB, of their own."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        parent = int(re.search(r"PPid:\s+(\d+)", text)[1])
        if master.pid in (parent, int(status.parent.name)):
            total += int(re.search(r"RssAnon:\s+(\d+)", text)[1])
    return total


def measure(count: int, turns: int, seconds: float, home: Path) -> dict[str, Figures]:
    """Fill a store, start both servers, and take turns."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
    ports = free_port(), free_port()
    environ |= {PREFIX + "VAR": str(home / "var"), PREFIX + "PORT": str(ports[0])}
    config: Config = settings.read_settings(environ)
    keys.ensure_signing_key(config.token_key_file, config.token_certificate_file)
    app = create_app(config)
    with app.app_context():
        flask_migrate.upgrade(str(ROOT / "migrations"))
        token, refresh = fill(app, count)
        db.session.remove()
        db.engine.dispose()
    floor_environ = environ | {PREFIX + "PORT": str(ports[1])}
    figures: dict[str, Figures] = {}
    with (
        served("endpoint", "wsgi:app", ports[0], environ, home) as server,
        served("floor", "tests.benchmarks.floor:app", ports[1], floor_environ, home),
    ):
        cases = list(cases_of(ports, token, refresh))
        for case in cases:
            load(case, 2, home)  # imports, pages of the store, the one password hash
        before = memory_of(server)
        for _ in range(turns):
            for case in cases:
                rate, p50, p99 = load(case, seconds, home)
                found = figures.setdefault(case.name, Figures())
                found.rate.append(rate)
                found.p50.append(p50)
                found.p99.append(p99)
        soak(cases[1], server, before, home)
    return figures


def soak(case: Case, server: Popen, before: int, home: Path, requests: int = 100_000) -> None:
    """Ask so often, and print what the server's memory did."""
    rate, _, _ = load(case, 2, home)
    load(case, requests / rate, home)
    after = memory_of(server)
    print(
        f"  memory: {before / 1024:.1f} MiB before, {after / 1024:.1f} MiB after {requests:,} more"
    )


def cases_of(ports: tuple[int, int], token: str, refresh: str) -> Iterator[Case]:
    """The floor and the four ways to ask."""
    endpoint, floor = ports
    user = f"user{ASKER}"
    query = "/jwt/auth?" + urlencode({"account": user, "scope": PULL_PUSH, "service": "registry"})
    public = f"repository:group{ASKER + 1}/shop/app:pull"
    anonymous = "/jwt/auth?" + urlencode({"scope": public, "service": "registry"})
    form = {
        "grant_type": "refresh_token",
        "service": "registry",
        "client_id": "docker",
        "scope": PULL_PUSH,
        "refresh_token": refresh,
    }

    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    yield Case(A, floor, query)
    yield Case(B, endpoint, query, authorization=basic(token))
    yield Case("c anonymous", endpoint, anonymous)
    yield Case("d refresh token", endpoint, "/jwt/auth", "POST", body=urlencode(form))
    yield Case(E, endpoint, query, authorization=basic(PASSWORD))


#: A row of the table by case: requests a second, p50 and p99 in milliseconds.
Rows = dict[str, tuple[float, float, float]]
A, B, E = "a bare view", "b access token", "e password"


def promises(small: Rows, large: Rows) -> list[tuple[str, bool]]:
    """Return what is promised of this endpoint, and whether the figures keep it."""
    ratio = {name: rows[B][0] / rows[A][0] for name, rows in (("small", small), ("large", large))}
    return [
        ("b at least 0.8 of a", ratio["large"] >= 0.8),
        ("b within 10 % at 100,000 of 10, as a part of a", ratio["large"] >= 0.9 * ratio["small"]),
        ("p99 of b under 25 ms", large[B][2] < 25),
        ("e within 2 times of b", large[E][0] * 2 >= large[B][0]),
    ]


def main() -> int:
    """Measure, print the table, and say which promises hold; 1 where one does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--large", type=int, default=100_000)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt install wrk")
    results: list[Rows] = []
    for count in (10, options.large):
        print(f"{count:,} users, projects and images", flush=True)
        with tempfile.TemporaryDirectory(prefix="rui-bench-") as home:
            figures = measure(count, options.turns, options.seconds, Path(home))
        rows = {name: found.row() for name, found in figures.items()}
        results.append(rows)
        floor = rows[A][0]
        print(f"  {'':16} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'of a':>6}")
        for name, (rate, p50, p99) in rows.items():
            print(f"  {name:16} {rate:10,.0f} {p50:8.2f} {p99:8.2f} {rate / floor:6.2f}")
    failed = 0
    for words, kept in promises(*results):
        failed += not kept
        print(f"{'holds' if kept else 'FAILS':6} {words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
