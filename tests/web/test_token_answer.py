"""The token endpoint's answer, as clients need it (PROTOCOLS 1.2 to 1.6)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.web.support import PASSWORD, basic

URLS = ("/jwt/auth", "/auth/token")


@pytest.fixture(params=URLS)
def url(request):
    return request.param


def test_without_credentials_and_scopes_the_answer_is_a_token_for_nothing(site, url):
    answer = site.ask_token(url=url)
    assert answer.status_code == 200
    claims = site.claims(answer.json["token"])
    assert claims["sub"] == ""
    assert claims["access"] == []


def test_both_names_of_the_token_hold_the_same_token(site):
    answer = site.ask_token().json
    assert answer["token"] == answer["access_token"]
    assert answer["token"].count(".") == 2


def test_issued_at_is_whole_seconds_of_utc_with_a_z_and_equals_iat(site):
    answer = site.ask_token().json
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["issued_at"])
    issued = datetime.fromisoformat(answer["issued_at"])
    assert issued.timestamp() == site.claims(answer["token"])["iat"]
    assert abs((datetime.now(UTC) - issued).total_seconds()) < 30


def test_expires_in_is_an_integer_of_at_least_a_minute_and_says_the_truth(site):
    answer = site.ask_token().json
    claims = site.claims(answer["token"])
    assert type(answer["expires_in"]) is int
    assert answer["expires_in"] >= 60
    assert claims["exp"] - claims["iat"] == answer["expires_in"]


def test_the_claims_name_issuer_and_service_as_the_registry_has_them(site):
    settings = site.app.config["SETTINGS"]
    claims = site.claims(site.ask_token().json["token"])
    assert claims["iss"] == settings.token_issuer
    assert claims["aud"] == settings.token_service == "registry"


def test_every_token_has_an_id_of_its_own(site):
    ids = {site.claims(site.ask_token().json["token"])["jti"] for _ in range(5)}
    assert len(ids) == 5


def test_the_answer_is_json_that_nobody_keeps(site, url):
    answer = site.ask_token(url=url)
    assert answer.mimetype == "application/json"
    assert "no-store" in answer.headers["Cache-Control"]


def test_no_refresh_token_is_given_even_where_one_is_asked_for(site):
    answer = site.ask_token(offline_token="true", client_id="docker")
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json


def test_the_scope_of_the_answer_is_what_was_granted_with_spaces_between(site):
    site.user("admin", admin=True)
    answer = site.ask_token(
        "repository:a/b:push,pull", "repository:c:*", auth=("admin", PASSWORD)
    ).json
    assert answer["scope"] == "repository:a/b:pull,push repository:c:pull,push,delete"


@pytest.mark.parametrize("trail", ["", "/"])
def test_the_endpoint_never_redirects(site, url, trail):
    answer = site.app.test_client().get(f"{url}{trail}?service=registry")
    assert answer.status_code in {200, 404}
    assert "Location" not in answer.headers


@pytest.mark.parametrize("service", ["Registry", "registry ", "other", "", "registry\n", "réso"])
def test_for_another_service_there_is_no_token(site, url, service):
    site.user("admin", admin=True)
    answer = site.ask_token(url=url, service=service, auth=("admin", PASSWORD))
    assert answer.status_code == 400
    assert answer.json["errors"][0]["message"]
    assert "token" not in answer.json


def test_a_request_that_names_no_service_gets_no_token(site, url):
    answer = site.app.test_client().get(url)
    assert answer.status_code == 400
    assert answer.json["errors"][0]["code"]


def test_unknown_parameters_are_ignored(site):
    answer = site.ask_token(client_id="regclient/1", colour="blue", account="")
    assert answer.status_code == 200


def test_account_is_a_hint_and_proves_nothing(site):
    site.user("admin", admin=True)
    answer = site.ask_token("repository:a/b:pull", account="admin")
    claims = site.claims(answer.json["token"])
    assert (claims["sub"], claims["access"]) == ("", [])


def test_the_subject_is_who_gave_the_password_whatever_account_says(site):
    site.users("alice", "bob")
    answer = site.ask_token(auth=("alice", PASSWORD), account="bob")
    assert site.claims(answer.json["token"])["sub"] == "alice"


def test_a_browser_session_is_no_credential(site):
    site.user("admin", admin=True)
    browser = site.browser("admin")
    assert browser.is_signed_in()
    answer = browser.get("/jwt/auth?service=registry&scope=repository:a/b:pull")
    claims = site.claims(answer.json["token"])
    assert (claims["sub"], claims["access"]) == ("", [])


def test_no_browser_session_is_started(site):
    site.user("alice")
    assert "Set-Cookie" not in site.ask_token(auth=("alice", PASSWORD)).headers
    assert "Set-Cookie" not in site.ask_token().headers


def test_a_session_beside_wrong_credentials_does_not_help(site):
    site.user("admin", admin=True)
    answer = site.browser("admin").get(
        "/jwt/auth?service=registry", headers=basic("admin", "wrong password")
    )
    assert answer.status_code == 401


def test_other_sites_scripts_may_not_read_the_answer(site):
    answer = site.app.test_client().get(
        "/jwt/auth?service=registry", headers={"Origin": "https://evil.example"}
    )
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_in_the_registrys_own_form(site, url, method):
    answer = site.app.test_client().open(url, method=method, data={"grant_type": "password"})
    assert answer.status_code == 405
    assert answer.json["errors"][0]["code"] == "UNSUPPORTED"
    assert "GET" in answer.headers["Allow"]


def test_an_unknown_address_beside_it_answers_in_the_registrys_own_form(site):
    answer = site.app.test_client().get("/jwt/nothing")
    assert answer.status_code == 404
    assert answer.json["errors"][0]["message"]


def test_the_published_keys_hold_no_private_part(site):
    keys = site.app.test_client().get("/jwt/jwks.json").json["keys"]
    assert len({key["kid"] for key in keys}) == 2, "the active key and the next"
    for key in keys:
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
        assert "d" not in key
