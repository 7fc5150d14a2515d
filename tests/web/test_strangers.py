"""What strangers ask for leaves few records, and pushes out none about accounts and projects."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from unittest import mock

import pytest

from registry_ui.accounts import authentication, throttle
from registry_ui.models import TokenDecision, utc_now
from registry_ui.token_auth import decision_log, visitors
from registry_ui.token_auth.visitors import (
    MAX_OF_NETWORK,
    MAX_OF_PLACE,
    DecisionRecord,
    VisitorLimits,
)
from tests.web.support import PASSWORD

#: What one record takes with its indexes, generously: names of 255 characters, three indexes.
BYTES_OF_A_ROW = 1500
PROCESSES = 2


@pytest.fixture
def acme(site):
    site.users("alice")
    site.user("admin", admin=True)
    site.project("acme/app", "public")
    site.project("acme/hidden")
    site.member("acme", "alice", "maintainer")
    return site


def ask(site, name, address="192.0.2.1", agent="docker/1"):
    url = f"/jwt/auth?service=registry&scope=repository:{name}:pull"
    client = site.app.test_client()
    environ = {"REMOTE_ADDR": address}
    return client.get(url, headers={"User-Agent": agent}, environ_base=environ)


def written(site, **which):
    with site.app.app_context():
        decision_log.decision_log().flush()
    return site.rows(TokenDecision, **which)


def test_made_up_names_of_a_network_are_a_few_records_and_one_with_a_count(acme):
    for number in range(MAX_OF_PLACE + 30):
        ask(acme, f"made/up{number}", f"2001:db8::{number + 1:x}", f"agent{number}")
        if number % 7 == 0:
            written(acme)
    rows = written(acme)
    assert len(rows) == MAX_OF_PLACE + 1
    (crowd,) = [row for row in rows if row.count > 1]
    assert crowd.count == 30
    assert crowd.address == "2001:db8::/64"
    assert crowd.repository == crowd.place == crowd.client == ""
    assert "such as for made/up20, made/up21, made/up22" in crowd.rule
    assert {row.category for row in rows} == {"unowned"}


def test_the_same_from_another_network_or_in_another_hour_is_recorded_again(acme, monkeypatch):
    for number in range(MAX_OF_PLACE + 1):
        ask(acme, f"made/up{number}")
    before = len(written(acme))
    ask(acme, "made/up0", "192.0.2.2")
    assert len(written(acme)) == before + 1
    later = utc_now() + visitors.HOUR
    monkeypatch.setattr(decision_log, "utc_now", lambda: later)
    ask(acme, "made/up0")
    assert len(written(acme)) == before + 2


def test_requests_of_strangers_for_a_real_place_are_counted_for_it(acme):
    for number in range(MAX_OF_PLACE + 5):
        ask(acme, f"acme/none{number}/x")
        ask(acme, "acme/app", agent=f"agent{number}")
    rows = written(acme)
    assert {row.category for row in rows} == {"visitor"}
    crowds = {(row.place, row.granted): row for row in rows if row.count > 1}
    assert set(crowds) == {("acme", ""), ("acme/app", "pull")}
    assert [crowd.count for crowd in crowds.values()] == [5, 5]
    page = acme.browser("alice").get("/acme/-/decisions").text
    assert "further requests in this hour, such as for acme/none20/x" in page


def test_what_is_hidden_is_recorded_like_what_is_absent_for_who_may_see_neither(acme):
    """An answer and a user's own page tell nothing, however often they are asked."""
    acme.users("bob")
    for name in ("acme/hidden/x", "nowhere/x"):
        for _ in range(MAX_OF_PLACE + 5):
            assert ask(acme, name).json["scope"] == ""
            acme.ask_token(f"repository:{name}:pull", auth=("bob", PASSWORD))
    written(acme)
    page = acme.browser("bob").get("/-/decisions")
    assert "nowhere/x" in page.text
    rows = [row for row in acme.rows(TokenDecision) if row.username == "bob"]
    assert {row.category for row in rows} == {"account"}


def test_wrong_passwords_for_made_up_names_are_few_records_too(acme, monkeypatch):
    monkeypatch.setattr(authentication, "verify_password", lambda *_, **__: False)
    monkeypatch.setattr(throttle, "NETWORK_LIMIT", 10**9)
    for number in range(MAX_OF_PLACE + 10):
        acme.ask_token(auth=(f"name{number}", "x"))
    rows = written(acme)
    assert len(rows) == MAX_OF_PLACE + 1
    assert rows[-1].count == 10
    assert rows[-1].username == ""
    assert "such as for name20, name21, name22" in rows[-1].rule


def test_a_flood_of_strangers_costs_no_record_of_an_account(acme, monkeypatch, caplog):
    monkeypatch.setattr(visitors, "MAX_OF_PLACE", 10**6)
    monkeypatch.setattr(visitors, "MAX_OF_NETWORK", 10**6)
    with mock.patch.multiple(decision_log, MAX_PENDING=8, MAX_PENDING_VISITORS=5):
        for number in range(20):
            ask(acme, f"made/up{number}")
        acme.ask_token("repository:acme/app:pull", auth=("alice", PASSWORD))
        rows = written(acme)
    assert [row.username for row in rows] == [""] * 5 + ["alice"]
    assert "15 decisions of the token endpoint were too many to keep" in caplog.text


@pytest.mark.both_databases
def test_a_crowd_that_was_not_written_is_written_with_the_next(acme, monkeypatch):
    for number in range(MAX_OF_PLACE + 3):
        ask(acme, f"made/up{number}")
    written(acme)
    ask(acme, "made/up99")
    (crowd,) = [row for row in written(acme) if row.count > 1]
    assert crowd.count == 4


def noted(number, network):
    name = f"{number:x}".rjust(200, "a")
    address = f"198.{network // 256 % 256}.{network % 256}.1"
    return DecisionRecord("", "none", address, "docker", name, "", "pull", "", "x" * 300, "unowned")


def test_a_request_is_admitted_without_adding_up_all_networks():
    class Networks(Counter):
        def total(self):
            pytest.fail("adds up thousands of networks for each request")

    limits, now = VisitorLimits(), utc_now()
    limits._networks = Networks()
    for number in range(visitors.MAX_OF_ALL + 10):
        limits.admit(noted(number, number), now)
    assert len(limits._networks) == visitors.MAX_OF_ALL
    assert limits.admit(noted(1, 1), now + visitors.HOUR), "the next hour begins with none"


@pytest.mark.parametrize("networks", [1, 3000], ids=["one network", "thousands of networks"])
def test_an_hour_of_made_up_names_takes_less_than_ten_megabytes(networks):
    """By its caps, at whatever rate: of one stranger, and of all of them together."""
    limits, now = VisitorLimits(), utc_now()
    own = sum(
        limits.admit(noted(n, n % networks), now + timedelta(milliseconds=n)) for n in range(60_000)
    )
    rows = own + len(limits._crowds)
    if networks == 1:
        assert rows == MAX_OF_PLACE + 1
        assert MAX_OF_NETWORK * PROCESSES * BYTES_OF_A_ROW < 1_000_000
    assert rows <= visitors.MAX_OF_ALL + visitors.MAX_CROWDS + 1
    assert len(limits._networks) <= visitors.MAX_OF_ALL
    whole = PROCESSES * rows * 800
    assert whole < 10_000_000
    assert sum(crowd.count for crowd in limits._crowds.values()) == 60_000 - own
