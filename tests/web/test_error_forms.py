"""Errors in the form that the caller reads, and without what is none of their business."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from registry_ui.events import service as events
from registry_ui.projects import listing
from registry_ui.token_auth import token_request
from tests.web.support import PASSWORD, basic


def assert_page(answer, status):
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert "<main" in answer.text


def assert_api(answer, status):
    assert answer.status_code == status
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"code", "message", "hint"}


def assert_oci(answer, status):
    assert answer.status_code == status
    (error,) = answer.json["errors"]
    assert set(error) == {"code", "message", "detail"}
    assert error["code"].isupper()


FORMS = {
    "/nothing": assert_page,
    "/-/nothing": assert_page,
    "/apis": assert_page,
    "/jwtx": assert_page,
    "/api/nothing": assert_api,
    "/api/v4/projects/nothing": assert_api,
    "/jwt/nothing": assert_oci,
    "/auth/nothing": assert_oci,
}


@pytest.mark.parametrize("url", FORMS)
def test_what_is_not_there_is_told_in_the_form_of_its_address(shared_site, url):
    FORMS[url](shared_site.browser().get(url), 404)


@pytest.mark.parametrize(
    ("url", "form"),
    [("/-/sign-in", assert_page), ("/api/v4/projects", assert_api), ("/jwt/auth", assert_oci)],
)
def test_another_method_is_told_in_the_form_of_its_address(shared_site, url, form):
    answer = shared_site.app.test_client().put(url)
    form(answer, 405)
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*", ""])
def test_the_form_follows_the_address_and_not_what_is_accepted(shared_site, accept):
    headers = {"Accept": accept}
    assert_page(shared_site.browser().get("/nothing", headers=headers), 404)
    assert_api(shared_site.browser().get("/api/nothing", headers=headers), 404)


DOORS = {"/": assert_page, "/api/v4/projects": assert_api}


@pytest.mark.both_databases
@pytest.mark.parametrize("url", DOORS)
def test_what_breaks_is_logged_and_not_shown(site, monkeypatch, caplog, url):
    def breaks(*_args, **_more):
        raise RuntimeError("inner words")

    monkeypatch.setattr(listing, "projects", breaks)
    answer = site.browser().get(url)
    DOORS[url](answer, 500)
    assert "inner words" not in answer.text
    assert "Traceback" not in answer.text
    assert "RuntimeError" not in answer.text
    assert "inner words" in caplog.text


def test_a_token_endpoint_that_breaks_says_so_as_the_registry_does(site, monkeypatch):
    def breaks(*_args):
        raise RuntimeError("inner words")

    monkeypatch.setattr(token_request, "decide_all", breaks)
    answer = site.ask_token()
    assert_oci(answer, 500)
    assert "inner words" not in answer.text


def database_is_down(*_args, **_more):
    raise OperationalError("SELECT secret", {}, Exception("connection refused"))


@pytest.mark.parametrize("url", DOORS)
def test_a_database_that_is_down_is_503_and_clear(site, monkeypatch, url):
    monkeypatch.setattr(listing, "projects", database_is_down)
    answer = site.browser().get(url)
    DOORS[url](answer, 503)
    assert "SELECT" not in answer.text


def test_a_token_endpoint_without_its_database_grants_nothing(site, monkeypatch):
    site.users("alice")
    monkeypatch.setattr(token_request, "decide_all", database_is_down)
    answer = site.ask_token("repository:a/b:pull", auth=("alice", PASSWORD))
    assert_oci(answer, 503)
    assert "token" not in answer.json


def test_events_that_can_not_be_stored_are_not_said_to_be(site, monkeypatch):
    """5xx makes the registry keep the event and come again; 2xx would lose it."""
    token = site.registry_token()
    monkeypatch.setattr(events, "_store", database_is_down)
    answer = site.deliver({"id": "x"}, token=token)
    assert_api(answer, 503)


@pytest.mark.parametrize("length", ["-1", "abc", "99999999999999999999"])
def test_a_content_length_that_is_none_is_no_breakdown(shared_site, length):
    shared_site.registry_token()
    client = shared_site.app.test_client()
    for url in ("/-/sign-in", "/api/v4/registry_events", "/jwt/auth"):
        answer = client.post(url, data=b"x", headers={"Content-Length": length})
        assert 400 <= answer.status_code < 500, url


def test_an_answer_to_head_is_that_to_get_without_its_body(shared_site):
    client = shared_site.app.test_client()
    for url in ("/", "/-/sign-in", "/api/v4/projects", "/jwt/auth?service=registry", "/nothing"):
        got, head = client.get(url), client.head(url)
        assert (head.status_code, head.mimetype) == (got.status_code, got.mimetype), url
        assert head.data == b""


def test_wrong_credentials_at_the_api_are_asked_for_again(shared_site):
    answer = shared_site.app.test_client().get(
        "/api/v4/projects", headers=basic("nobody", "wrong words")
    )
    assert_api(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
