"""Input that no form of ours sends: never a breakdown, on neither database."""

from __future__ import annotations

import pytest

from registry_ui.accounts import authentication, throttle
from registry_ui.accounts import service as accounts
from tests.web.support import Site, event_of

TEXTS = ["a\0b", "'", "%_\\", "²", "-1", "9" * 400, "x" * 5000, "<script>alert(1)</script>"]
TEXTS += ["\u202e", "💥", "' OR 1=1 --", "{{7*7}}", "\r\nX:y"]

QUERIES = {
    "/": ("q", "page", "show"),
    "/acme": ("page",),
    "/acme/public": ("page", "q"),
    "/acme/public/-/images": ("q", "sort", "order", "page"),
    "/acme/public/-/images/web/api": ("q", "sort", "order", "page"),
    "/acme/public/-/tags/v1": ("platform",),
    "/-/sign-in": ("next",),
    "/-/new/project": ("parent",),
    "/-/new/namespace": ("parent",),
    "/-/admin/users": ("q", "page"),
    "/-/admin/events": ("status", "page"),
    "/-/admin/unassigned": ("page", "q"),
    "/-/admin/unassigned/adopt": ("below", "parts", "visibility", "owner"),
    "/-/admin/unassigned/copy/absent": ("project", "image"),
    "/-/admin/audit": ("page",),
    "/api/v4/projects": ("q", "page"),
    "/api/v4/projects/acme/public/-/tags": ("page",),
    "/jwt/auth": ("scope", "account", "client_id", "offline_token"),
}

FORMS = {
    "/-/sign-in": ("username", "password", "next"),
    "/-/profile/password": ("current_password", "new_password"),
    "/-/profile/tokens": ("name", "scopes", "expires_on"),
    "/-/new/namespace": ("parent", "name", "description"),
    "/-/new/project": ("parent", "name", "description", "visibility"),
    "/acme/public/-/settings": ("description", "visibility"),
    "/acme/public/-/members": ("username", "role"),
    "/acme/public/-/members/guest": ("role",),
    "/acme/public/-/delete": ("confirm",),
    "/acme/public/-/tags/v1/-/delete": ("digest",),
    "/acme/public/-/images/-/delete": ("confirm",),
    "/-/admin/users": ("username", "password", "is_admin"),
    "/-/admin/users/guest": ("action",),
    "/-/admin/unassigned/adopt": ("below", "parts", "visibility", "owner", "digest"),
    "/-/admin/unassigned/copy/absent": ("project", "image"),
}


def assert_no_breakdown(answer, told):
    assert answer.status_code < 500 or answer.status_code in {502, 503}, told
    assert "Traceback" not in answer.text, told
    assert "<script>alert(1)" not in answer.text, told
    assert ">49<" not in answer.text, told
    assert "X" not in answer.headers, told


@pytest.mark.parametrize("url", QUERIES)
def test_any_text_in_a_query_breaks_no_page(world, url):
    browser = world.browser("admin")
    for name in QUERIES[url]:
        for text in TEXTS:
            query = {"service": "registry", name: text}
            assert_no_breakdown(browser.get(url, query_string=query), (name, text))


@pytest.mark.parametrize("url", FORMS)
def test_any_text_in_a_form_breaks_no_page(world, url, monkeypatch):
    monkeypatch.setattr(throttle, "LIMIT", 10**9)
    monkeypatch.setattr(authentication, "verify_password", lambda *_, **__: False)
    monkeypatch.setattr(accounts, "hash_password", lambda _password: "hash")
    for name in FORMS[url]:
        browser = world.browser(None if url == "/-/sign-in" else "admin")
        for text in TEXTS:
            assert_no_breakdown(browser.post(url, {name: text}), (name, text))


@pytest.mark.parametrize("url", FORMS)
def test_a_form_with_nothing_in_it(world, url):
    browser = world.browser(None if url == "/-/sign-in" else "admin")
    assert 400 <= browser.post(url).status_code < 503 or url.endswith("/settings")


