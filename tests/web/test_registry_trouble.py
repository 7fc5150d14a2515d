"""A registry that is down, slow, refuses or answers nonsense: pages stay, and so does the index."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.endpoints import registry_events
from registry_ui.jobs.heartbeat import record_heartbeat
from registry_ui.models import ContainerImage, Manifest, RegistryEvent, Removal, Tag
from tests.unit.hostile_registry import TIMEOUT, Answer, always
from tests.web.support import event_of

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}
MANIFEST = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}


def lies(asked):
    """Lists tags truly, and sends other content than the digest says."""
    if asked.path.endswith("/tags/list"):
        return Answer(200, {"tags": ["v1"] if "web" in asked.path else ["v1", "v2"]}, JSON)
    if asked.method == "GET" and "/manifests/" in asked.path:
        return Answer(200, b"{}", {**MANIFEST, "Docker-Content-Digest": "sha256:" + "0" * 64})
    return Answer(503)


TROUBLES = {
    "breaks": always(500, {"errors": [{"code": "UNKNOWN", "message": "Traceback words"}]}),
    "is behind a broken proxy": always(502, b"<html>Bad Gateway Traceback</html>", HTML),
    "is overloaded": always(429, b""),
    "refuses our token": always(401, {"errors": [{"code": "UNAUTHORIZED"}]}),
    "forbids": always(403, b"no"),
    "answers a page": always(200, b"<html>Sign in, Traceback</html>", HTML),
    "answers nothing": always(200, b""),
    "sends to a sign-in page": always(302, b"", {"Location": "/login"}),
    "answers another JSON": always(200, b"[]", JSON),
    "answers tags that are none": always(200, b'{"tags": "v1"}', JSON),
    "answers an object of something else": always(200, b'{"status": "ok"}', JSON),
    "answers half": always(200, b'{"tags": ["v1"', MANIFEST, length=5000),
    "lies about digests": lies,
    "is not there but something else is": always(404, b"<html>404 Not Found</html>", HTML),
}

PAGES = {
    "/": 200,
    "/acme/app": 200,
    "/acme/app/-/images": 200,
    "/acme/app/-/images/web": 200,
    "/acme/app/-/images/-/rows": 200,
    "/acme/app/-/tags/v1": 200,
    "/acme/app/-/images/web/-/tags/v1": 200,
    "/acme/app/-/tags/v1/-/delete": 502,
    "/acme/app/-/images/-/delete": 502,
    "/acme/app/-/delete": 502,
    "/-/admin": 200,
    "/-/admin/registry-token": 200,
}


@pytest.fixture
def troubled(served):
    """A site whose registry is in trouble, with a project that has two images."""
    return filled(served)


@pytest.fixture
def down(site):
    """The same, with nothing where the registry should be."""
    return filled(site)


def filled(site):
    site.user("admin", admin=True)
    site.project("acme/app")
    site.image("acme/app", "v1", "v2", digests="ab")
    site.image("acme/app/web", "v1")
    return site


def index(site):
    """What may not change because of trouble; when an image was last asked for may."""
    tags = [(tag.name, tag.digest, tag.pushed_at) for tag in site.rows(Tag)]
    images = [(image.path, image.tag_count) for image in site.rows(ContainerImage)]
    return tags, images, site.rows(Manifest), site.rows(Removal)


def assert_pages_keep_their_frame(site):
    browser = site.browser("admin")
    for url, status in PAGES.items():
        answer = browser.get(url)
        assert answer.status_code in {200, status}, (url, answer.status_code)
        assert "Traceback" not in answer.text, url
        if not url.endswith("/rows"):
            assert "<main" in answer.text, url
            assert "Sign out" in answer.text, url


@pytest.mark.parametrize("trouble", TROUBLES)
def test_pages_keep_their_frame_and_the_index_stays(troubled, registry, trouble):
    registry.answer = TROUBLES[trouble]
    before = index(troubled)
    assert_pages_keep_their_frame(troubled)
    assert index(troubled) == before


def test_pages_keep_their_frame_with_no_registry_at_all(down):
    before = index(down)
    assert_pages_keep_their_frame(down)
    assert index(down) == before


@pytest.mark.both_databases
@pytest.mark.parametrize("trouble", [*TROUBLES, None])
def test_no_deed_is_done_half_and_none_is_said_to_be_done(troubled, registry, trouble):
    """Deletions and comparisons that the registry does not answer change nothing."""
    if trouble is not None:
        registry.answer = TROUBLES[trouble]
    else:
        registry.answer = always(503)
    before = index(troubled)
    browser = troubled.browser("admin")
    digest = troubled.rows(Tag)[0].digest
    for url, data in (
        ("/acme/app/-/images/-/reconcile", {}),
        ("/acme/app/-/tags/v1/-/delete", {"digest": digest}),
        ("/acme/app/-/images/-/delete", {"confirm": "acme/app"}),
        ("/acme/app/-/delete", {"confirm": "acme/app"}),
        ("/-/admin/reconcile", {}),
    ):
        answer = browser.post(url, data)
        assert answer.status_code in {302, 502}, url
        assert "Traceback" not in answer.text
    assert index(troubled)[:2] == before[:2]
    assert [row.state for row in troubled.rows(Removal) if row.state == "done"] == []


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_wrong_is_said_on_the_page(troubled, registry, trouble):
    registry.answer = TROUBLES[trouble]
    browser = troubled.browser("admin")
    for url in ("/acme/app/-/images", "/acme/app/-/images/-/rows"):
        text = browser.get(url).text
        assert 'class="notice' in text or 'class="sub warn' in text, url
        assert "v1" in text, "what the index knows is shown all the same"


def test_a_registry_that_does_not_answer_holds_no_page_for_long(troubled, registry, monkeypatch):
    """It never answers: a page that waited for it would never come."""

    def answer(_asked):
        registry.released.wait()
        return Answer(503)

    hasty = replace(troubled.app.config["SETTINGS"], registry_timeout=TIMEOUT)
    monkeypatch.setitem(troubled.app.config, "SETTINGS", hasty)
    monkeypatch.setattr(troubled.app.extensions["registry"]._transport, "_timeout", TIMEOUT)
    registry.answer = answer
    browser = troubled.browser("admin")
    for url in ("/acme/app", "/acme/app/-/images", "/acme/app/-/tags/v1", "/readyz"):
        assert browser.get(url).status_code in {200, 503}
    registry.released.set()


NOT_READY = ["breaks", "is behind a broken proxy", "refuses our token", "answers a page"]
NOT_READY += ["sends to a sign-in page", "is not there but something else is"]


@pytest.mark.parametrize("trouble", [*NOT_READY, None])
def test_readiness_tells_of_the_registry_and_liveness_does_not(troubled, registry, trouble):
    registry.answer = TROUBLES[trouble] if trouble else always(200, {}, V2)
    client = troubled.app.test_client()
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503, "the worker does not run in tests"
    found = answer.json
    assert (found["database"], found["worker"]) == (True, False)
    assert found["registry"] is (trouble is None)


@pytest.mark.both_databases
@pytest.mark.parametrize(("seconds", "ready"), [(10, True), (90, False)])
def test_readiness_tells_of_events_that_wait_for_a_worker_that_beats(
    troubled, registry, monkeypatch, seconds, ready
):
    registry.answer = always(200, {}, V2)
    monkeypatch.setattr(registry_events, "enqueue", lambda *_job: None)
    troubled.deliver(event_of("push", "acme/app/new", "v9"))
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    troubled.change(RegistryEvent, {"received_at": since})
    record_heartbeat(troubled.app)
    answer = troubled.app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["worker"]) == (200 if ready else 503, ready)
    page = troubled.browser("admin").get("/-/admin").text
    assert ("an event has waited for" in page) is not ready
    monkeypatch.undo()
    troubled.deliver()
    assert troubled.app.test_client().get("/readyz").json["worker"] is True


V2 = {"Docker-Distribution-Api-Version": "registry/2.0"}


def test_an_event_of_a_push_is_taken_while_the_registry_is_in_trouble(troubled, registry):
    registry.answer = TROUBLES["answers a page"]
    assert troubled.deliver(event_of("push", "acme/app/new", "v9")).status_code == 202
    image = troubled.row(ContainerImage, path="acme/app/new")
    assert (image.tag_count, image.last_push_at is not None) == (1, True)
    assert troubled.rows(Manifest) == []


@pytest.mark.both_databases
def test_the_api_needs_no_registry(down):
    client = down.app.test_client()
    secret = down.access_token("admin", "read_registry")
    headers = {"Authorization": f"Bearer {secret}"}
    answer = client.get("/api/v4/projects/acme/app/-/tags", headers=headers)
    assert [tag["name"] for tag in answer.json["tags"]] == ["v1", "v2"]
    answer = client.get("/api/v4/projects/acme/app/-/images", headers=headers)
    assert [image["repository"] for image in answer.json["images"]] == ["acme/app", "acme/app/web"]
