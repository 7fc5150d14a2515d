"""A platform that is pulled before its index was read: the pull is not lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select

from registry_ui.db.session import writing
from registry_ui.demo.images import OCI, encode, index
from registry_ui.demo.images import Manifest as Made
from registry_ui.distribution.client import FetchedManifest
from registry_ui.distribution.manifest import read_manifest
from registry_ui.jobs.pruning import prune
from registry_ui.manifests import refresh
from registry_ui.manifests.blobs import MAX_ENTRIES
from registry_ui.manifests.parser_version import FACTS_VERSION
from registry_ui.manifests.summary_writer import FetchResult, store
from registry_ui.models import ContainerImage, IndexChild, Manifest, Tag, WaitingPull, utc_now
from registry_ui.retention.rules import Rules, removable
from registry_ui.tags.selection import dated_tags
from tests.support.live import tiny
from tests.web.support import OCI_INDEX, digest, event_of

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
EARLIER = NOW - 5 * MINUTE
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM])
OUTER = index([BOTH])


@pytest.fixture
def site(site):
    """acme/app with an index that nobody has read yet, and an image without platforms."""
    site.project("acme/app")
    site.image("acme/app", "multi", "single", digests="ab")
    site.change(Tag, {"digest": BOTH.digest, "pushed_at": NOW - timedelta(days=60)}, name="multi")
    site.change(Tag, {"digest": ARM.digest, "pushed_at": NOW - timedelta(days=60)}, name="single")
    return site


def read(site, *manifests):
    """Store the facts of manifests, as when a page or the worker has read them."""
    with site.session():
        store(
            FetchResult(
                FetchedManifest(one.digest, one.media_type, one.data),
                read_manifest(one.media_type, one.data),
                None,
            )
            for one in manifests
        )


def used(site):
    """The tags that have a last pull, and when."""
    return {tag.name: tag.last_pulled_at for tag in site.rows(Tag) if tag.last_pulled_at}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_pull_is_applied_when_the_index_is_read(site, method):
    site.deliver(event_of("pull", "acme/app", digest=AMD.digest, method=method, at=NOW))
    assert used(site) == {}
    read(site, BOTH)
    assert used(site) == {"multi": NOW}


def test_a_pull_is_applied_to_every_tag_whenever_its_index_is_read(site):
    """The platform has a tag of its own, as ``docker manifest create`` leaves it."""
    site.deliver(event_of("pull", "acme/app", digest=ARM.digest, at=NOW))
    assert used(site) == {"single": NOW}
    read(site, BOTH)
    assert used(site) == {"single": NOW, "multi": NOW}


@pytest.mark.parametrize("order", [(BOTH, OUTER), (OUTER, BOTH)], ids=["inner", "outer"])
def test_an_index_of_indexes_is_read_in_any_order(site, order):
    site.change(Tag, {"digest": OUTER.digest}, name="multi")
    site.deliver(event_of("pull", "acme/app", digest=AMD.digest, at=NOW))
    for manifest in order:
        read(site, manifest)
    assert used(site) == {"multi": NOW}


@pytest.mark.both_databases
def test_the_latest_pull_counts(site):
    for at in (NOW - 9 * MINUTE, NOW, NOW - 5 * MINUTE):
        site.deliver(event_of("pull", "acme/app", digest=AMD.digest, at=at))
    assert len(site.rows(WaitingPull)) == 1
    read(site, BOTH)
    assert used(site) == {"multi": NOW}


def test_a_pull_elsewhere_is_no_use_here(site):
    site.project("acme/other")
    site.image("acme/other", "copy", digests="c")
    site.deliver(event_of("pull", "acme/other", digest=AMD.digest, at=NOW))
    read(site, BOTH)
    assert used(site) == {}


def test_a_policy_keeps_a_tag_that_was_not_read_and_may_have_been_pulled(site):
    rules = Rules(older_than_days=30, keep_pulled_days=7)
    read(site, ARM)
    with site.session() as session:
        image = session.scalars(select(ContainerImage)).one()
        assert removable(dated_tags(image), rules, utc_now()) == {"multi", "single"}
    site.deliver(event_of("pull", "acme/app", digest=AMD.digest, at=NOW))
    with site.session():
        assert removable(dated_tags(image), rules, utc_now()) == {"single"}


@pytest.mark.both_databases
def test_a_policy_counts_a_pull_that_came_while_the_index_was_being_read(site):
    """The reader's transaction ended before the pull was stored, so it was not applied."""
    site.deliver(event_of("pull", "acme/app", digest=AMD.digest, at=NOW))
    with site.session(), writing() as session:
        row = {"media_type": OCI_INDEX, "kind": "index", "body": b"{}", "facts": {}}
        session.add(Manifest(digest=BOTH.digest, facts_version=FACTS_VERSION, **row))
        session.flush()
        session.add(IndexChild(child=AMD.digest, parent=BOTH.digest))
    assert used(site) == {}
    rules = Rules(older_than_days=30, keep_pulled_days=7)
    with site.session() as session:
        image = session.scalars(select(ContainerImage)).one()
        assert "multi" not in removable(dated_tags(image), rules, utc_now())
    read(site, ARM)
    with site.app.app_context():
        prune()
    assert used(site) == {"multi": NOW}


