"""Text goes over the wire compressed, but for what shows a secret."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from config import ROOT

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def browser(shared_site):
    shared_site.user("somebody")
    return shared_site.browser("somebody")


@pytest.mark.parametrize(
    "name", ["app.css", "app.js", "icons.svg", "vendor/pico.min.css", "vendor/htmx.min.js"]
)
def test_a_static_file_is_compressed_to_less_than_half(browser, name):
    plain = browser.get(f"/static/{name}")
    packed = browser.get(f"/static/{name}", headers=GZIP)
    content = Path(ROOT / "static" / name).read_bytes()
    assert plain.data == content
    assert gzip.decompress(packed.data) == content
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(content) / 2
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]


def test_a_compressed_file_that_was_kept_is_not_sent_again(browser):
    first = browser.get("/static/app.css", headers=GZIP)
    again = browser.get("/static/app.css", headers={**GZIP, "If-None-Match": first.headers["ETag"]})
    assert first.headers["ETag"].startswith("W/")
    assert (again.status_code, again.data) == (304, b"")


def test_a_part_of_a_file_is_a_part_of_the_file_itself(browser):
    answer = browser.get("/static/app.css", headers={**GZIP, "Range": "bytes=0-9"})
    assert answer.status_code == 206
    assert "Content-Encoding" not in answer.headers
    assert answer.data == Path(ROOT / "static/app.css").read_bytes()[:10]


def test_an_address_with_the_hash_of_a_file_may_be_kept_for_ever(browser):
    assert "immutable" in browser.get("/static/app.css?v=1", headers=GZIP).headers["Cache-Control"]
    assert browser.get("/static/app.css", headers=GZIP).headers["Cache-Control"] == "no-cache"


def test_a_small_file_is_sent_as_it_is(browser):
    assert "Content-Encoding" not in browser.get("/static/favicon.svg", headers=GZIP).headers


def test_a_page_is_compressed_for_who_takes_it(browser):
    packed = browser.get("/-/profile", headers=GZIP)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert {"Accept-Encoding", "Cookie"} <= set(packed.headers["Vary"].split(", "))
    assert b"Access tokens" in gzip.decompress(packed.data)
    for refused in ({}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip;q=0"}):
        assert b"Access tokens" in browser.get("/-/profile", headers=refused).data


def test_the_answer_that_shows_a_secret_is_not_compressed(browser):
    form = {"name": "ci", "scopes": "read_registry"}
    created = browser.post("/-/profile/tokens", form)
    shown = browser.get(created.headers["Location"], headers=GZIP)
    assert shown.status_code == 200
    assert b"this once and never again" in shown.data
    assert "Content-Encoding" not in shown.headers


def test_answers_to_machines_are_not_compressed(browser):
    for address in ("/api/v4/projects", "/jwt/jwks.json", "/healthz"):
        assert "Content-Encoding" not in browser.get(address, headers=GZIP).headers, address
