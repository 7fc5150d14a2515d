"""A new secret is shown once: on the page that follows its form, to the browser that sent it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from registry_ui.models import AccessToken, DeployToken, UnseenSecret, utc_now

#: Each form that makes a secret, what it is sent, and what the secret looks like.
FORMS = {
    "/-/profile/tokens": r"rui_[0-9A-Za-z]{46}",
    "/acme/app/-/deploy-tokens": r"ruid_[0-9A-Za-z]{46}",
    "/-/admin/registry-token/reset": r"rt_[A-Za-z0-9_-]{43}",
    "/-/admin/registry-token/reveal": r"rt_[A-Za-z0-9_-]{43}",
}
FORM = {"name": "ci", "scopes": ["read_registry"]}


@pytest.fixture
def acme(site):
    site.user("admin", admin=True)
    site.users("other")
    site.project("acme/app")
    site.member("acme/app", "other", "maintainer")
    site.registry_token()
    return site


def secrets_on(answer, form):
    return set(re.findall(FORMS[form], answer.text))


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_answered_with_a_redirect_and_the_page_behind_it_shows_the_secret_once(
    acme, form
):
    browser = acme.browser("admin")
    answer = browser.post(form, FORM)
    assert answer.status_code == 302
    assert not secrets_on(answer, form)
    where = answer.headers["Location"]
    (secret,) = secrets_on(browser.get(where), form)
    assert secret not in where
    for _ in range(2):
        again = browser.get(where)
        assert again.status_code == 200
        assert secret not in again.text
    assert acme.rows(UnseenSecret) == []


@pytest.mark.parametrize(
    ("form", "model"),
    [("/-/profile/tokens", AccessToken), ("/acme/app/-/deploy-tokens", DeployToken)],
)
def test_reloading_the_page_makes_no_second_token_and_says_why_it_shows_none(acme, form, model):
    browser = acme.browser("admin")
    where = browser.post(form, FORM).headers["Location"]
    browser.get(where)
    assert "The secret of “ci” was shown once." in browser.get(where).text
    assert len(acme.rows(model)) == 1


@pytest.mark.parametrize("form", FORMS)
def test_neither_the_store_nor_the_cookie_holds_the_secret_in_the_clear(acme, form):
    browser = acme.browser("admin")
    answer = browser.post(form, FORM)
    stored, cookies = str(acme.dump()), str(answer.headers.getlist("Set-Cookie"))
    (secret,) = secrets_on(browser.get(answer.headers["Location"]), form)
    assert secret not in stored
    assert secret not in cookies


def test_another_browser_is_not_shown_it_not_even_of_the_same_person(acme):
    form = "/acme/app/-/deploy-tokens"
    browser = acme.browser("admin")
    where = browser.post(form, FORM).headers["Location"]
    for person in ("admin", "other"):
        assert not secrets_on(acme.browser(person).get(where), form)
    assert secrets_on(browser.get(where), form)


def test_the_answer_to_a_head_request_uses_nothing_up(acme):
    form = "/-/profile/tokens"
    browser = acme.browser("admin")
    where = browser.post(form, FORM).headers["Location"]
    assert browser.client.head(where).status_code == 200
    assert secrets_on(browser.get(where), form)


@pytest.mark.both_databases
def test_a_secret_that_nobody_looked_at_is_forgotten(acme):
    form = "/-/profile/tokens"
    browser = acme.browser("admin")
    where = browser.post(form, FORM).headers["Location"]
    acme.change(UnseenSecret, {"created_at": utc_now() - timedelta(minutes=11)})
    assert not secrets_on(browser.get(where), form)
    browser.post(form, FORM)
    assert len(acme.rows(UnseenSecret)) == 1


def test_it_goes_with_the_session(acme):
    browser = acme.browser("admin")
    browser.post("/-/profile/tokens", FORM)
    browser.post("/-/sign-out")
    assert acme.rows(UnseenSecret) == []


def test_a_page_without_a_new_secret_writes_nothing(acme):
    browser = acme.browser("admin")
    for address in ("/-/profile?created=7", "/acme/app/-/deploy-tokens?created=7"):
        with acme.statements() as statements:
            assert browser.get(address).status_code == 200
        assert {sql.split()[0] for sql in statements} == {"SELECT"}
