"""A user's own access tokens."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.accounts.secrets import secret_hash
from registry_ui.models import AccessToken
from tests.web.support import PASSWORD, event_of

TOKENS = "/-/profile/tokens"
GOOD = {"name": "my-old-notebook", "scopes": ["read_registry", "write_registry"], "expires_on": ""}


@pytest.fixture
def alice(site):
    site.users("alice", "bob")
    site.project("alice/tool")
    return site


def shown(answer):
    """The secrets that a page shows."""
    return sorted(set(re.findall(r"rui_[0-9A-Za-z]{46}", answer.text)))


def make(site, username="alice", **changes):
    answer = site.browser(username).submit(TOKENS, {**GOOD, **changes})
    assert answer.status_code == 200, answer.text
    (secret,) = shown(answer)
    return secret


def test_a_token_is_shown_once_and_never_again(alice):
    browser = alice.browser("alice")
    (secret,) = shown(browser.submit(TOKENS, GOOD))
    for _ in range(2):
        page = browser.get("/-/profile")
        assert shown(page) == []
        assert "my-old-notebook" in page.text
    assert alice.granted("repository:alice/tool:*", auth=("alice", secret)) == {
        "alice/tool": "pull,push"
    }


@pytest.mark.parametrize("form", ["tokens", "password"])
def test_the_address_of_an_answer_leads_back_to_the_profile(alice, form):
    """Somebody presses Enter in the address bar, or signs in again after a while."""
    answer = alice.browser("alice").get(f"/-/profile/{form}")
    assert answer.headers["Location"] == "/-/profile"


def test_only_its_hash_is_stored(alice):
    secret = make(alice)
    assert secret not in str(alice.dump())
    assert secret[4:20] not in str(alice.dump())
    assert alice.row(AccessToken).secret_hash == secret_hash(secret)


def test_a_token_has_the_scopes_that_were_chosen_and_no_other(alice):
    make(alice, scopes=["delete_registry", "read_registry", "delete_registry"])
    assert sorted(alice.row(AccessToken).scope_names) == ["delete_registry", "read_registry"]


def test_a_token_lasts_to_the_end_of_the_day_that_was_chosen(alice):
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    secret = make(alice, expires_on=day.isoformat())
    expires = alice.row(AccessToken).expires_at
    assert (expires.date(), expires.hour) == (day, 23)
    assert alice.ask_token(auth=("alice", secret)).status_code == 200
    alice.change(AccessToken, {"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    assert alice.ask_token(auth=("alice", secret)).status_code == 401


def test_without_a_day_a_token_does_not_expire(alice):
    make(alice)
    assert alice.row(AccessToken).expires_at is None


def test_a_token_that_ends_today_can_be_made(alice):
    make(alice, expires_on=datetime.now(UTC).date().isoformat())


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"scopes": ["read_registry", "all"]},
        {"expires_on": "2020-01-01"},
        {"expires_on": "tomorrow"},
        {"expires_on": "2027-13-01"},
        {"expires_on": "99999-01-01"},
    ],
    ids=str,
)
def test_a_form_that_can_not_be_used_is_shown_again_with_what_was_typed(alice, wrong):
    before = alice.dump()
    answer = alice.browser("alice").post(TOKENS, {**GOOD, **wrong})
    assert answer.status_code == 422
    assert shown(answer) == []
    assert ("my-old-notebook" in answer.text) is ("name" not in wrong)
    assert alice.dump() == before


@pytest.fixture
def places(alice):
    """What alice can see, and what she can't."""
    alice.project("acme/app")
    alice.project("acme/open", "public")
    alice.project("hidden/app")
    alice.member("acme/app", "alice", "reporter")
    return alice


@pytest.mark.parametrize(
    "path",
    [
        "acme/app",
        "acme/app/web",
        "acme/app/not/pushed/yet",
        "acme/open/web",
        "acme",
        "alice",
        "alice/tool",
        "/acme/app/",
    ],
)
def test_a_token_can_be_limited_to_what_its_owner_can_see(places, path):
    make(places, restriction=path)
    assert places.row(AccessToken).restriction_path == path.strip("/")


def test_a_token_is_not_limited_to_a_path_that_is_not_there_and_hidden_ones_look_the_same(places):
    """A misspelled path would make a token that opens nothing, without a word."""
    pages, prices = set(), set()
    browser = places.browser("alice")
    for path in ("hidden/app", "hidden/app/web", "hidden", "acme/ap", "nowhere", "bob", "bob/x"):
        with places.statements() as statements:
            answer = browser.post(TOKENS, {**GOOD, "restriction": path})
        assert answer.status_code == 422
        assert "There is no namespace, project, or image with this path" in answer.text
        pages.add(re.sub(r'value="[^"]*"', "", answer.text))
        prices.add(len(statements))
    assert len(pages) == 1
    assert len(prices) == 1
    assert places.rows(AccessToken) == []


