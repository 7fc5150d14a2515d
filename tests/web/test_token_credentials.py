"""Who is believed at the token endpoint, and what the others are told (PROTOCOLS 1.5, 1.8)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from unittest import mock

import argon2
import pytest

from registry_ui.accounts.hashing import HashingProcess
from registry_ui.accounts.password_cache import cached_passwords
from registry_ui.accounts.service import create_user
from registry_ui.models import AccessToken, User
from tests.web.support import ACTOR, PASSWORD, basic

URL = "/jwt/auth?service=registry"
ALL = ("read_registry", "write_registry", "delete_registry")


@pytest.fixture
def alice(site):
    site.users("alice", "bob")
    return site


def subject(site, auth):
    return site.claims(site.ask_token(auth=auth).json["token"])["sub"]


def test_an_account_password_is_believed(alice):
    assert subject(alice, ("alice", PASSWORD)) == "alice"


def test_an_access_token_is_believed_in_place_of_the_password(alice):
    assert subject(alice, ("alice", alice.access_token("alice", "read_registry"))) == "alice"


def test_the_subject_is_the_accounts_name_however_it_was_typed(alice):
    assert subject(alice, ("Alice", PASSWORD)) == "alice"
    assert subject(alice, ("ALICE", alice.access_token("alice", "read_registry"))) == "alice"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("url", [URL, "/api/v4/projects"])
def test_credentials_are_read_in_either_encoding_that_clients_use(alice, url, encoding):
    """RFC 7617 leaves it open: docker and curl send UTF-8, Python's requests Latin-1."""
    password = "Grüße an alle, für 5 £"
    with alice.app.app_context():
        create_user(ACTOR, "grete", password)
    for typed, status in ((password, 200), (password + "é", 401)):
        encoded = base64.b64encode(f"grete:{typed}".encode(encoding)).decode()
        headers = {"Authorization": f"Basic {encoded}"}
        assert alice.app.test_client().get(url, headers=headers).status_code == status


def test_empty_user_and_empty_password_are_no_credentials(alice):
    assert subject(alice, ("", "")) == ""


def wrong(site, name):
    """Credentials that must not be believed, by the words that say why."""
    token = site.access_token("alice", *ALL)
    if name == "a token that expired":
        then = datetime.now(UTC) - timedelta(seconds=1)
        site.change(AccessToken, {"expires_at": then})
    if name == "a token that was revoked":
        site.change(AccessToken, {"revoked_at": datetime.now(UTC)})
    if "blocked" in name:
        site.change(User, {"is_blocked": True}, username="alice")
    return {
        "a wrong password": ("alice", "wrong password"),
        "no password": ("alice", ""),
        "no user name": ("", PASSWORD),
        "an unknown user": ("nobody", PASSWORD),
        "another user's password field": ("alice", "bob"),
        "a token with another's user name": ("bob", token),
        "a token with an unknown user name": ("nobody", token),
        "a token without a user name": ("", token),
        "a token as the user name": (token, ""),
        "a token with a typing error": ("alice", token[:-1] + ("a" if token[-1] != "a" else "b")),
        "a token cut short": ("alice", token[:-1]),
        "a token that expired": ("alice", token),
        "a token that was revoked": ("alice", token),
        "a blocked user's token": ("alice", token),
        "a blocked user's password": ("alice", PASSWORD),
        "a NUL in the user name": ("alice\0", PASSWORD),
        "a NUL in the password": ("alice", PASSWORD + "\0"),
        "a very long user name": ("a" * 10_000, PASSWORD),
        "a very long password": ("alice", PASSWORD * 500),
        "another alphabet": ("алиса", "пароль пароль"),
        "a quote in the user name": ("alice' OR '1'='1", PASSWORD),
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "a wrong password",
        "no password",
        "no user name",
        "an unknown user",
        "another user's password field",
        "a token with another's user name",
        "a token with an unknown user name",
        "a token without a user name",
        "a token as the user name",
        "a token with a typing error",
        "a token cut short",
        "a token that expired",
        "a token that was revoked",
        "a blocked user's token",
        "a blocked user's password",
        "a NUL in the user name",
        "a NUL in the password",
        "a very long user name",
        "a very long password",
        "another alphabet",
        "a quote in the user name",
    ],
)
def test_wrong_credentials_get_401_and_never_an_anonymous_token(alice, name):
    answer = alice.ask_token(auth=wrong(alice, name))
    assert_refused(answer)


@pytest.mark.parametrize(
    "header",
    [
        "Basic !!!",
        "Basic YWxpY2U=",  # no colon
        "Basic /////w==",  # not UTF-8, and no colon
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer",
        "Negotiate abc",
        "Digest username=alice",
        "alice:password",
        " ",
    ],
)
def test_a_header_that_holds_no_basic_credentials_gets_401(alice, header):
    answer = alice.app.test_client().get(URL, headers={"Authorization": header})
    assert_refused(answer)