def test_a_pull_is_kept_until_every_tag_was_read(site):
    site.deliver(event_of("pull", "acme/app", digest=digest("f"), at=NOW))
    with site.app.app_context():
        prune()
    assert [row.digest for row in site.rows(WaitingPull)] == [digest("f")]
    read(site, BOTH, ARM)
    with site.app.app_context():
        prune()
    assert site.rows(WaitingPull) == []


def test_the_statements_for_a_pull_do_not_grow_with_what_waits(site):
    noted = []
    for number in range(4):
        event = event_of("pull", "acme/app", digest=digest(f"{number}"), at=NOW)
        with site.statements() as statements:
            site.deliver(event)
        noted.append(len(statements))
    assert len(set(noted[1:])) == 1


# -- indexes that list much, or that an earlier version has read -------------------------


def listing(count, **more):
    """Return an index of this many made-up digests."""
    entries = [{"digest": f"sha256:{n:064x}", "mediaType": OCI.manifest} for n in range(count)]
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": entries, **more}
    return Made(OCI.index, encode(body))


@pytest.mark.parametrize(
    "large",
    [
        listing(MAX_ENTRIES),
        listing(MAX_ENTRIES + 1),
        listing(20_000),
        listing(2, annotations={"a": 1, "A": [{}] * 60_000}),
        listing(2, Manifests=[]),
    ],
    ids=["as many as are kept", "one more", "ten times as many", "too many parts", "ambiguous"],
)
def test_a_pull_of_any_entry_is_use_of_the_tag_however_many_there_are(site, large):
    site.change(Tag, {"digest": large.digest}, name="multi")
    last = large.json["manifests"][-1]["digest"]
    site.deliver(event_of("pull", "acme/app", digest=last, at=EARLIER))
    read(site, large, ARM)
    rules = Rules(older_than_days=30, keep_pulled_days=7)
    with site.session() as session:
        image = session.scalars(select(ContainerImage)).one()
        assert removable(dated_tags(image), rules, utc_now()) == {"single"}
    with site.app.app_context():
        prune()
    assert used(site) == {"multi": EARLIER}
    site.deliver(event_of("pull", "acme/app", digest=last, at=NOW))
    assert used(site) == {"multi": NOW}
    assert len(site.rows(IndexChild)) <= MAX_ENTRIES


def test_a_pull_waits_until_an_index_is_read_again_that_an_earlier_version_has_read(site):
    """Earlier versions kept no more than the first 64 entries."""
    large = listing(70)
    site.change(Tag, {"digest": large.digest}, name="multi")
    read(site, large, ARM)
    site.change(Manifest, {"facts_version": FACTS_VERSION - 1})
    with site.session() as session, writing():
        session.execute(delete(IndexChild).where(IndexChild.child == f"sha256:{69:064x}"))
    site.deliver(event_of("pull", "acme/app", digest=f"sha256:{69:064x}", at=NOW))
    with site.app.app_context():
        prune()
    rules = Rules(older_than_days=30, keep_pulled_days=7)
    with site.session() as session:
        image = session.scalars(select(ContainerImage)).one()
        assert removable(dated_tags(image), rules, utc_now()) == {"single"}
    with site.app.app_context():
        refresh.refresh()
    assert used(site) == {"multi": NOW}
