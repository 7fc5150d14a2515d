"""Deploy tokens, as the Maintainers of a project or namespace handle them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.accounts.secrets import secret_hash
from registry_ui.models import DeployToken, utc_now

URL = "/acme/app/-/deploy-tokens"
GOOD = {"name": "ci of <b>acme</b>", "scopes": ["read_registry"], "expires_on": ""}


@pytest.fixture
def acme(site):
    site.users("alice", "bob")
    site.project("acme/app")
    site.project("acme/other")
    site.member("acme/app", "alice", "maintainer")
    site.member("acme", "bob", "maintainer")
    return site


def shown(answer):
    """The user names and the secrets that a page shows."""
    names = set(re.findall(r'data-copy="(deploy\+[^"]+)"', answer.text))
    return names, set(re.findall(r"ruid_[0-9A-Za-z]{46}", answer.text))


def make(site, who="alice", url=URL, **changes):
    answer = site.browser(who).submit(url, {**GOOD, **changes})
    assert answer.status_code == 200, answer.text
    (username,), (secret,) = shown(answer)
    return username, secret


def test_a_token_is_shown_once_with_its_user_name_and_the_way_to_sign_in(acme):
    browser = acme.browser("alice")
    answer = browser.submit(URL, GOOD)
    (username,), (secret,) = shown(answer)
    host = acme.app.config["SETTINGS"].registry_host
    assert f"docker login {host} -u {username}" in answer.text
    assert acme.granted("repository:acme/app/x:*", auth=(username, secret)) == {
        "acme/app/x": "pull"
    }
    for _ in range(2):
        page = browser.get(URL)
        assert shown(page) == (set(), set())
        assert username in page.text
        assert "by <bdi>alice</bdi>" in page.text


def test_only_its_hash_is_stored(acme):
    _, secret = make(acme)
    assert secret not in str(acme.dump())
    assert acme.row(DeployToken).secret_hash == secret_hash(secret)


def test_it_lasts_to_the_end_of_the_day_that_was_chosen(acme):
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    make(acme, expires_on=day.isoformat())
    assert acme.row(DeployToken).expires_at.date() == day


WRONG = [{"name": ""}, {"name": "x" * 101}, {"scopes": []}, {"scopes": ["all"]}]
WRONG += [{"expires_on": "2020-01-01"}, {"expires_on": "tomorrow"}]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_form_that_can_not_be_used_is_shown_again_with_what_was_typed(acme, wrong):
    before = acme.dump()
    answer = acme.browser("alice").post(URL, {**GOOD, **wrong})
    assert answer.status_code == 422
    assert shown(answer) == (set(), set())
    assert "<b>acme</b>" not in answer.text
    assert ("ci of &lt;b&gt;acme" in answer.text) is ("name" not in wrong)
    assert acme.dump() == before


@pytest.mark.both_databases
def test_a_revoked_token_opens_nothing_any_more_and_stays_in_the_list(acme):
    username, secret = make(acme)
    number = acme.row(DeployToken).id
    browser = acme.browser("alice")
    assert browser.post(f"{URL}/{number}/revoke").status_code == 302
    assert acme.ask_token(auth=(username, secret)).status_code == 401
    page = browser.get(URL).text
    assert "Revoked" in page
    assert f"{number}/revoke" not in page
    actions = [(actor, action) for actor, action, _ in acme.audit()][-2:]
    assert actions == [("alice", "deploy_token.create"), ("alice", "deploy_token.revoke")]


def test_an_expired_token_is_said_to_be_so(acme):
    make(acme)
    acme.change(DeployToken, {"expires_at": utc_now() - timedelta(days=1)})
    assert "Expired" in acme.browser("alice").get(URL).text


def test_tokens_from_above_are_shown_and_changed_there_alone(acme):
    username, secret = make(acme, "bob", "/acme/-/deploy-tokens", name="of the group")
    number = acme.row(DeployToken).id
    for who, linked in (("alice", False), ("bob", True)):
        page = acme.browser(who).get(URL).text
        assert username in page
        assert ('href="/acme/-/deploy-tokens"' in page) is linked
        assert f"{number}/revoke" not in page
        assert acme.browser(who).post(f"{URL}/{number}/revoke").status_code == 404
    assert acme.ask_token(auth=(username, secret)).status_code == 200
    assert acme.browser("bob").post(f"/acme/-/deploy-tokens/{number}/revoke").status_code == 302
    assert acme.ask_token(auth=(username, secret)).status_code == 401


def test_tokens_of_another_project_are_not_there(acme):
    username, _ = make(acme, "bob", "/acme/other/-/deploy-tokens")
    number = acme.row(DeployToken).id
    assert username not in acme.browser("alice").get(URL).text
    assert acme.browser("alice").post(f"{URL}/{number}/revoke").status_code == 404
    assert acme.browser("bob").post(f"{URL}/{number}/revoke").status_code == 404


def test_an_empty_page_teaches_what_a_deploy_token_is_for(acme):
    page = acme.browser("alice").get(URL).text
    assert "No deploy tokens yet" in page
    assert "--password-stdin" in page


def test_maintainers_alone_have_the_tab(acme):
    acme.users("carol")
    acme.member("acme/app", "carol", "developer")
    assert URL in acme.browser("alice").get("/acme/app").text
    assert URL not in acme.browser("carol").get("/acme/app").text
    assert "/acme/-/deploy-tokens" in acme.browser("bob").get("/acme").text