@pytest.mark.parametrize("url", FORMS)
def test_a_body_over_the_limit_is_refused_as_too_large(world, url):
    limit = world.app.config["SETTINGS"].max_body
    browser = world.browser("admin")
    answer = browser.post(url, {"description": "x" * limit})
    assert answer.status_code == 413
    assert "larger than allowed" in answer.text


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data"])
def test_a_body_that_is_no_form(world, kind):
    browser = world.browser("admin")
    for body in (b"", b"{", b"\xff\xfe", b"--x\r\n"):
        answer = browser.client.post("/-/new/namespace", data=body, content_type=kind)
        assert answer.status_code == 400, body


PLACES = ["a" * 255, "a" * 256, "a/" * 130 + "a", "a%2fb", "a%00b", "%2e%2e/x", "A", "a//b", "a b"]
PLACES += ["a%0a", "é", "%ff", "a/-/b", "-", "a:b", "a@b", "a?b", "_", "a..b"]


ADDRESSES = ["/{}", "/{}/-/settings", "/acme/public/-/images/{}", "/acme/public/-/tags/{}"]
ADDRESSES += ["/acme/public/-/members/{}", "/-/admin/users/{}", "/acme/public/-/removals/{}"]
ADDRESSES += ["/acme/public/-/copies/{}"]
ADDRESSES += ["/api/v4/projects/{}", "/api/v4/projects/acme/public/-/images/{}/-/tags"]


@pytest.mark.parametrize("pattern", [*ADDRESSES, "/static/{}"])
def test_any_text_in_an_address_breaks_no_page(world, pattern):
    browser = world.browser("admin")
    for text in [*PLACES, "9" * 30, "2147483648"]:
        url = pattern.format(text)
        answer = browser.get(url)
        assert answer.status_code in {302, 400, 404, 405}, url
        assert_no_breakdown(answer, url)
        assert browser.post(url).status_code in {302, 400, 404, 405, 422}, url


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "[::1]", "a b", "", "x" * 500])
def test_the_host_that_a_client_names_gets_into_no_page(world, host):
    for url in ("/", "/acme/public", "/-/sign-in", "/nothing"):
        answer = world.browser().get(url, headers={"Host": host})
        assert answer.status_code in {200, 400, 404}
        assert "evil.example" not in answer.text
    answer = world.browser().get("/-/profile", headers={"Host": host})
    assert "evil.example" not in answer.headers.get("Location", "")


def test_forwarded_headers_are_believed_only_where_a_proxy_is_trusted(make_app):
    forwarded = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    for count, address in ((0, "127.0.0.1"), (1, "203.0.113.7")):
        site = Site(make_app(trusted_proxies=count))
        client = site.app.test_client()
        client.post("/api/v4/registry_events", headers=forwarded)
        site.user("admin", admin=True)
        assert address in site.browser("admin").get("/-/admin/registry-token").text


def test_text_of_others_is_shown_as_text_everywhere(site):
    site.user("admin", admin=True)
    evil = "<img src=x onerror=alert(1)>"
    site.project("acme/app")
    browser = site.browser("admin")
    browser.post("/acme/app/-/settings", {"description": evil, "visibility": "public"})
    browser.post("/acme/-/settings", {"description": evil})
    browser.post("/-/profile/tokens", {"name": evil, "scopes": "read_registry"})
    site.deliver(event_of("push", "acme/app/web", "v1", by=evil))
    pages = ["/", "/acme", "/acme/app", "/acme/app/-/images/web", "/acme/app/-/tags/v1"]
    pages += ["/acme/app/-/settings", "/acme/app/-/images/web/-/tags/v1", "/-/profile"]
    pages += ["/-/admin/events", "/-/admin/audit", "/acme/app/-/images/web/-/rows"]
    shown = 0
    for url in pages:
        text = browser.get(url).text
        assert "<img src=x" not in text, url
        shown += "&lt;img src=x" in text
    assert shown >= 6
