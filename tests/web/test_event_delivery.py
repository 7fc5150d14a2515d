"""Events at the door: who may bring them, and what is kept (PROTOCOLS 3.1, 3.3)."""

from __future__ import annotations

import json
import threading

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.db.session import writing
from registry_ui.distribution.notifications import parse_envelope
from registry_ui.endpoints import registry_events
from registry_ui.endpoints.registry_events import MAX_BODY
from registry_ui.events import service as events
from registry_ui.models import RefusedDelivery, RegistryEvent, Tag
from tests.web.support import EVENTS, EVENTS_V1, EVENTS_V2, digest, event_of


def bring(site, headers, body=b'{"events": []}', **more):
    return site.app.test_client().post(EVENTS, data=body, headers=headers, **more)


def authorization(value):
    return {"Authorization": value}


@pytest.mark.parametrize(
    "form", ["Bearer {}", "bearer {}", "BEARER {}", "{}", " {} ", "Bearer  {}"]
)
def test_the_registry_token_is_taken_with_the_word_bearer_and_without(site, form):
    header = authorization(form.format(site.registry_token()))
    body = json.dumps({"events": [event_of("push", "a/b", "v1")]})
    assert bring(site, header, body).status_code == 202
    assert len(site.rows(RegistryEvent)) == 1


def wrong_headers(token):
    return {
        "nothing": {},
        "an empty header": authorization(""),
        "the word alone": authorization("Bearer"),
        "another token": authorization("Bearer rt_" + "x" * 43),
        "the token cut short": authorization(f"Bearer {token[:-1]}"),
        "the token and more": authorization(f"Bearer {token}x"),
        "the token in other letters": authorization(f"Bearer {token.swapcase()}"),
        "the token after another scheme": authorization(f"Basic {token}"),
        "the token in another header": {"X-Token": token},
        "letters beyond ASCII": authorization("Bearer t\xf6ken"),
        "its start": authorization("rt_"),
    }


