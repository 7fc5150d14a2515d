"""Which tags a pull event marks as used, and what it counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from registry_ui.audit import OWN_SUBJECT
from registry_ui.db.session import writing
from registry_ui.events import service as events
from registry_ui.jobs.pruning import prune
from registry_ui.manifests.parser_version import FACTS_VERSION
from registry_ui.models import ContainerImage, IndexChild, Manifest, RegistryEvent, Tag, utc_now
from registry_ui.retention.rules import Rules, removable
from registry_ui.tags.selection import dated_tags
from tests.support.html import Page
from tests.web.support import OCI_INDEX, digest, event_of

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
OLD = NOW - timedelta(days=60)


@pytest.fixture
def site(site):
    """acme/app with latest and 1.0 on one digest, 0.9 on another, and multi on an index of c."""
    site.project("acme/app")
    site.image("acme/app", "latest", "1.0", "0.9", "multi", digests="aabd")
    put_index(site, "d", "c")
    return site


def put_index(site, parent, *children):
    """Store an index by letter, as if it had been read from the registry."""
    with site.session(), writing() as session:
        row = {"media_type": OCI_INDEX, "kind": "index", "body": b"{}"}
        session.add(Manifest(digest=digest(parent), facts_version=FACTS_VERSION, **row))
        session.flush()
        for child in children:
            session.add(IndexChild(child=digest(child), parent=digest(parent)))


def used(site):
    """The tags that have a last pull."""
    return {tag.name for tag in site.rows(Tag) if tag.last_pulled_at is not None}


def counts(site):
    return site.row(ContainerImage).pull_count, {
        tag.name: tag.pull_count for tag in site.rows(Tag) if tag.pull_count
    }


@pytest.mark.parametrize(
    ("letter", "tags", "counted"),
    [
        ("a", {"latest", "1.0"}, (1, {})),
        ("b", {"0.9"}, (1, {"0.9": 1})),
        ("d", {"multi"}, (1, {"multi": 1})),
        ("c", {"multi"}, (0, {})),
        ("e", set(), (0, {})),
    ],
    ids=["two tags", "one tag", "an index", "a platform", "unknown"],
)
def test_a_get_by_digest_is_use_of_every_tag_that_needs_it(site, letter, tags, counted):
    site.deliver(event_of("pull", "acme/app", digest=digest(letter), at=NOW))
    assert used(site) == tags
    assert counts(site) == counted


def test_a_platform_of_an_index_in_an_index_is_use_of_the_outer_one(site):
    put_index(site, "f", "d")
    site.change(Tag, {"digest": digest("f")}, name="0.9")
    site.deliver(event_of("pull", "acme/app", digest=digest("c")))
    assert used(site) == {"multi", "0.9"}


def test_a_pull_elsewhere_is_no_use_here(site):
    site.project("acme/other")
    site.image("acme/other", "copy", digests="d")
    site.deliver(event_of("pull", "acme/other", digest=digest("c")))
    assert used(site) == {"copy"}


def test_a_get_by_tag_is_use_of_that_tag_alone(site):
    site.deliver(event_of("pull", "acme/app", "1.0"))
    assert used(site) == {"1.0"}
    assert counts(site) == (1, {"1.0": 1})


@pytest.mark.parametrize(
    ("tag", "letter", "tags"), [("1.0", "a", {"1.0"}), ("", "a", {"latest", "1.0"})]
)
def test_a_head_of_a_client_is_use_but_no_pull(site, tag, letter, tags):
    site.deliver(event_of("pull", "acme/app", tag, digest=digest(letter), method="HEAD"))
    assert used(site) == tags
    assert counts(site) == (0, {})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_our_own_requests_are_no_use(site, method):
    site.deliver(event_of("pull", "acme/app", "1.0", method=method, by=OWN_SUBJECT))
    site.deliver(event_of("pull", "acme/app", digest=digest("a"), method=method, by=OWN_SUBJECT))
    assert used(site) == set()


def test_a_policy_keeps_what_was_used_by_digest_or_from_a_cache(site):
    site.change(Tag, {"pushed_at": OLD})
    put_index(site, "b")  # of what was not read, it is not known whether it lists the others
    site.deliver(
        event_of("pull", "acme/app", digest=digest("a")),
        event_of("pull", "acme/app", digest=digest("c")),
    )
    rules = Rules(older_than_days=30, keep_pulled_days=7)
    with site.session() as session:
        image = session.scalars(select(ContainerImage)).one()
        assert removable(dated_tags(image), rules, utc_now()) == {"0.9"}
    site.deliver(event_of("pull", "acme/app", "0.9", digest=digest("b"), method="HEAD"))
    with site.session():
        assert removable(dated_tags(image), rules, utc_now()) == set()


# -- the cost ----------------------------------------------------------------------


def test_a_head_that_is_repeated_within_a_minute_is_not_stored_again(site):
    for seconds in (0, 10, 59):
        at = NOW + timedelta(seconds=seconds)
        site.deliver(event_of("pull", "acme/app", "1.0", method="HEAD", at=at))
    assert len(site.rows(RegistryEvent)) == 1
    site.deliver(event_of("pull", "acme/app", "0.9", method="HEAD", at=NOW))
    site.deliver(event_of("pull", "acme/app", "1.0", method="HEAD", at=NOW + MINUTE))
    assert len(site.rows(RegistryEvent)) == 3


def test_a_head_whose_delivery_failed_is_stored_when_it_comes_again(site, monkeypatch):
    event = event_of("pull", "acme/app", "1.0", method="HEAD")

    def breaks(*_args):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(events, "_store", breaks)
        assert site.deliver(event).status_code == 500
    site.deliver(event)
    assert used(site) == {"1.0"}


def test_a_last_pull_is_written_once_a_minute_and_never_set_back(site):
    tag = {"name": "latest"}
    site.deliver(event_of("pull", "acme/app", digest=digest("a"), at=NOW - 2 * MINUTE))
    for at in (NOW - 2 * MINUTE + MINUTE / 2, NOW - 9 * MINUTE):
        site.deliver(event_of("pull", "acme/app", digest=digest("a"), at=at))
        assert site.row(Tag, **tag).last_pulled_at == NOW - 2 * MINUTE
    site.deliver(event_of("pull", "acme/app", digest=digest("a"), at=NOW))
    assert site.row(Tag, **tag).last_pulled_at == NOW


def put_indexes(site, count):
    """Store so many tagged indexes that list the platform c."""
    with site.session(), writing() as session:
        image = session.scalars(select(ContainerImage)).one()
        for name in (f"sha256:{count:032x}{number:032x}" for number in range(count)):
            row = {"media_type": OCI_INDEX, "kind": "index", "body": b"{}"}
            session.add(Manifest(digest=name, facts_version=FACTS_VERSION, **row))
            session.flush()
            session.add(IndexChild(child=digest("c"), parent=name))
            session.add(Tag(image_id=image.id, name=f"n{count}-{name[-3:]}", digest=name))


def test_the_statements_for_a_pull_by_digest_do_not_grow_with_tags_and_indexes(site):
    noted = []
    for count in (0, 1, 50):  # the first delivery of all does more
        put_indexes(site, count)
        event = event_of("pull", "acme/app", digest=digest("c"), at=NOW + count * MINUTE)
        with site.statements() as statements:
            site.deliver(event)
        noted.append(len(statements))
    assert noted[1] == noted[2]
    assert len(used(site)) == 52


def test_pulls_are_forgotten_after_a_day_but_never_the_newest_event(site):
    site.deliver(event_of("pull", "acme/app", "1.0", method="HEAD"))
    site.deliver(event_of("pull", "acme/app", "0.9"))
    site.deliver(event_of("pull", "acme/app", digest=digest("c")))
    site.deliver(event_of("push", "acme/app", "0.8"))
    site.deliver(event_of("pull", "acme/app", "latest", method="HEAD"))
    site.change(RegistryEvent, {"received_at": NOW - timedelta(days=2)})
    with site.app.app_context():
        prune()
    kept = [(event.action, event.tag) for event in site.rows(RegistryEvent)]
    assert kept == [("push", "0.8"), ("pull", "latest")]
    assert site.row(Tag, name="0.9").pull_count == 1


# -- what is said of it --------------------------------------------------------------


def test_the_form_of_a_policy_says_what_counts_as_a_pull(site):
    site.users("owner")
    site.member("acme", "owner", "owner")
    page = Page(site.browser("owner").get("/acme/app/-/retention").text)
    assert "Also counts when a client only checks that its copy is current" in page.text
