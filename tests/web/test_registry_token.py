"""The registry token: shown on demand, and reset without losing an event."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
import yaml

from registry_ui.endpoints import registry_events
from registry_ui.models import RegistryEvent, RegistryToken, User
from tests.web.support import event_of

PAGE = "/-/admin/registry-token"
DAY = timedelta(hours=24)


@pytest.fixture
def admin(site):
    """An administrator's browser; ``site`` has a registry token that was never used."""
    site.user("admin", admin=True)
    site.registry_token()
    return site.browser("admin")


def reset(browser):
    """Reset by the page, and return the new secret as it is shown."""
    answer = browser.submit(f"{PAGE}/reset")
    assert answer.status_code == 200, answer.text
    return shown(answer)


def shown(answer):
    (secret,) = set(re.findall(r"rt_[A-Za-z0-9_-]{43}", answer.text))
    return secret


def works(site, token):
    """Whether an event with this token is taken."""
    return site.deliver(event_of("push", "a/b", "v1"), token=token).status_code == 202


def test_the_page_shows_the_token_masked(site, admin):
    secret = site.registry_token()
    text = admin.get(PAGE).text
    assert secret not in text
    assert secret[3:10] not in text
    assert secret[-4:] in text


def test_the_token_is_revealed_on_demand_and_that_is_noted(site, admin):
    answer = admin.submit(f"{PAGE}/reveal")
    assert shown(answer) == site.registry_token()
    assert "no-store" in answer.headers["Cache-Control"]
    assert ("admin", "registry_token.reveal", "registry token") in site.audit()
    assert site.registry_token() not in admin.get(PAGE).text


def test_the_token_is_not_in_the_store_as_it_is(site, admin):
    secret = reset(admin)
    assert secret not in str(site.dump())
    with site.session():
        assert secret.encode() not in site.row(RegistryToken, state="current").secret_encrypted


@pytest.mark.parametrize("deed", ["reveal", "reset", "revoke-previous"])
def test_a_link_does_nothing(site, admin, deed):
    before = site.dump()
    answer = admin.get(f"{PAGE}/{deed}")
    assert answer.headers.get("Location") == (PAGE if deed in {"reveal", "reset"} else None)
    assert site.dump() == before


def test_a_reset_keeps_the_old_token_until_the_first_event_with_the_new(site, admin):
    old = site.registry_token()
    assert works(site, old)
    new = reset(admin)
    assert new != old
    assert works(site, old)
    assert works(site, new)
    assert not works(site, old)
    assert works(site, new)
    assert [row.state for row in site.rows(RegistryToken)] == ["revoked", "current"]


def test_the_old_token_lasts_a_day_at_most(site, admin):
    old = site.registry_token()
    reset(admin)
    until = site.row(RegistryToken, state="previous").valid_until
    assert abs(until - datetime.now(UTC) - DAY) < timedelta(minutes=1)
    site.change(RegistryToken, {"valid_until": datetime.now(UTC)}, state="previous")
    assert not works(site, old)


def test_a_token_that_was_reset_before_the_registry_had_it_is_worth_nothing(site, admin):
    used = site.registry_token()
    assert works(site, used)
    never_used = reset(admin)
    current = reset(admin)
    assert not works(site, never_used)
    assert works(site, used)
    assert works(site, current)
    assert not works(site, used)


def test_after_several_resets_in_a_row_the_registry_goes_on_with_what_it_has(site, admin):
    used = site.registry_token()
    assert works(site, used)
    for _ in range(4):
        reset(admin)
    assert works(site, used)
    states = [row.state for row in site.rows(RegistryToken)]
    assert states.count("current") == 1
    assert states.count("previous") == 1


def test_another_reset_does_not_bring_an_expired_token_back(site, admin):
    expired = site.registry_token()
    assert works(site, expired)
    reset(admin)
    site.change(RegistryToken, {"valid_until": datetime.now(UTC)}, state="previous")
    assert not works(site, expired)
    reset(admin)
    assert not works(site, expired)


def test_another_reset_does_not_bring_a_revoked_token_back(site, admin):
    revoked = site.registry_token()
    assert works(site, revoked)
    reset(admin)
    admin.post(f"{PAGE}/revoke-previous")
    reset(admin)
    assert not works(site, revoked)


def test_the_old_token_can_be_revoked_now(site, admin):
    old = site.registry_token()
    new = reset(admin)
    assert admin.post(f"{PAGE}/revoke-previous").status_code == 302
    assert not works(site, old)
    assert works(site, new)
    assert ("admin", "registry_token.revoke_previous", "registry token") in site.audit()


def test_where_there_is_no_old_token_none_is_revoked(site, admin):
    answer = admin.post(f"{PAGE}/revoke-previous")
    assert answer.status_code == 409
    assert works(site, site.registry_token())