@pytest.mark.parametrize("name", wrong_headers("x" * 46))
def test_without_the_right_token_nothing_is_kept_and_the_refusal_is_counted(site, name):
    header = wrong_headers(site.registry_token())[name]
    body = json.dumps({"events": [event_of("push", "a/b", "v1")]})
    answer = bring(site, header, body, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert answer.status_code == 401
    assert answer.json["error"]["message"]
    assert site.rows(RegistryEvent) == []
    refused = site.row(RefusedDelivery)
    assert (refused.address, refused.count) == ("192.0.2.7", 1)


def test_the_token_in_the_address_is_not_taken(site):
    answer = site.app.test_client().post(f"{EVENTS}?token={site.registry_token()}", data=b"{}")
    assert answer.status_code == 401


def test_refusals_are_counted_for_each_address_and_an_administrator_sees_them(site):
    site.user("admin", admin=True)
    for address in ("192.0.2.7", "192.0.2.8", "192.0.2.7"):
        bring(site, {}, environ_base={"REMOTE_ADDR": address})
    counts = {row.address: row.count for row in site.rows(RefusedDelivery)}
    assert counts == {"192.0.2.7": 2, "192.0.2.8": 1}
    page = site.browser("admin").get("/-/admin/registry-token").text
    assert "192.0.2.7" in page
    assert "192.0.2.8" in page


def test_the_senders_address_is_not_what_the_sender_says(site):
    headers = {"X-Forwarded-For": "203.0.113.1", "X-Real-IP": "203.0.113.1"}
    bring(site, headers, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert site.row(RefusedDelivery).address == "192.0.2.7"


def test_a_flood_from_many_addresses_does_not_fill_the_table(site, monkeypatch):
    monkeypatch.setattr(events, "MAX_REFUSED_ADDRESSES", 3)
    for number in range(6):
        bring(site, {}, environ_base={"REMOTE_ADDR": f"192.0.2.{number}"})
    bring(site, {}, environ_base={"REMOTE_ADDR": "192.0.2.0"})
    counts = {row.address: row.count for row in site.rows(RefusedDelivery)}
    assert len(counts) == 4
    assert counts["192.0.2.0"] == 2
    assert sum(counts.values()) == 7


@pytest.mark.parametrize(
    "content_type",
    [
        EVENTS_V1,
        EVENTS_V2,
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_any_content_type_is_read(site, content_type):
    answer = site.deliver(event_of("push", "a/b", "v1"), content_type=content_type)
    assert answer.status_code == 202
    assert site.row(RegistryEvent).repository == "a/b"


def test_of_an_event_what_is_believed_is_kept_and_nothing_else(site):
    event = event_of("push", "a/b", "v1", digest=digest("c"), by="alice", id="one")
    site.deliver(event)
    row = site.row(RegistryEvent)
    assert (row.event_id, row.action, row.repository) == ("one", "push", "a/b")
    assert (row.tag, row.digest, row.actor) == ("v1", digest("c"), "alice")
    assert b"useragent" not in row.raw
    assert b"elsewhere.example" not in row.raw
    assert row.occurred_at.isoformat() == event["timestamp"]


def test_an_event_that_comes_again_is_kept_once(site):
    event = event_of("push", "a/b", "v1", id="same")
    for _ in range(3):
        assert site.deliver(event).status_code == 202
    assert site.deliver(event, event_of("push", "a/c", id="other"), event).status_code == 202
    assert sorted(row.event_id for row in site.rows(RegistryEvent)) == ["other", "same"]


def test_several_events_of_one_delivery_are_all_kept(site):
    site.deliver(*(event_of("push", f"a/b{n}", "v1") for n in range(5)))
    assert [row.repository for row in site.rows(RegistryEvent)] == [f"a/b{n}" for n in range(5)]


def test_events_without_an_id_are_told_apart_by_their_content(site):
    one, two = event_of("push", "a/b", "v1"), event_of("push", "a/b", "v2")
    one["id"] = two["id"] = ""
    site.deliver(one, two, one)
    assert [row.tag for row in site.rows(RegistryEvent)] == ["v1", "v2"]


DEEP = 100_000
MALFORMED = {
    "nothing at all": b"",
    "no JSON": b"<html>",
    "not UTF-8": b"\xff\xfe{}",
    "half of it": b'{"events": [{"id": "x"',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "no events": b'{"other": 1}',
    "events that are no list": b'{"events": {"id": "x"}}',
    "an empty list of events": b'{"events": []}',
    "an event that is no object": b'{"events": ["push"]}',
    "an event that says nothing": b'{"events": [{}]}',
    "a target that is no object": b'{"events": [{"id": "x", "action": "push", "target": []}]}',
    "deep nesting": b'{"events": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep nesting in an event": b'{"events": [{"id": "x", "actor": '
    + b'{"a":' * DEEP
    + b"1"
    + b"}" * DEEP
    + b"}]}",
    "a number without end": b'{"events": [' + b"9" * 100_000 + b"]}",
    "a lone surrogate": b'{"events": [{"id": "\\ud800", "action": "push", "timestamp": ""}]}',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_authentic_but_can_not_be_used_is_kept_with_the_reason(site, name):
    answer = site.deliver(body=MALFORMED[name])
    assert answer.status_code == 202
    row = site.row(RegistryEvent)
    assert row.status == "rejected"
    assert row.reason


def changed(key, value, inner=None):
    event = event_of("push", "a/b", "v1", id="x")
    (event if inner is None else event[inner])[key] = value
    return event


UNUSABLE = {
    "an unknown action": changed("action", "explode"),
    "an action that is a number": changed("action", 7),
    "no timestamp": changed("timestamp", ""),
    "a timestamp without a zone": changed("timestamp", "2026-11-23T10:00:00"),
    "a timestamp in words": changed("timestamp", "yesterday"),
    "a timestamp beyond time": changed("timestamp", "0001-01-01T00:00:00+23:59"),
    "no repository": changed("repository", "", "target"),
    "a repository in capitals": changed("repository", "A/B", "target"),
    "a repository that climbs": changed("repository", "a/../b", "target"),
    "a repository with a NUL": changed("repository", "a/b\0", "target"),
    "a repository with a line end": changed("repository", "a/b\n", "target"),
    "a repository beyond 255": changed("repository", "a" * 256, "target"),
    "a repository that is a list": changed("repository", ["a/b"], "target"),
    "a tag that is none": changed("tag", "-v1", "target"),
    "a digest that is none": changed("digest", "sha256:abc", "target"),
    "a digest in capitals": changed("digest", "sha256:" + "A" * 64, "target"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_event_that_breaks_a_grammar_is_rejected_and_the_others_are_not(site, name):
    answer = site.deliver(UNUSABLE[name], event_of("push", "good/one", "v1", id="y"))
    assert answer.status_code == 202
    by_id = {row.event_id: row for row in site.rows(RegistryEvent)}
    assert by_id["x"].status == "rejected"
    assert by_id["x"].reason
    assert by_id["y"].status == "applied"


def test_a_rejected_event_is_seen_by_an_administrator_with_its_reason(site):
    site.user("admin", admin=True)
    site.deliver(UNUSABLE["an unknown action"])
    page = site.browser("admin").get("/-/admin/events?status=rejected").text
    assert "an action that we do not know" in page


@pytest.mark.parametrize("where", ["actor", "tag", "useragent", "id"])
def test_a_nul_anywhere_is_no_error(site, where):
    event = event_of("push", "a/b", "v1", by="alice", id="x")
    holder = {"actor": event["actor"], "tag": event["target"], "useragent": event["request"]}
    holder.get(where, event)["name" if where == "actor" else where] = "a\0b"
    assert site.deliver(event).status_code == 202
    row = site.row(RegistryEvent)
    assert "\0" not in row.actor + row.tag + row.event_id


def test_a_push_with_a_megabyte_of_user_agent_is_a_push(site):
    """Go allows headers of 1 MiB, and writes each of these characters as six bytes."""
    site.project("acme/app")
    event = event_of("push", "acme/app", "v1", by="mallory")
    event["request"]["useragent"] = "<" * (1024 * 1024)
    body = json.dumps({"events": [event]}).replace("<", "\\u003c").encode()
    assert len(body) > 6 * site.app.config["SETTINGS"].max_body
    assert site.deliver(body=body).status_code == 202
    assert site.row(Tag).pushed_by == "mallory"
    assert len(site.row(RegistryEvent).raw) < 1000


def test_a_body_over_the_limit_is_kept_as_rejected_and_the_registry_is_asked(site, monkeypatch):
    jobs = []
    monkeypatch.setattr(registry_events, "enqueue", lambda *job: jobs.append(job))
    body = json.dumps({"events": [{"id": "x" * MAX_BODY}]}).encode()
    assert site.deliver(body=body).status_code == 202
    row = site.row(RegistryEvent)
    assert (row.status, row.reason) == ("rejected", "the body is larger than allowed")
    assert len(row.raw) < 1000
    assert jobs == [("apply_events",), ("reconcile_all",)]


@pytest.mark.both_databases
def test_a_body_over_the_limit_from_anyone_else_is_refused_and_counted(site):
    body = b" " * (site.app.config["SETTINGS"].max_body + 1)
    assert bring(site, {}, body).status_code == 401
    assert site.rows(RegistryEvent) == []
    assert site.row(RefusedDelivery).count == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_refused_as_json(site, method):
    answer = site.app.test_client().open(EVENTS, method=method)
    assert answer.status_code == (404 if method == "GET" else 405)
    assert answer.json["error"]["message"]


@pytest.mark.parametrize("url", [EVENTS, EVENTS + "/"])
def test_the_registry_is_never_redirected(site, url):
    header = authorization(f"Bearer {site.registry_token()}")
    body = json.dumps({"events": [event_of("push", "a/b", "v1")]})
    answer = site.app.test_client().post(url, data=body, headers=header)
    assert answer.status_code in {202, 404}
    assert "Location" not in answer.headers


def test_the_registry_needs_no_csrf_token_and_gets_no_cookie(site):
    answer = site.deliver(event_of("push", "a/b", "v1"))
    assert answer.status_code == 202
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "look",
    [
        event_of("pull", "a/b", by="alice", type="application/octet-stream"),
        event_of("pull", "a/b", by="alice", type="application/octet-stream", method="HEAD"),
    ],
    ids=["a blob", "a look at a blob"],
)
def test_a_pull_of_which_nothing_can_be_learnt_is_not_even_kept(site, look):
    assert site.deliver(look).status_code == 202
    assert site.rows(RegistryEvent) == []
    site.deliver(event_of("pull", "a/b", "v1", by="alice"))
    assert site.row(RegistryEvent).action == "pull"


def test_a_body_is_read_before_anything_is_locked(site, monkeypatch):
    def read():
        with writing():  # nobody else has one open
            return parse_envelope(b"")

    monkeypatch.setattr(registry_events, "_read_events", read)
    assert site.deliver().status_code == 202


def test_our_own_looking_is_not_even_kept(site):
    site.deliver(event_of("pull", "a/b", "v1", by=OWN_SUBJECT))
    site.deliver(event_of("pull", "a/b", by=OWN_SUBJECT, method="HEAD"))
    assert site.rows(RegistryEvent) == []


def test_the_door_does_not_call_the_registry(site, monkeypatch):
    calls = []
    monkeypatch.setattr(registry_events, "enqueue", lambda *job: calls.append(job))
    monkeypatch.setattr(site.app.extensions["registry"], "_transport", None)
    assert site.deliver(event_of("push", "a/b", "v1")).status_code == 202
    assert ("apply_events",) in calls
    assert site.row(RegistryEvent).status == "pending"


def test_the_number_of_queries_does_not_grow_with_what_is_stored_already(site, monkeypatch):
    monkeypatch.setattr(registry_events, "enqueue", lambda *_job: None)
    counts = []
    for stored in (0, 50):
        site.deliver(*(event_of("push", f"a/b{stored}x{n}", "v1") for n in range(stored + 1)))
        token = site.registry_token()
        with site.statements() as statements:
            site.deliver(event_of("push", "a/b", "v1"), token=token)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 3


@pytest.mark.both_databases
def test_one_event_brought_by_many_at_once_is_kept_and_applied_once(site):
    site.project("acme/app")
    token = site.registry_token()
    event = event_of("push", "acme/app", "v1", id="same")
    statuses = []
    start = threading.Barrier(6)

    def one():
        start.wait(60)
        statuses.append(site.deliver(event, token=token).status_code)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [202] * 6
    assert site.row(RegistryEvent).status == "applied"
