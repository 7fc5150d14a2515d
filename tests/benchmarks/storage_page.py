"""Times the pages of storage and activity at 500 images of 100 tags of 10 layers.

``make bench-storage``: on SQLite and on PostgreSQL, in this process, the median of five.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert

from config import Config, normalized_database_url
from registry_ui import create_app
from registry_ui.db.session import db
from registry_ui.distribution.manifest import ManifestFacts
from registry_ui.launch import keys
from registry_ui.manifests.blobs import pack
from registry_ui.models import (
    ContainerImage,
    DailyCount,
    Manifest,
    ManifestContents,
    Project,
    Push,
    Tag,
)
from tests.support.storage import PAIRS, prepared
from tests.web.graph import sha256
from tests.web.support import Site

IMAGES, TAGS, LAYERS, PROJECTS = 500, 100, 10, 5
FACTS = ManifestFacts("image", "").to_json()
PAGES = ("/acme/-/storage", "/acme/p0/-/storage", "/acme/p0/-/storage?image=acme/p0/i0")
PAGES += ("/acme/-/activity", "/acme/p0/-/activity", "/acme/-/activity?kind=pull")
PAGES += ("/-/users/alice/activity",)


def main() -> None:
    """Fill a database of each kind, and print what the pages cost."""
    argparse.ArgumentParser(prog="make bench-storage", description=__doc__).parse_args()
    for pair in PAIRS:
        home = Path(tempfile.mkdtemp(prefix="registry_ui-"))
        keys.ensure_secret_key(home / "secret_key")
        keys.ensure_signing_key(home / "token" / "key.pem", home / "token" / "certificate.pem")
        settings = replace(Config.from_environ({"REGISTRY_UI_VAR": str(home)}), testing=True)
        with prepared(pair, home, settings) as storage:
            url, redis = storage.new_database(home)
            url = normalized_database_url(url)
            app = create_app(replace(settings, database_url=url, redis_url=redis))
            fill(app)
            for page in PAGES:
                print(f"{pair:11} {page:40} {timed(app, page) * 1000:7.0f} ms")
            with app.app_context():
                db.session.remove()
                db.engine.dispose()


def timed(app: Flask, page: str) -> float:
    """Return the median seconds of a page."""
    client, found = app.test_client(), []
    for _ in range(5):
        started = time.perf_counter()
        answer = client.get(page)
        found.append(time.perf_counter() - started)
        assert answer.status_code == 200, page
    return statistics.median(found)


def fill(app: Flask) -> None:
    """Make the images, a base for each project, and a year of pushes and pulls."""
    site = Site(app)
    for number in range(PROJECTS):
        site.project(f"acme/p{number}", "public")
    with site.session() as session:
        ids = [p.id for p in session.query(Project)]
        now = datetime.now(UTC)
        for number in range(IMAGES):
            project = number % PROJECTS
            image = ContainerImage(
                project_id=ids[project],
                name=f"i{number}",
                path=f"acme/p{project}/i{number}",
                reconciled_at=now,
            )
            session.add(image)
            session.flush()
            rows: dict[type[Any], list[dict[str, Any]]] = {
                Manifest: [],
                ManifestContents: [],
                Tag: [],
                Push: [],
                DailyCount: [],
            }
            for tag in range(TAGS):
                add_tag(rows, image, tag, now)
            for model, values in rows.items():
                session.execute(insert(model), values)
        session.commit()


def add_tag(rows: dict[type[Any], list[Any]], image: Any, tag: int, now: datetime) -> None:
    """Add a tag of ten layers: five of the project, two of ten tags, three of its own."""
    names = [f"base {image.project_id} {n}" for n in range(5)]
    names += [f"{image.id} {tag // 10} {n} some" for n in range(2)]
    names += [f"{image.id} {tag} {n}" for n in range(LAYERS - len(names))]
    digest = sha256(f"{image.id}:{tag}".encode())
    blobs = {bytes.fromhex(sha256(name.encode())[7:]): 1000 + len(name) for name in names}
    values = {"digest": digest, "media_type": "", "kind": "image", "body": b"", "facts": FACTS}
    rows[Manifest].append(values)
    rows[ManifestContents].append({"digest": digest, "blobs": pack(blobs), "children": ""})
    rows[Tag].append({"image_id": image.id, "name": f"t{tag}", "digest": digest})
    moment = {"project_id": image.project_id, "name": image.name}
    at = now - timedelta(days=3 * tag)
    pushed = {"tag": f"t{tag}", "digest": digest, "actor": "alice", "at": at}
    rows[Push].append(moment | pushed)
    rows[DailyCount].append(moment | {"day": at.date(), "pushes": 1, "pulls": 7})


if __name__ == "__main__":
    main()