def test_a_reset_is_noted_with_who_did_it_and_so_is_its_first_use(site, admin):
    new = reset(admin)
    assert ("admin", "registry_token.reset", "registry token") in site.audit()
    works(site, new)
    assert ("-/registry", "registry_token.in_use", "registry token") in site.audit()
    assert new not in str(site.dump()["audit_entries"])


def test_the_first_event_with_a_new_token_has_everything_compared_once(site, admin, monkeypatch):
    """The registry was restarted for it, and forgets at a restart what it did not deliver."""
    jobs = []
    monkeypatch.setattr(registry_events, "enqueue", lambda name, *_args: jobs.append(name))
    assert works(site, site.registry_token())
    new = reset(admin)
    assert works(site, new)
    assert works(site, new)
    assert jobs.count("reconcile_all") == 1


def test_the_page_says_which_token_is_in_use_and_when_the_last_event_came(site, admin):
    assert works(site, site.registry_token())
    at = site.rows(RegistryEvent)[-1].received_at
    assert at.strftime("%Y-%m-%dT%H:%M") in admin.get(PAGE).text
    old = site.registry_token()
    new = reset(admin)
    text = admin.get(PAGE).text
    assert old[-4:] in text
    assert new[-4:] in text
    works(site, new)
    assert old[-4:] not in admin.get(PAGE).text.replace(new, "")


def test_uses_are_noted_coarsely(site):
    token = site.registry_token()
    works(site, token)
    row = site.row(RegistryToken)
    assert row.first_used_at == row.last_used_at
    works(site, token)
    assert site.row(RegistryToken).last_used_at == row.last_used_at
    site.change(RegistryToken, {"last_used_at": row.last_used_at - timedelta(hours=1)})
    works(site, token)
    assert site.row(RegistryToken).last_used_at >= row.last_used_at
    assert site.row(RegistryToken).first_used_at == row.first_used_at


def test_the_snippet_is_yaml_that_the_registry_reads(site, admin):
    answer = admin.submit(f"{PAGE}/reveal")
    (text,) = re.findall(r"<pre[^>]*><code[^>]*>(.*?)</code>", answer.text, re.DOTALL)
    (endpoint,) = yaml.safe_load(unescape(text))["notifications"]["endpoints"]
    assert endpoint["url"] == site.app.config["SETTINGS"].events_url
    assert endpoint["headers"]["Authorization"] == [f"Bearer {site.registry_token()}"]


def test_after_the_secret_key_was_changed_the_page_opens_and_a_reset_helps(site, admin):
    old = site.registry_token()
    site.app.config["SECRET_KEY"] = "another secret key of the tests, long enough"
    admin.be(site.row(User, username="admin"))
    assert admin.post(f"{PAGE}/reveal").status_code == 409
    assert admin.get(PAGE).status_code == 200
    assert works(site, old)
    new = reset(admin)
    assert works(site, new)
    assert not works(site, old)


# -- at once ---------------------------------------------------------------------------------


def at_once(count, deed):
    """Do it in several threads that start together; return what each returned."""
    start, found = threading.Barrier(count), []

    def one():
        start.wait(60)
        found.append(deed())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == count
    return found


@pytest.mark.both_databases
@pytest.mark.usefixtures("admin")
def test_resets_at_once_leave_one_current_token_and_lose_no_event(site):
    used = site.registry_token()
    assert works(site, used)
    answers = at_once(4, lambda: site.browser("admin").submit(f"{PAGE}/reset"))
    assert {answer.status_code for answer in answers} <= {200, 409}
    secrets = [shown(answer) for answer in answers if answer.status_code == 200]
    assert secrets
    states = [row.state for row in site.rows(RegistryToken)]
    assert states.count("current") == 1
    assert works(site, used)
    (current,) = [secret for secret in set(secrets) if secret == site.registry_token()]
    assert works(site, current)


@pytest.mark.both_databases
def test_the_first_token_is_made_once_by_however_many_ask_at_once(site):
    assert len(set(at_once(4, site.registry_token))) == 1
    assert len(site.rows(RegistryToken)) == 1


@pytest.mark.both_databases
def test_events_that_come_while_the_token_is_reset_are_all_taken(site, admin):
    token = site.registry_token()
    assert works(site, token)
    stop, statuses = threading.Event(), []

    def bring():
        while not stop.is_set():
            statuses.append(site.deliver(event_of("push", "a/b", "v1"), token=token).status_code)

    thread = threading.Thread(target=bring)
    thread.start()
    for _ in range(5):
        reset(admin)
    stop.set()
    thread.join(60)
    assert set(statuses) == {202}
