"""Docker sessions in the profile, restricted access tokens, and where passwords do not count."""

from __future__ import annotations

import pytest

from registry_ui.models import AccessToken, DockerSession, User, utc_now
from tests.web.support import PASSWORD, Site

SESSIONS = "/-/profile/docker-sessions"
HOSTILE = "docker/<script>alert(1)</script>"


@pytest.fixture
def alice(site):
    site.users("alice", "bob")
    site.project("alice/tool")
    return site


def sign_in(site, auth=("alice", PASSWORD), service="registry"):
    """Do what ``docker login`` does; return the refresh token."""
    answer = site.ask_token(auth=auth, offline_token="true", client_id="docker", service=service)
    assert answer.status_code == 200
    return answer.json["refresh_token"]


def by_refresh_token(site, secret):
    form = {"grant_type": "refresh_token", "service": "registry", "client_id": "docker"}
    form["refresh_token"] = secret
    return site.app.test_client().post("/jwt/auth", data=form).status_code


def test_a_user_sees_the_clients_that_signed_in_and_with_what(alice):
    sign_in(alice)
    sign_in(alice, ("alice", alice.access_token("alice", "read_registry", name="laptop")))
    page = alice.browser("alice").get("/-/profile").text
    assert "2 clients" in page
    assert "access token “laptop”" in page
    assert "127.0.0.1" in page
    assert "No client is signed in" in alice.browser("bob").get("/-/profile").text


def test_a_session_is_revoked_and_the_others_stay(alice):
    first, second = sign_in(alice), sign_in(alice)
    number = alice.rows(DockerSession)[0].id
    assert alice.browser("alice").post(f"{SESSIONS}/{number}/revoke").status_code == 302
    assert by_refresh_token(alice, first) == 401
    assert by_refresh_token(alice, second) == 200
    assert ("alice", "docker_session.revoke", "alice") in alice.audit()
    assert alice.browser("alice").post(f"{SESSIONS}/{number}/revoke").status_code == 404


def test_all_sessions_of_a_user_are_revoked_and_those_of_others_stay(alice):
    mine = [sign_in(alice), sign_in(alice)]
    other = sign_in(alice, ("bob", PASSWORD))
    assert alice.browser("alice").post(f"{SESSIONS}/revoke").status_code == 302
    assert [by_refresh_token(alice, secret) for secret in mine] == [401, 401]
    assert by_refresh_token(alice, other) == 200


@pytest.mark.both_databases
def test_another_users_session_is_not_there(alice):
    secret = sign_in(alice)
    number = alice.row(DockerSession).id
    assert alice.browser("bob").post(f"{SESSIONS}/{number}/revoke").status_code == 404
    assert by_refresh_token(alice, secret) == 200


def test_what_a_client_calls_itself_is_shown_as_text(alice):
    sign_in(alice)
    alice.change(DockerSession, {"client": HOSTILE})
    page = alice.browser("alice").get("/-/profile").text
    assert HOSTILE not in page
    assert "docker/&lt;script&gt;" in page
    alice.change(DockerSession, {"client": ""})
    assert "unnamed client" in alice.browser("alice").get("/-/profile").text


def test_sessions_that_are_switched_off_are_said_to_be(make_app):
    site = Site(make_app(docker_sessions=False))
    site.users("alice")
    assert "Switched off by an administrator" in site.browser("alice").get("/-/profile").text


def test_the_profile_says_where_passwords_are_not_accepted(alice, make_app):
    words = "docker login does not accept your password"
    assert words not in alice.browser("alice").get("/-/profile").text
    alice.change(User, {"tokens_only": True}, username="alice")
    assert words in alice.browser("alice").get("/-/profile").text
    assert words not in alice.browser("bob").get("/-/profile").text
    everywhere = Site(make_app(tokens_only=True))
    everywhere.users("carol")
    assert words in everywhere.browser("carol").get("/-/profile").text


# -- restricted access tokens ---------------------------------------------------------


TOKENS = "/-/profile/tokens"
GOOD = {"name": "notebook", "scopes": ["read_registry", "api"]}


@pytest.mark.parametrize(
    ("exactly", "below", "words"), [("", True, "and below"), ("1", False, "alone")]
)
def test_a_token_is_bound_to_a_path_or_to_that_image_alone(alice, exactly, below, words):
    form = {**GOOD, "restriction": " alice/tool/web ", "restriction_exact": exactly}
    assert alice.browser("alice").post(TOKENS, form).status_code == 302
    token = alice.row(AccessToken)
    assert (token.restriction_path, token.restriction_exact) == ("alice/tool/web", not below)
    assert token.scope_names == ["read_registry", "api"]
    page = alice.browser("alice").get("/-/profile").text
    assert f"<code>alice/tool/web</code> {words}" in page


def test_a_form_that_was_open_during_an_update_still_restricts_its_token(alice):
    """Its fields have the names of before. Without them, the token would hold everywhere."""
    form = {**GOOD, "reach": "alice/tool", "reach_exact": "1"}
    assert alice.browser("alice").post(TOKENS, form).status_code == 302
    token = alice.row(AccessToken)
    assert (token.restriction_path, token.restriction_exact) == ("alice/tool", True)


def test_without_a_path_it_holds_everywhere(alice):
    form = {**GOOD, "restriction": "", "restriction_exact": "1"}
    assert alice.browser("alice").post(TOKENS, form).status_code == 302
    assert alice.row(AccessToken).restriction_path is None
    assert "everything" in alice.browser("alice").get("/-/profile").text


def test_a_path_that_is_none_is_shown_again(alice):
    form = {**GOOD, "restriction": "No Path", "restriction_exact": "1"}
    answer = alice.browser("alice").post(TOKENS, form)
    assert answer.status_code == 422
    assert 'value="No Path"' in answer.text
    assert alice.rows(AccessToken) == []


def test_a_revoked_token_is_named_in_the_session_that_it_began(alice):
    sign_in(alice, ("alice", alice.access_token("alice", "read_registry", name="laptop")))
    alice.change(AccessToken, {"revoked_at": utc_now()})
    assert "access token “laptop”" in alice.browser("alice").get("/-/profile").text
