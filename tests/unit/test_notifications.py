"""Notifications of both majors, read without trust (PROTOCOLS 3)."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.distribution.notifications import (
    MAX_EVENTS,
    MAX_REJECTED,
    Notification,
    oversized,
    parse_envelope,
    parse_event,
)
from registry_ui.names import Digest, RepositoryName, TagName

DIGEST = "sha256:" + "ab" * 32
OCI = "application/vnd.oci.image.manifest.v1+json"

# As 2.8.2 sends them: what does not apply is left out.
PUSH_2 = {
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2026-11-23T14:06:41.123456789-02:00",
    "action": "push",
    "target": {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "size": 708,
        "digest": DIGEST,
        "length": 708,
        "repository": "acme/app/web",
        "url": f"http://localhost:5050/v2/acme/app/web/manifests/{DIGEST}",
        "tag": "v1",
    },
    "request": {
        "id": "6df24a34-0959-4923-81ca-14f09767db19",
        "addr": "192.0.2.7:48222",
        "host": "localhost:5050",
        "method": "PUT",
        "useragent": "docker/28.2.2 go/go1.24 <script>",
    },
    "actor": {"name": "alice"},
    "source": {"addr": "xtal.local:5000", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"},
}
# As 3.1.1 sends them: what does not apply is there, and empty.
PUSH_3 = {
    "id": "0198b7a2-0000-7000-8000-000000000001",
    "timestamp": "2026-11-23T16:06:41Z",
    "action": "push",
    "target": {
        "mediaType": OCI,
        "digest": DIGEST,
        "size": 708,
        "length": 708,
        "repository": "acme/app/web",
        "url": "",
        "tag": "",
    },
    "request": {"id": "", "addr": "", "host": "", "method": "PUT", "useragent": ""},
    "actor": {},
    "source": {},
}
DELETE_BY_TAG_3 = {
    "id": "0198b7a2-0000-7000-8000-000000000002",
    "timestamp": "2026-11-23T16:06:41.5Z",
    "action": "delete",
    "target": {
        "mediaType": "",
        "digest": "",
        "size": 0,
        "length": 0,
        "repository": "a/b",
        "tag": "v1",
    },
    "request": {"method": "DELETE"},
    "actor": {"name": "bob"},
    "source": {},
}


def envelope(*events):
    """As the registry posts it: indented."""
    return json.dumps({"events": events}, indent=3).encode()


def only(body):
    (event,) = parse_envelope(body)
    return event


def test_a_push_as_2x_sends_it():
    event = only(envelope(PUSH_2))
    assert event.rejected is None
    assert event.event_id == "320678d8-ca14-430f-8bb6-4ca139cd83f7"
    assert event.occurred_at == datetime(2026, 11, 23, 16, 6, 41, 123456, tzinfo=UTC)
    assert (event.action, event.repository, event.tag) == ("push", "acme/app/web", "v1")
    assert (event.digest, event.actor, event.method) == (DIGEST, "alice", "PUT")
    assert event.is_manifest


@pytest.mark.parametrize("event", [PUSH_2, PUSH_3, DELETE_BY_TAG_3])
def test_what_is_kept_of_an_event_is_what_is_believed_and_reads_the_same_again(event):
    found = only(envelope(event))
    kept = json.loads(found.raw)
    assert parse_event(kept) == found
    assert set(kept) == {"id", "timestamp", "action", "target", "request", "actor"}
    assert set(kept["target"]) == {"mediaType", "repository", "tag", "digest"}
    assert (set(kept["request"]), set(kept["actor"])) == ({"method"}, {"name"})


def test_what_was_kept_whole_is_still_read():
    assert parse_event(json.loads(json.dumps(PUSH_2))).tag == "v1"


@pytest.mark.parametrize("usable", [True, False])
def test_a_megabyte_of_somebodys_text_is_not_kept(usable):
    event = json.loads(json.dumps(PUSH_2))
    event["request"]["useragent"] = event["extra"] = "<" * 1_000_000
    event["action"] = "push" if usable else "explode"
    found = only(envelope(event))
    assert (found.rejected is None) is usable
    assert len(found.raw) <= (2000 if usable else MAX_REJECTED)
    assert len(only(b"x" * 1_000_000).raw) <= MAX_REJECTED


def test_a_push_by_digest_as_3x_sends_it():
    event = only(envelope(PUSH_3))
    assert event.rejected is None
    assert (event.tag, event.actor) == ("", "")
    assert event.is_manifest


def test_a_deletion_by_tag_as_3x_sends_it():
    event = only(envelope(DELETE_BY_TAG_3))
    assert event.rejected is None
    assert (event.action, event.tag, event.digest) == ("delete", "v1", "")
    assert not event.is_manifest


def without_empty(value):
    if isinstance(value, dict):
        inner = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in ("", 0, {}, None)}
    return value


@pytest.mark.parametrize("event", [PUSH_3, DELETE_BY_TAG_3])
def test_empty_and_absent_are_the_same(event):
    full, short = only(envelope(event)), only(envelope(without_empty(event)))
    names = [name for name in Notification.__slots__ if name != "raw"]
    assert [getattr(full, n) for n in names] == [getattr(short, n) for n in names]


@pytest.mark.parametrize("key", ["request", "actor", "source"])
def test_whole_parts_may_be_missing(key):
    event = {name: value for name, value in PUSH_2.items() if name != key}
    assert only(envelope(event)).rejected is None


def test_every_event_of_an_envelope_is_read_in_its_order():
    found = parse_envelope(envelope(PUSH_2, 7, DELETE_BY_TAG_3))
    assert [event.rejected is None for event in found] == [True, False, True]
    assert [event.action for event in found] == ["push", "", "delete"]


def test_what_a_client_can_forge_is_not_even_kept_apart():
    believed = set(Notification.__slots__) - {"raw", "rejected"}
    assert believed == {
        "event_id",
        "occurred_at",
        "action",
        "repository",
        "tag",
        "digest",
        "media_type",
        "method",
        "actor",
    }


@pytest.mark.parametrize(
    ("media_type", "is_manifest"),
    [
        (OCI, True),
        ("application/vnd.oci.image.index.v1+json", True),
        ("application/vnd.docker.distribution.manifest.v2+json", True),
        ("application/vnd.docker.distribution.manifest.list.v2+json", True),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", True),
        ("application/vnd.docker.distribution.manifest.v1+json", True),
        ("application/octet-stream", False),
        ("", False),
        ("application/json", False),
        (OCI.upper(), False),
    ],
)
def test_a_manifest_is_told_from_a_blob_by_its_type(media_type, is_manifest):
    event = {**PUSH_2, "target": {**PUSH_2["target"], "mediaType": media_type}}
    assert only(envelope(event)).is_manifest is is_manifest


TIMES = {
    "2026-11-23T16:06:41Z": (16, 6, 41, 0),
    "2026-11-23T16:06:41.1Z": (16, 6, 41, 100000),
    "2026-11-23T16:06:41.123456789Z": (16, 6, 41, 123456),
    "2026-11-23T18:36:41+02:30": (16, 6, 41, 0),
    "2026-11-23T08:06:41.999999999-08:00": (16, 6, 41, 999999),
}


@pytest.mark.parametrize("text", TIMES)
def test_timestamps_have_any_fraction_and_any_zone(text):
    event = only(envelope({**PUSH_2, "timestamp": text}))
    assert event.occurred_at == datetime(2026, 11, 23, *TIMES[text], tzinfo=UTC)


NO_TIMES = ["", "now", "2026-11-23T16:06:41", "2026-11-23", "1700000000", "2026-13-01T00:00:00Z"]
NO_TIMES += [
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:00:00Z",
    "9999-01-01T00:00:00Z",
    "0001-06-01T00:00:00Z",
    "²Z",
    "2026-11-23T16:06:41Z ",
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_other_timestamps_are_none(text):
    event = only(envelope({**PUSH_2, "timestamp": text}))
    assert event.rejected == "no usable timestamp"
    assert event.occurred_at is None


NO_ENVELOPE = [b"", b"x", b"[]", b"7", b"null", b'""', b"{}", b'{"events": null}', b"\xff\xfe"]
NO_ENVELOPE += [b'{"events": []}', b'{"events": {}}', b'{"events": 7}', b'{"Events": [{}]}']
NO_ENVELOPE += [b"[" * 100_000, b'{"events":' * 50_000, b"9" * 100_000, b'{"events": [']


@pytest.mark.parametrize("body", NO_ENVELOPE, ids=lambda body: repr(body[:20]))
def test_a_body_that_holds_no_events_is_one_rejected_event(body):
    event = only(body)
    assert event.rejected
    assert event.raw == body[:MAX_REJECTED]
    assert only(body).event_id == event.event_id, "a repeat is a repeat"
    assert only(body + b" ").event_id != event.event_id


def test_too_many_events_at_once_are_one_rejected_event():
    assert len(parse_envelope(envelope(*[PUSH_2] * MAX_EVENTS))) == MAX_EVENTS
    assert only(envelope(*[PUSH_2] * (MAX_EVENTS + 1))).rejected


def changed(key, value, inner=None):
    event = json.loads(json.dumps(PUSH_2))
    (event[inner] if inner else event)[key] = value
    return event


UNUSABLE = [
    changed("action", "explode"),
    changed("action", ""),
    changed("action", "PUSH"),
    changed("action", ["push"]),
    changed("repository", "", "target"),
    changed("repository", "A/B", "target"),
    changed("repository", "a/../b", "target"),
    changed("repository", "a/b\n", "target"),
    changed("repository", "a\0b", "target"),
    changed("repository", "a" * 256, "target"),
    changed("repository", 7, "target"),
    changed("tag", ".x", "target"),
    changed("tag", "a b", "target"),
    changed("tag", "a\n", "target"),
    changed("tag", "a" * 129, "target"),
    changed("digest", "sha256:abc", "target"),
    changed("digest", DIGEST.upper(), "target"),
    changed("digest", DIGEST + "\n", "target"),
    changed("target", None),
    changed("target", []),
    changed("target", "a/b"),
    {},
    [],
    7,
    None,
    "push",
]


@pytest.mark.parametrize("event", UNUSABLE, ids=lambda event: json.dumps(event)[-60:])
def test_an_event_that_can_not_be_used_says_why_and_is_kept_whole(event):
    found = parse_event(event)
    assert found.rejected
    assert json.loads(found.raw) == event
    assert found.event_id


@pytest.mark.parametrize("event_id", ["", None, 7, [], "x" * 256, "a\0b"])
def test_an_event_without_a_usable_id_is_named_by_its_content(event_id):
    one, two = changed("id", event_id), changed("id", event_id)
    two["target"]["tag"] = "v2"
    found = [parse_event(event) for event in (one, two, one)]
    assert found[0].rejected is None
    assert found[0].event_id == found[2].event_id != found[1].event_id


@pytest.mark.parametrize("actor", [None, [], "alice", {"name": 7}, {"name": None}, {"name": "a\0"}])
def test_an_actor_that_is_none_is_nobody(actor):
    found = parse_event(changed("actor", actor))
    assert (found.actor, found.rejected) == ("", None)


def test_texts_that_no_database_can_hold_are_not_in_what_is_believed():
    for text in ("\ud800", "a\0b", "x" * 100_000):
        for key in ("repository", "tag", "digest", "mediaType"):
            found = parse_event(changed(key, text, "target"))
            for value in (found.repository, found.tag, found.digest, found.media_type):
                assert "\0" not in value
                assert value.encode() is not None
                assert len(value) <= 512
        found = parse_event(changed("name", text, "actor"))
        assert len(found.actor) <= 255
        assert found.actor.encode() is not None


def test_nesting_that_can_just_be_read_can_be_kept_too():
    """What is read must be written again: the two need not bear the same depth."""
    for depth in range(800, 1000):
        for opened, closed in ((b'{"a":', b"}"), (b"[", b"]")):
            nested = opened * depth + b"1" + closed * depth
            assert parse_envelope(b'{"events": [{"id": "x", "extra": ' + nested + b"}]}")


def test_what_is_over_the_limit_is_told_by_its_length():
    event = oversized(5_000_000)
    assert event.rejected == "the body is larger than allowed"
    assert b"5000000" in event.raw
    assert oversized(None).rejected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(["id", "timestamp", "action", "target", "request", "actor", "source"])
inner_keys = st.sampled_from(["repository", "tag", "digest", "mediaType", "name", "method"])
values = json_values | st.sampled_from(["push", "delete", DIGEST, "a/b", "2026-11-23T16:06:41Z"])
events = st.dictionaries(keys, values | st.dictionaries(inner_keys, values, max_size=4), max_size=7)


@given(st.binary() | st.lists(events | json_values, max_size=3).map(lambda e: envelope(*e)))
def test_reading_never_raises_and_what_is_not_rejected_is_in_the_grammars(body):
    found = parse_envelope(body)
    assert found
    for event in found:
        assert 0 < len(event.event_id) <= 255
        if event.rejected is None:
            RepositoryName(event.repository)
            assert event.tag == "" or TagName(event.tag)
            assert event.digest == "" or Digest(event.digest)
            assert event.occurred_at is not None
