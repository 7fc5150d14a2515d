"""What holds at every address: found by walking the routes, so that a new one is covered too."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from registry_ui.models import AuditEntry, GarbageCollection, UnassignedRepository
from tests.support.addresses import ADOPTION, VALUES, routes
from tests.web.browser import Browser
from tests.web.support import PASSWORD, basic

REMOVAL_API = {"api.plan_removal", "api.confirm_removal", "api.cancel_removal"}
REMOVAL_API |= {"api.plan_namespace_removal"}
RETENTION_API = {f"api.{deed}_policy" for deed in ("create", "try", "switch", "run")}
COPY_API = {"api.plan_copy", "api.confirm_copy", "api.cancel_copy"}
MOVE_API = {"api.plan_move", "api.go_on", "api.cancel_move", "api.retire_move", "api.keep_move"}
COLLECTION_API = {"api.begin_collection", "api.cancel_collection"}
#: Not there for anyone but administrators: tests/web/test_garbage_collection.py.
FOR_ADMINISTRATORS = {"api.list_collections", "api.show_collection"}
#: Posted to without a form of ours: they read credentials of the request alone, and no cookie.
WITHOUT_FORM = {"events.registry_events", "gate.manifest", "registry_address.registry_api"}
WITHOUT_FORM |= {*REMOVAL_API, *RETENTION_API, *COPY_API, *COLLECTION_API, *MOVE_API}
#: What anybody may post to.
FOR_VISITORS = {"accounts.sign_in", "accounts.sign_out", *WITHOUT_FORM}
#: What anybody may look at, whatever is in the store.
OPEN = {
    "static",
    "activity.of_person",  # of whom there is nothing to see, nothing is told
    "api.catalog",
    "api.search",
    "compare.show",
    "search.show",
    "health.healthz",
    "registry_address.registry_api",
    "health.readyz",
    "help.roles",
    "token_auth.token",
    "token_auth.jwks",
    "gate.manifest",
    "api.projects",
    "projects.home",
    "accounts.sign_in",
}


@pytest.fixture(scope="module")
def filled(world):
    world.removal("veiled/private")
    world.copying("veiled/private", "veiled/private")
    world.move("veiled/private")
    world.access_token("admin", "read_registry")
    with world.session() as session:
        session.add(GarbageCollection(dry_run=True, requested_by="admin", state="done"))
        session.add(UnassignedRepository(path=VALUES["name"]))
        told = {"repositories": 1, "projects": 1, "visibility": "private", "owner": ""}
        entry = {"actor": "admin", "action": "registry.adopt", "subject": "*", "detail": told}
        session.add(AuditEntry(id=ADOPTION, **entry))
        session.commit()
    return world


def test_every_form_refuses_to_be_sent_without_its_csrf_token(filled):
    filled.registry_token()
    before = filled.dump()
    other = filled.browser("guest")
    for endpoint, url in routes(filled, "POST"):
        if endpoint in WITHOUT_FORM:
            continue
        for token in (None, "", "0" * 40, "IjAwIg.aaaa.bbbb", other.csrf() + "x"):
            browser = filled.browser("admin")
            browser.csrf()
            data = {"confirm": VALUES["path"]} | ({} if token is None else {"csrf_token": token})
            answer = browser.client.post(url, data=data)
            assert answer.status_code == 400, (url, token)
            assert "did not come from this site" in answer.text, url
    assert filled.dump() == before


def test_the_csrf_token_of_another_browser_is_not_taken(filled):
    mine, other = filled.browser("admin"), filled.browser("admin")
    with other.client.session_transaction() as session:
        session["csrf_token"] = "1" * 40
    mine.csrf()
    answer = mine.client.post("/-/profile/tokens", data={"csrf_token": other.csrf()})
    assert answer.status_code == 400


def test_the_csrf_token_in_a_page_is_taken(filled):
    """The tests make tokens themselves; this one uses what a page holds."""
    browser = Browser(filled.app)
    text = browser.get("/-/sign-in").text
    (token,) = re.findall(r'name="csrf_token"[^>]* value="([^"]+)"', text)
    data = {"csrf_token": token, "username": "guest", "password": PASSWORD}
    assert browser.client.post("/-/sign-in", data=data).status_code == 302
    assert browser.is_signed_in()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_to_the_api_a_browser_that_has_signed_in_is_nobody(filled, method):
    """So no other site can make it do something: a cookie opens nothing there."""
    before = filled.dump()
    browser, seen = filled.browser("admin"), 0
    for endpoint, url in routes(filled, method):
        if endpoint.startswith("api."):
            answer = browser.client.open(url, method=method, json={"project": True, "on": True})
            assert answer.status_code == 404, url
            seen += 1
    assert seen
    assert filled.dump() == before


def test_every_deed_needs_somebody_who_signed_in(filled):
    before = filled.dump()
    for endpoint, url in routes(filled, "POST"):
        if endpoint in FOR_VISITORS:
            continue
        answer = filled.browser().post(url, {"confirm": VALUES["path"]})
        assert answer.status_code == 302, url
        assert answer.headers["Location"].startswith("/-/sign-in?next="), url
    assert filled.dump() == before


@pytest.mark.parametrize("who", [None, "stranger", "owner"])
def test_every_page_about_a_place_hides_it_from_those_who_may_not_see_it(filled, who):
    for endpoint, url in routes(filled, "GET"):
        if VALUES["path"] not in url or endpoint in OPEN:
            continue
        answer = filled.browser(who).get(url)
        away = answer.headers.get("Location", "")
        if endpoint == "projects.show_slash":
            assert away == url.rstrip("/")
            continue
        hidden = answer.status_code == 404 or away.startswith("/-/sign-in?")
        assert hidden, (url, answer.status_code)


@pytest.mark.parametrize("who", [None, "stranger"])
def test_every_other_page_is_known_to_be_open_or_sends_to_the_sign_in_page(filled, who):
    for endpoint, url in routes(filled, "GET"):
        if VALUES["path"] in url or endpoint in OPEN | FOR_ADMINISTRATORS or is_admin_route(url):
            continue
        answer = filled.browser(who).get(url)
        if who is None:
            assert answer.headers.get("Location", "").startswith("/-/sign-in?next="), url
        else:
            back = answer.headers.get("Location") == "/-/profile"
            assert back or answer.status_code in {200, 405}, url


def is_admin_route(url):
    return url == "/-/admin" or url.startswith("/-/admin/")


@pytest.mark.parametrize("who", ["stranger", "owner"])
def test_to_everyone_else_the_admin_area_does_not_exist(filled, who):
    before = filled.dump()
    browser = filled.browser(who)
    nothing = told(browser.get("/-/nothing/at/all"))
    every = [url for _, url in routes(filled, "GET") if is_admin_route(url)]
    assert len(every) >= 6
    for url in every:
        assert told(browser.get(url)) == nothing, url
    for url in (url for _, url in routes(filled, "POST") if is_admin_route(url)):
        data = {"action": "promote", "username": "evil", "password": PASSWORD, "is_admin": "1"}
        assert told(browser.post(url, data))[0] == 404, url
    assert filled.dump() == before


def told(answer):
    text = re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", answer.text)
    return answer.status_code, text


def test_a_visitor_of_the_admin_area_is_asked_to_sign_in_first(filled):
    for _, url in routes(filled, "GET"):
        if is_admin_route(url):
            assert "/-/sign-in?next=" in filled.browser().get(url).headers["Location"], url


def test_every_page_of_the_admin_area_opens_for_an_administrator(filled):
    for _, url in routes(filled, "GET"):
        if is_admin_route(url):
            answer = filled.browser("admin").get(url)
            back = answer.headers.get("Location") == "/-/admin/registry-token"
            assert back or answer.status_code == 200, url


# -- headers ---------------------------------------------------------------------------------


def assert_hardened(answer, url):
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'"):
        assert rule in policy, url
    for rule in ("form-action 'self'", "frame-ancestors 'none'"):
        assert rule in policy, url
    assert "unsafe" not in policy, url
    assert answer.headers["X-Content-Type-Options"] == "nosniff", url
    assert answer.headers["Referrer-Policy"] in {"same-origin", "no-referrer"}, url
    if not url.startswith("/static/"):
        assert "no-store" in answer.headers["Cache-Control"], url
    for name in ("X-Powered-By", "Access-Control-Allow-Origin"):
        assert name not in answer.headers, url


class Inline(HTMLParser):
    """Finds what a strict content security policy would not run."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]
        links = (names.get(name) or "" for name in ("href", "src", "action"))
        self.found += [
            link for link in links if re.match(r"\s*(javascript|data):", link, re.IGNORECASE)
        ]


