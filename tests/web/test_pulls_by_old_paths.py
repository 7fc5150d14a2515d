"""Pulls by an old path: they count for what was pulled, not for what the new path has now."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_ui.db.session import writing
from registry_ui.models import ContainerImage, IndexChild, Manifest, RegistryEvent, Tag
from tests.web.support import OCI_INDEX, digest, event_of

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def site(site):
    """acme/new, which was acme/old: 1.0 and latest on a, 2.0 on b, multi on an index of c."""
    site.project("acme/new")
    site.image("acme/new/web", "1.0", "latest", "2.0", "multi", digests="aabd")
    site.old_path("acme/old", "acme/new", site.move("acme/new", "grace", source="acme/old"))
    with site.session(), writing() as session:
        row = {"media_type": OCI_INDEX, "kind": "index", "body": b"{}", "facts": {}}
        session.add(Manifest(digest=digest("d"), **row))
        session.flush()
        session.add(IndexChild(child=digest("c"), parent=digest("d")))
    return site


def used(site):
    return {tag.name for tag in site.rows(Tag) if tag.last_pulled_at is not None}


def pull(site, tag="", **more):
    site.deliver(event_of("pull", "acme/old/web", tag, at=NOW, **more))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("letter", "tags"), [("a", {"1.0", "latest"}), ("b", {"2.0"}), ("c", {"multi"})]
)
def test_a_pull_by_digest_is_use_of_the_tags_that_consist_of_it(site, letter, tags, method):
    pull(site, digest=digest(letter), method=method)
    assert used(site) == tags


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_pull_by_tag_is_use_of_the_same_image_whatever_its_tags_are(site, method):
    pull(site, "2.0", digest=digest("b"), method=method)
    assert used(site) == {"2.0"}
    pull(site, "went-since", digest=digest("d"), method=method)
    assert used(site) == {"2.0", "multi"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_tag_that_stands_for_something_else_by_now_was_not_pulled(site, method):
    """1.0 was pushed again under the new path; the old path still serves the image before."""
    pull(site, "1.0", digest=digest("e"), method=method)
    assert used(site) == set()
    assert site.row(ContainerImage).pull_count == 0
    assert site.row(Tag, name="1.0").pull_count == 0


def test_an_equal_tag_is_counted(site):
    pull(site, "2.0", digest=digest("b"))
    assert site.row(ContainerImage).pull_count == 1
    assert site.row(Tag, name="2.0").pull_count == 1


def test_the_reason_is_kept_with_the_event(site):
    pull(site, "1.0", digest=digest("e"))
    (event,) = site.rows(RegistryEvent)
    assert event.status == "dropped"
    assert event.reason == "by an old path, where its tag stands for something else"
