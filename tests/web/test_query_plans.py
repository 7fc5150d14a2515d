"""Pages find what they show by indexes: no page reads the tables that grow with the registry."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from registry_ui.catalog.earlier_pushes import LastPush, carry_over
from registry_ui.db.session import db, writing
from registry_ui.distribution.manifest import ManifestFacts
from registry_ui.models import (
    ContainerImage,
    Manifest,
    ManifestContents,
    Namespace,
    Project,
    RegistryEvent,
    RepositoryManifest,
    Tag,
    utc_now,
)
from tests.web.conftest import site_on

pytestmark = pytest.mark.both_databases

#: How many manifests there are: PostgreSQL prefers to read a small table whole.
MANIFESTS = 30_000
#: How many tags an image has, and how many images a project.
TAGS, IMAGES = 10, 10
#: Tables that have a row for each manifest.
LARGE = ("manifests", "manifest_contents", "held_manifests")

PAGES = [
    "/",
    "/acme",
    "/acme/app",
    "/acme/app/-/images/i1",
    "/acme/app/-/images/i1/-/tags/t1",
    "/acme/app/-/storage",
    "/acme/-/storage",
    "/-/search?q=i1",
]


def numbered(n: int) -> str:
    return f"sha256:{n:064x}"


@pytest.fixture(scope="module")
def site(storage, tmp_path_factory, base_config):
    """A site with many projects of the same size."""
    with site_on(storage, tmp_path_factory, base_config, "plans") as made:
        made.user("admin", admin=True)
        made.project("acme/app")
        made.namespace("other")
        with made.session() as session:
            fill(session)
            session.commit()
            session.execute(text("ANALYZE"))
            session.commit()
        yield made


def fill(session):
    """Make the manifests, and a tag for each, in images of many projects."""
    now, facts = utc_now(), ManifestFacts("image", "").to_json()
    digests = [numbered(n) for n in range(MANIFESTS)]
    values = {"media_type": "", "kind": "image", "body": b"", "facts": facts, "size": 1}
    session.execute(insert(Manifest), [{"digest": digest, **values} for digest in digests])
    contents = [{"digest": digest, "blobs": b"", "children": ""} for digest in digests]
    session.execute(insert(ManifestContents), contents)
    owners = [image.id for image in add_images(session, now) for _ in range(TAGS)]
    held = [
        {"image_id": owner, "digest": digest} for owner, digest in zip(owners, digests, strict=True)
    ]
    session.execute(insert(RepositoryManifest), held)
    tags = [
        {"name": f"t{n % TAGS}", "pushed_at": now, "seen_at": now, **row}
        for n, row in enumerate(held)
    ]
    session.execute(insert(Tag), tags)


def add_images(session, now):
    """Make the images of acme/app, and of as many projects beside it as the manifests need."""
    app = session.query(Project).filter_by(path="acme/app").one()
    other = session.query(Namespace).filter_by(path="other").one()
    count = MANIFESTS // TAGS // IMAGES
    rest = [
        Project(path=f"other/p{n}", parent_id=other.id, visibility="private")
        for n in range(1, count)
    ]
    session.add_all(rest)
    session.flush()
    values = {"last_push_at": now, "tag_count": TAGS}
    images = [
        ContainerImage(project_id=project.id, name=f"i{n}", path=f"{project.path}/i{n}", **values)
        for project in (app, *rest)
        for n in range(IMAGES)
    ]
    session.add_all(images)
    session.flush()
    return images


@contextmanager
def explained(site):
    """Collect the plan of every query meanwhile, beside the query."""
    with site.app.app_context():
        engine = db.engine
    explain = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    plans: list[tuple[str, str]] = []

    def note(conn: Any, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> None:
        if sql.startswith(("SELECT", "WITH")):
            with closing(conn.connection.cursor()) as own:
                own.execute(explain + sql, parameters)
                plans.append(("\n".join(str(row[-1]) for row in own.fetchall()), sql))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", note)


def tables_read_whole(plan: str) -> set[str]:
    """Return the tables that a plan of either database reads from beginning to end.

    SQLite calls a scan of a table without an index SCAN, one with an index SCAN … USING INDEX.
    """
    return set(re.findall(r"Seq Scan on (\w+)", plan)) | set(re.findall(r"\bSCAN (\w+)", plan))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_no_table_of_manifests_whole(site, page):
    browser = site.browser("admin")
    with explained(site) as plans:
        answer = browser.get(page)
    assert answer.status_code == 200, answer.text
    whole = [(plan, sql) for plan, sql in plans if tables_read_whole(plan).intersection(LARGE)]
    assert whole == []


def test_the_earlier_pushes_of_a_repository_are_found_by_an_index(site):
    """Most events are about blobs, and stay for ninety days."""
    row = {"action": "push", "raw": b"{}", "status": "dropped", "reason": "about a blob"}
    with site.session() as session:
        events = [{"event_id": f"e{n}", "repository": "acme/app/i1", **row} for n in range(30_000)]
        session.execute(insert(RegistryEvent), events)
        session.execute(text("ANALYZE"))
        session.commit()
    with site.app.app_context(), explained(site) as plans, writing() as session:
        image = session.query(ContainerImage).filter_by(path="acme/app/i1").one()
        carry_over(session, image, LastPush())
    asked = [plan for plan, sql in plans if "FROM registry_events" in sql]
    assert len(asked) == 1
    assert tables_read_whole(asked[0]) == set()
    assert "ix_registry_events_unassigned" in asked[0]