def assert_no_inline_code(answer, url):
    if answer.mimetype == "text/html":
        parser = Inline()
        parser.feed(answer.text)
        assert parser.found == [], url


@pytest.mark.both_databases
@pytest.mark.parametrize("who", [None, "admin"])
def test_every_answer_has_strict_headers_and_no_inline_code_and_none_is_a_breakdown(filled, who):
    browser = filled.browser(who)
    for _, url in routes(filled, "GET"):
        answer = browser.get(url)
        assert_hardened(answer, url)
        assert_no_inline_code(answer, url)
        assert answer.status_code < 500 or answer.status_code in {502, 503}, url
        assert "Traceback" not in answer.text, url


NOWHERE = ["/nothing", "/-/nothing", "/api/nothing", "/jwt/nothing", "/static/nothing", "/a//b"]
NOWHERE += ["/%00", "/A/B", "/-", "/-/", "/a/-/", "/..%2f..%2fetc/passwd", "/a/-/images/%2e%2e"]


@pytest.mark.parametrize("url", NOWHERE)
def test_errors_have_strict_headers_too(filled, url):
    answer = filled.browser().get(url)
    assert answer.status_code == 404
    assert_hardened(answer, url)
    assert_no_inline_code(answer, url)


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(filled):
    answer = Browser(filled.app).sign_in("guest")
    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("registry_ui=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("public", ["https://ui.example", "http://ui.example"])
def test_the_session_cookie_is_for_https_alone_where_the_site_has_it(make_app, public):
    app = make_app(public_url=public)
    answer = Browser(app).get("/-/sign-in")
    assert ("Secure" in answer.headers["Set-Cookie"]) is public.startswith("https")


def test_pages_for_machines_read_and_set_no_cookie(filled):
    browser = filled.browser("admin")
    for url in ("/api/v4/projects", "/healthz", "/readyz", "/jwt/jwks.json", "/static/app.css"):
        answer = browser.get(url)
        assert "Set-Cookie" not in answer.headers, url
    paths = [row["path"] for row in browser.get("/api/v4/projects").json["projects"]]
    assert paths == ["acme/public"]
    signed = browser.get("/api/v4/projects", headers=basic("admin", PASSWORD))
    assert "veiled/private" in signed.text