@pytest.mark.both_databases
def test_an_administrator_can_limit_a_token_to_a_repository_without_a_project(places):
    places.user("admin", admin=True)
    places.deliver(event_of("push", "library/nginx", "1"))
    make(places, "admin", restriction="library")
    answer = places.browser("alice").post(TOKENS, {**GOOD, "restriction": "library"})
    assert answer.status_code == 422


def test_a_name_can_be_typed_as_long_as_it_may_be(alice):
    page = alice.browser("alice").get("/-/profile").text
    (field,) = re.findall(r'<input id="name".*?>', page, re.DOTALL)
    (longest,) = re.findall(r'maxlength="(\d+)"', field)
    assert make(alice, name="n" * int(longest))
    answer = alice.browser("alice").post(TOKENS, {**GOOD, "name": "n" * (int(longest) + 1)})
    assert shown(answer) == []


def test_a_form_without_fields_is_no_breakdown(alice):
    assert alice.browser("alice").post(TOKENS).status_code == 422


def test_a_revoked_token_opens_nothing_any_more(alice):
    secret = make(alice)
    number = alice.row(AccessToken).id
    browser = alice.browser("alice")
    assert browser.post(f"{TOKENS}/{number}/revoke").status_code == 302
    assert alice.ask_token(auth=("alice", secret)).status_code == 401
    at = alice.row(AccessToken).revoked_at
    assert browser.post(f"{TOKENS}/{number}/revoke").status_code == 302
    assert alice.row(AccessToken).revoked_at == at


def test_another_users_token_is_not_there(alice):
    secret = make(alice)
    number = alice.row(AccessToken).id
    bob = alice.browser("bob")
    assert bob.post(f"{TOKENS}/{number}/revoke").status_code == 404
    assert bob.post(f"{TOKENS}/{number + 1}/revoke").status_code == 404
    assert alice.ask_token(auth=("alice", secret)).status_code == 200
    assert "my-old-notebook" not in bob.get("/-/profile").text


@pytest.mark.both_databases
def test_not_even_an_administrator_revokes_it_here(alice):
    make(alice)
    alice.user("admin", admin=True)
    number = alice.row(AccessToken).id
    assert alice.browser("admin").post(f"{TOKENS}/{number}/revoke").status_code == 404


def test_making_and_revoking_are_noted_without_the_secret(alice):
    secret = make(alice)
    alice.browser("alice").post(f"{TOKENS}/{alice.row(AccessToken).id}/revoke")
    actions = [(actor, action) for actor, action, _ in alice.audit()][-2:]
    assert actions == [("alice", "access_token.create"), ("alice", "access_token.revoke")]
    assert secret not in str(alice.dump()["audit_entries"])


def test_two_tokens_are_never_the_same(alice):
    assert len({make(alice) for _ in range(5)}) == 5


def test_a_password_still_works_beside_tokens(alice):
    make(alice)
    assert alice.ask_token(auth=("alice", PASSWORD)).status_code == 200


# -- the API with credentials ---------------------------------------------------------------------


@pytest.mark.parametrize("form", ["bearer", "basic", "password"])
def test_the_api_takes_a_token_or_a_password(alice, form):
    secret = make(alice, scopes=["read_registry"])
    client = alice.app.test_client()
    auth = {"bearer": None, "basic": ("alice", secret), "password": ("alice", PASSWORD)}[form]
    headers = {"Authorization": f"Bearer {secret}"} if auth is None else {}
    answer = client.get("/api/v4/projects", headers=headers, auth=auth)
    assert [row["path"] for row in answer.json["projects"]] == ["alice/tool"]


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer ", "Basic YWxpY2U6d3Jvbmc=", "Basic !!", "Token abc"]
)
def test_wrong_credentials_at_the_api_are_told_so_as_json(alice, header):
    client = alice.app.test_client()
    for url in ("/api/v4/projects", "/api/v4/projects/alice/tool"):
        answer = client.get(url, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.json["error"]["code"] == "UNAUTHORIZED"


def test_a_revoked_an_expired_and_a_blocked_users_token_open_no_api(alice):
    from registry_ui.models import User  # noqa: PLC0415 - for this one alone

    secret = make(alice)
    headers = {"Authorization": f"Bearer {secret}"}
    past = datetime.now(UTC) - timedelta(seconds=1)
    for model, values in (
        (AccessToken, {"revoked_at": past}),
        (AccessToken, {"expires_at": past}),
        (User, {"is_blocked": True}),
    ):
        alice.change(model, values)
        answer = alice.app.test_client().get("/api/v4/projects", headers=headers)
        assert answer.status_code == 401, values
        alice.change(model, dict.fromkeys(values, None if model is AccessToken else False))
    assert alice.app.test_client().get("/api/v4/projects", headers=headers).status_code == 200
