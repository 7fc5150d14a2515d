"""Header and query bytes that no client of ours sends: never a breakdown."""

from __future__ import annotations

import base64

import pytest

from registry_ui.accounts import throttle
from tests.web.support import Site

BYTES = ["\xff", "é", "\xc3\x28", "a\x00b", "=", "==", '"', "%ff", "*=", "a*=utf-8''%ff", "²", "💥"]
BYTES += ["a=nope''%ff", ";;==", ",", "x" * 5000, "9" * 400, "-1", "\t"]
CREDENTIALS = [f"{scheme} {text}" for scheme in ("Basic", "Bearer", "Digest", "") for text in BYTES]
CREDENTIALS += ["Basic", "Bearer", "Basic YQ", "Basic YWxpY2U=", "Basic " + "/w" * 3]
CREDENTIALS += [f"Basic {base64.b64encode(raw).decode()}" for raw in (b"\xff:\xfe", b"\0:\0", b":")]

HEADERS = [
    *("HTTP_COOKIE", "HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "HTTP_ACCEPT_ENCODING"),
    *("HTTP_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_REFERER", "HTTP_ORIGIN"),
    *("HTTP_USER_AGENT", "HTTP_HX_REQUEST", "HTTP_HX_TARGET", "HTTP_X_CSRFTOKEN"),
    *("HTTP_X_FORWARDED_FOR", "CONTENT_TYPE", "CONTENT_LENGTH"),
]
MACHINES = ("/jwt/auth?service=registry", "/api/v4/projects", "/api/v4/projects/acme/public")
ADDRESSES = (*MACHINES, "/", "/acme/public", "/-/sign-in", "/v2/", "/gate/manifest", "/healthz")
POSTS = ("/jwt/auth", "/api/v4/registry_events", "/api/v4/projects/acme/public/-/removals")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let wrong credentials be read however many there were."""
    monkeypatch.setattr(throttle, "LIMIT", 10**9)
    monkeypatch.setattr(throttle, "NETWORK_LIMIT", 10**9)


def ask(site: Site, method: str, url: str, **environ: str):
    """Send one request whose environ holds these bytes, as a server decodes them."""
    environ = {name: text.encode().decode("latin-1") for name, text in environ.items()}
    answer = site.app.test_client().open(url, method=method, environ_overrides=environ)
    assert answer.status_code < 500, (method, url, environ, answer.text)
    assert "Traceback" not in answer.text, (method, url, environ)
    return answer


@pytest.mark.parametrize("url", MACHINES)
def test_credentials_that_can_not_be_read_are_wrong_credentials(world, url):
    for header in ("Basic \xff", "Basic é", "Basic YWxp\xffY2U6eA==", "basic \t²"):
        client = world.app.test_client()
        answer = client.get(url, environ_overrides={"HTTP_AUTHORIZATION": header})
        assert answer.status_code == 401, (header, answer.text)
        error = answer.json["errors"][0] if "jwt" in url else answer.json["error"]
        assert error["code"] == "UNAUTHORIZED"
        assert "WWW-Authenticate" in answer.headers


@pytest.mark.parametrize("url", ADDRESSES)
def test_any_bytes_as_credentials_break_no_page(world, url):
    for header in CREDENTIALS:
        ask(world, "GET", url, HTTP_AUTHORIZATION=header)


@pytest.mark.parametrize("url", POSTS)
def test_any_bytes_as_credentials_of_a_post_are_refused(world, url):
    for header in CREDENTIALS:
        assert ask(world, "POST", url, HTTP_AUTHORIZATION=header).status_code in {400, 401, 415}


@pytest.mark.parametrize("url", ADDRESSES)
def test_any_bytes_in_the_headers_break_no_page(world, url):
    for text in BYTES:
        ask(world, "GET", url, **dict.fromkeys(HEADERS, text))


@pytest.mark.parametrize("url", [url.partition("?")[0] for url in ADDRESSES])
def test_any_bytes_in_a_raw_query_break_no_page(world, url):
    for text in BYTES:
        for query in (text, f"q={text}", f"{text}=q", f"service=registry&scope={text}"):
            ask(world, "GET", url, QUERY_STRING=query)


@pytest.mark.both_databases
def test_a_query_that_is_no_utf_8_goes_along_to_the_new_name(site):
    site.project("acme/public", "public")
    move = site.move("acme/public", "grace", source="old/name", target="acme/public")
    site.old_path("old/name", "acme/public", move)
    environ = {"QUERY_STRING": "q=a%2Fb&page=\xff"}
    answer = site.app.test_client().get("/old/name", environ_overrides=environ)
    assert answer.status_code == 302
    assert answer.headers["Location"].endswith("/acme/public?q=a%2Fb&page=%EF%BF%BD")
