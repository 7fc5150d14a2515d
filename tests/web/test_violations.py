"""What got past the protection rules is seen in events and by comparing, shown and audited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.catalog.live_tags import LiveTags
from registry_ui.catalog.tag_list_update import TagListing, apply_tag_list
from registry_ui.models import AuditEntry, ContainerImage, ProtectionRule, ProtectionViolation, Tag
from tests.web.support import digest, event_of

NOW = datetime.now(UTC).replace(microsecond=0)
ACTION = "tag.protection_violated"


@pytest.fixture
def acme(site):
    site.users("dev", "boss")
    site.project("acme/app")
    site.member("acme/app", "dev", "developer")
    site.member("acme/app", "boss", "maintainer")
    site.rule("acme/app", "v*")
    site.rule("acme/app", "latest", "maintainer")
    site.change(ProtectionRule, {"created_at": NOW - timedelta(days=1)})
    return site


def push(site, tag, letter="a", by="dev", seconds=1, **more):
    at = NOW - timedelta(seconds=seconds)
    site.deliver(event_of("push", "acme/app", tag, digest=digest(letter), by=by, at=at, **more))


def found(site):
    return [(v.tag, v.change, v.actor) for v in site.rows(ProtectionViolation)]


def test_an_immutable_tag_that_was_overwritten_is_noted_with_who_did_it(acme):
    push(acme, "v1", "a")
    push(acme, "v1", "a", seconds=0)  # the same again
    push(acme, "main", "a")
    push(acme, "main", "b")
    assert found(acme) == []
    push(acme, "v1", "b", by="boss", seconds=0)
    assert found(acme) == [("v1", "overwritten", "boss")]
    entry = acme.rows(AuditEntry, action=ACTION)[-1]
    assert (entry.actor, entry.subject) == ("boss", "acme/app:v1")
    assert entry.detail == {"change": "overwritten"}
    assert acme.row(Tag, name="v1").digest == digest("b")


def test_a_protected_tag_that_was_pushed_without_the_role_is_noted(acme):
    push(acme, "latest", "a", by="boss")
    assert found(acme) == []
    push(acme, "latest", "b", by="dev")
    assert found(acme) == [("latest", "overwritten", "dev")]


def test_what_was_done_before_the_rule_is_no_violation(acme):
    acme.change(ProtectionRule, {"created_at": NOW + timedelta(minutes=1)})
    push(acme, "v1", "a")
    push(acme, "v1", "b")
    push(acme, "latest", "b")
    assert found(acme) == []


def test_our_own_placeholders_are_none(acme):
    push(acme, "v1", "a")
    push(acme, "v1", "b", by=OWN_SUBJECT)
    assert found(acme) == []


def compare(site, tags):
    """Do what a reconcile does once the registry has answered."""
    with site.session() as session:
        image = session.query(ContainerImage).one()
        later = datetime.now(UTC) + timedelta(seconds=1)
        apply_tag_list(
            session, image, TagListing(tags, LiveTags(digests=tags), later, request=None)
        )
        session.commit()


def test_an_immutable_tag_that_is_gone_or_another_is_noted_when_the_registry_is_asked(acme):
    for tag in ("v1", "v2", "v3", "main", "latest"):
        push(acme, tag, "a", by="boss")
    compare(acme, {"v1": digest("a"), "v2": digest("b"), "main": digest("b")})
    assert found(acme) == [("v2", "overwritten", ""), ("v3", "deleted", "")]
    entries = acme.rows(AuditEntry, action=ACTION)
    assert {(e.actor, e.subject) for e in entries} == {
        ("-/registry", "acme/app:v2"),
        ("-/registry", "acme/app:v3"),
    }
    compare(acme, {"v1": digest("a"), "v2": digest("b"), "main": digest("b")})
    assert len(found(acme)) == 2


def test_a_signature_that_was_added_where_the_rule_lets_it_be_is_no_violation(acme):
    acme.change(ProtectionRule, {"tag_pattern": "*", "open_to_signatures": True}, tag_pattern="v*")
    signature = digest("a").replace(":", "-") + ".sig"
    for tag in ("main", signature):
        push(acme, tag, "a", by="boss")
    compare(acme, {"main": digest("a"), signature: digest("b")})
    assert found(acme) == []
    compare(acme, {"main": digest("a")})
    assert found(acme) == [(signature, "deleted", "")]