def assert_refused(answer):
    assert answer.status_code == 401
    assert answer.mimetype == "application/json"
    (error,) = answer.json["errors"]
    assert error["code"] == "UNAUTHORIZED"
    assert error["message"]
    # docker would print a Bearer challenge with an error as a second error.
    (challenge,) = answer.headers.getlist("WWW-Authenticate")
    assert challenge.startswith("Basic realm=")
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Set-Cookie" not in answer.headers


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(alice):
    known = alice.ask_token(auth=("alice", "wrong password"))
    unknown = alice.ask_token(auth=("nobody", "wrong password"))
    token = alice.ask_token(auth=("bob", alice.access_token("alice", *ALL)))
    assert known.data == unknown.data == token.data
    assert known.headers.to_wsgi_list() == unknown.headers.to_wsgi_list()


def test_an_unknown_user_costs_the_same_work_as_a_known_one(alice):
    hasher = HashingProcess
    for username in ("alice", "nobody"):
        with mock.patch.object(hasher, "verify", autospec=True, side_effect=hasher.verify) as work:
            alice.ask_token(auth=(username, "wrong password"))
        assert work.call_count == 1, username


@pytest.mark.parametrize("valid", [True, False])
def test_for_an_access_token_no_password_hash_is_computed(alice, valid):
    token = alice.access_token("alice", "read_registry")
    if not valid:
        alice.change(AccessToken, {"revoked_at": datetime.now(UTC)})
    hashes = mock.Mock(side_effect=AssertionError("a password hash"))
    with (
        mock.patch.object(argon2.PasswordHasher, "verify", hashes),
        mock.patch.object(argon2.PasswordHasher, "hash", hashes),
    ):
        answer = alice.ask_token(auth=("alice", token))
    assert answer.status_code == (200 if valid else 401)


def writes(statements):
    return [sql for sql in statements if not sql.startswith("SELECT")]


def test_an_access_token_writes_when_it_was_last_used_and_that_coarsely(alice):
    token = alice.access_token("alice", "read_registry")
    with alice.statements() as first:
        alice.ask_token("repository:a/b:pull", auth=("alice", token))
    assert [sql.split()[:2] for sql in writes(first)] == [["UPDATE", "access_tokens"]]
    used = alice.row(AccessToken).last_used_at
    assert abs((datetime.now(UTC) - used).total_seconds()) < 30
    with alice.statements() as second:
        alice.ask_token("repository:a/b:pull", auth=("alice", token))
    assert writes(second) == []
    alice.change(AccessToken, {"last_used_at": used - timedelta(hours=1)})
    alice.ask_token(auth=("alice", token))
    assert alice.row(AccessToken).last_used_at >= used


def test_a_refused_access_token_is_not_noted_as_used(alice):
    token = alice.access_token("alice", "read_registry")
    alice.ask_token(auth=("bob", token))
    assert alice.row(AccessToken).last_used_at is None


def test_a_password_writes_once_a_day_where_it_was_right(alice):
    with alice.statements() as noted:
        assert alice.ask_token("repository:a/b:pull", auth=("alice", PASSWORD)).status_code == 200
    assert [sql.split()[2] for sql in writes(noted)] == ["known_sign_ins"]
    with alice.app.app_context():
        cached_passwords()._entries.clear()  # as in another process
    with alice.statements() as noted:
        assert alice.ask_token("repository:a/b:pull", auth=("alice", PASSWORD)).status_code == 200
    assert writes(noted) == []


def test_the_number_of_queries_is_the_same_for_one_scope_and_for_fifty(alice):
    token = alice.access_token("alice", "read_registry")
    alice.project("alice/tool")
    counts = []
    for count in (1, 50):
        scopes = [f"repository:alice/tool/image{n}:pull" for n in range(count)]
        assert len(alice.granted(*scopes, auth=("alice", token))) == count
        with alice.statements() as noted:
            alice.ask_token(*scopes, auth=("alice", token))
        counts.append(len(noted))
    assert counts[0] == counts[1] == 1


def test_what_changes_about_a_user_holds_from_the_next_token_on(alice):
    token = alice.access_token("alice", *ALL)
    alice.project("alice/tool")
    assert alice.granted("repository:alice/tool:pull", auth=("alice", token))
    alice.change(User, {"is_blocked": True}, username="alice")
    assert alice.ask_token(auth=("alice", token)).status_code == 401
    alice.change(User, {"is_blocked": False}, username="alice")
    assert alice.ask_token(auth=("alice", token)).status_code == 200


def test_credentials_never_appear_in_the_log(alice, caplog):
    token = alice.access_token("alice", "read_registry")
    with caplog.at_level(0):
        alice.ask_token("repository:x/y:pull", auth=("alice", token))
        alice.ask_token(auth=("alice", "wrong secret words"))
        alice.app.test_client().get(URL, headers=basic("alice", token))
    assert token not in caplog.text
    assert "wrong secret words" not in caplog.text
