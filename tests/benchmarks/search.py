"""How long a search takes with 100,000 tags in 20,000 images, on both databases.

``make bench-search``. For each query and each kind of visitor: the best and the median of
some runs in milliseconds, from the text to the rows, without the page around it.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import insert, text

from config import Config, normalized_database_url
from registry_ui import create_app
from registry_ui.access import ANONYMOUS, Principal
from registry_ui.db.session import db
from registry_ui.launch import keys
from registry_ui.models import ContainerImage, Membership, Namespace, Project, Tag, User, utc_now
from registry_ui.search.finder import Finder
from registry_ui.search.query import parse
from tests.support.storage import PAIRS, prepared

GROUPS, PROJECTS, IMAGES, TAGS = 100, 2_000, 20_000, 100_000
RUNS = 7
LIMIT = 10
QUERIES = (
    "group7",
    "service",
    "image77",
    "v1",
    "1.4",
    "rc3",
    "image",
    "main",
    "nothing-like-this",
    "image12345:v1",
    "group7/project7/image7:v1.0.0",
    "abc12345",
)


def fill() -> None:
    """Fill the database: a tenth of the projects is public, one is the member's."""
    session = db.session()
    session.add(User(id=1, username="member", password_hash="x"))
    session.flush()
    groups = [Namespace(id=n + 1, path=f"group{n}") for n in range(GROUPS)]
    session.add_all(groups)
    session.flush()
    many(Project, project_rows())
    session.add(Membership(user_id=1, place_id=1007, role=30))
    now = utc_now()
    many(ContainerImage, image_rows(now))
    many(Tag, tag_rows(now))
    session.commit()
    session.execute(text("ANALYZE"))
    session.commit()


def project_rows() -> Iterator[dict[str, object]]:
    """Yield the row of each project."""
    for n in range(PROJECTS):
        yield {
            "id": 1000 + n,
            "kind": "project",
            "path": f"group{n % GROUPS}/project{n}",
            "parent_id": n % GROUPS + 1,
            "visibility": "private" if n % 10 else "public",
            "description": "",
        }


def image_rows(now: datetime) -> Iterator[dict[str, object]]:
    """Yield the row of each image."""
    for n in range(IMAGES):
        yield {
            "id": n + 1,
            "project_id": 1000 + n % PROJECTS,
            "name": f"image{n}",
            "path": f"group{n % PROJECTS % GROUPS}/project{n % PROJECTS}/image{n}",
            "last_push_at": now,
        }


def tag_rows(now: datetime) -> Iterator[dict[str, object]]:
    """Yield the row of each tag."""
    for n in range(TAGS):
        yield {
            "image_id": n % IMAGES + 1,
            "name": f"v1.{n // IMAGES}.{n % 7}" if n % 3 else f"main-{n:07x}-rc{n % 9}",
            "digest": "sha256:" + hashlib.sha256(str(n).encode()).hexdigest(),
            "pushed_at": now,
        }


def many(model: type, rows: object) -> None:
    """Insert rows, some thousands at a time."""
    batch = []
    for row in rows:  # type: ignore[attr-defined]
        batch.append(row)
        if len(batch) == 5000:
            db.session.execute(insert(model), batch)
            batch.clear()
    if batch:
        db.session.execute(insert(model), batch)


def measure(principal: Principal, words: str) -> tuple[float, float, list[int]]:
    """Return the best and the median time, and how many of each kind were found."""
    times, found = [], None
    for _ in range(RUNS):
        started = time.perf_counter()
        query = parse(words, "registry.example")
        finder = Finder(db.session(), principal)
        finder.exact_match(query)
        found = finder.find(query, LIMIT)
        times.append((time.perf_counter() - started) * 1000)
        db.session.remove()
    assert found is not None
    return min(times), statistics.median(times), [len(hits) for hits in found.kinds.values()]


def main() -> None:
    """Measure on both databases."""
    people = {
        "administrator": Principal(9, "admin", is_admin=True),
        "member": Principal(1, "member"),
        "anyone": ANONYMOUS,
    }
    with tempfile.TemporaryDirectory() as home:
        var = Path(home)
        keys.ensure_secret_key(var / "secret_key")
        keys.ensure_signing_key(var / "token" / "key.pem", var / "token" / "certificate.pem")
        config = replace(Config.from_environ({"REGISTRY_UI_VAR": home}), testing=True)
        for name in PAIRS:
            for folder in (name, f"{name}-data"):
                (var / folder).mkdir()
            with prepared(name, var / name, config) as storage:
                url, redis = storage.new_database(var / f"{name}-data")
                made = replace(config, database_url=normalized_database_url(url), redis_url=redis)
                with create_app(made).app_context():
                    fill()
                    for words in QUERIES:
                        for who, principal in people.items():
                            best, median, counts = measure(principal, words)
                            print(f"{name:11}{words:32}{who:15}{best:7.1f}{median:7.1f}  {counts}")
                    db.session.remove()
                    db.engine.dispose()


if __name__ == "__main__":
    main()
