"""What the token endpoint decided is kept, with the rule that refused (issue 3)."""

from __future__ import annotations

import threading
import time

import pytest

from registry_ui.models import AccessToken, TokenDecision
from registry_ui.token_auth import decision_log
from registry_ui.token_auth.decision_log import DecisionLog, DecisionRecord
from tests.web.support import PASSWORD

ONE = DecisionRecord(
    "alice", "password", "192.0.2.1", "docker", "acme/app", "acme/app", "pull", "pull", ""
)


@pytest.fixture
def acme(site):
    site.users("alice")
    site.user("admin", admin=True)
    site.project("acme/app")
    site.member("acme/app", "alice", "reporter")
    return site


def recorded(site):
    with site.app.app_context():
        decision_log.decision_log().flush()
    return [
        (row.username, row.credential, row.repository, row.requested, row.granted, row.rule)
        for row in site.rows(TokenDecision)
    ]


def test_a_grant_and_a_refusal_with_the_rule_that_refused(acme):
    acme.ask_token("repository:acme/app/web:pull,push", auth=("alice", PASSWORD))
    rule = "you are Reporter in acme/app; push needs Developer"
    assert recorded(acme) == [("alice", "password", "acme/app/web", "pull,push", "pull", rule)]
    (row,) = acme.rows(TokenDecision)
    assert (row.place, row.count, row.address) == ("acme/app", 1, "127.0.0.1")


@pytest.mark.parametrize(
    ("who", "scope", "place", "rule"),
    [
        (
            None,
            "repository:acme/app:pull",
            "acme/app",
            "you are not signed in; pull needs Reporter in acme/app",
        ),
        ("alice", "repository:acme/none/x:pull", "acme", "no project owns acme/none/x"),
        ("alice", "repository:nowhere:pull", "", "no project owns nowhere"),
        ("alice", "registry:catalog:*", "", "the catalog of the registry is for administrators"),
    ],
)
def test_each_refusal_names_its_rule(acme, who, scope, place, rule):
    acme.ask_token(scope, auth=(who, PASSWORD) if who else None)
    (row,) = recorded(acme)
    assert row[5] == rule
    assert acme.rows(TokenDecision)[0].place == place


def test_the_credential_is_named_as_its_owner_named_it(acme):
    secret = acme.access_token("alice", "write_registry", name="laptop")
    acme.change(AccessToken, {"restriction_path": "acme/other"})
    acme.ask_token("repository:acme/app:pull", auth=("alice", secret))
    acme.ask_token("repository:acme/app:delete", auth=("alice", secret))
    deploy = acme.deploy_token("acme/app", "read_registry", name="ci")
    acme.ask_token("repository:acme/app:push", auth=deploy)
    assert [(row[1], row[5]) for row in recorded(acme)] == [
        ("access token “laptop”", "the access token is only for acme/other and what is below it"),
        ("access token “laptop”", "the access token has no scope for delete"),
        ("deploy token “ci”", "the deploy token has no scope for push"),
    ]


def test_a_sign_in_without_scopes_and_a_wrong_password_are_recorded_too(acme):
    acme.ask_token(auth=("alice", PASSWORD))
    acme.ask_token(auth=("Alice", "wrong"))
    assert [(row[0], row[2], row[5]) for row in recorded(acme)] == [
        ("alice", "", ""),
        ("alice", "", "The user name, password or access token is wrong."),
    ]


def test_nothing_secret_is_recorded(acme):
    secret = acme.access_token("alice", "read_registry")
    acme.ask_token(auth=("alice", secret))
    acme.ask_token(auth=("alice", "s3cret-guess"))
    text = str(recorded(acme))
    assert secret not in text
    assert "s3cret-guess" not in text


def test_equal_decisions_of_a_moment_are_one_row_with_a_count(acme):
    for _ in range(5):
        acme.ask_token("repository:acme/app:pull", auth=("alice", PASSWORD))
    recorded(acme)
    assert [row.count for row in acme.rows(TokenDecision)] == [5]


def test_deciding_writes_nothing_by_itself(acme):
    acme.ask_token(auth=("alice", PASSWORD))
    with acme.statements() as statements:
        acme.ask_token("repository:acme/app:pull", auth=("alice", PASSWORD))
    assert {sql.split()[0] for sql in statements} == {"SELECT"}
    assert acme.rows(TokenDecision) == []


# -- the journal itself ----------------------------------------------------------


def test_a_thread_of_its_own_writes_soon(monkeypatch):
    monkeypatch.setattr(decision_log, "INTERVAL", 0.02)
    written = []
    journal = DecisionLog(written.extend)
    journal.record(ONE)
    journal.record(ONE)
    deadline = time.monotonic() + 60
    while sum(count for _, _, count in written) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    journal.close()


def test_closed_it_writes_the_rest_and_its_thread_ends():
    written = []
    journal = DecisionLog(written.extend)
    journal.record(ONE)
    thread = journal._thread
    journal.close()
    assert not thread.is_alive()
    assert sum(count for _, _, count in written) == 1


def test_what_does_not_fit_is_counted_and_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(decision_log, "MAX_PENDING", 3)
    written = []
    journal = DecisionLog(written.extend, threaded=False)
    for number in range(5):
        journal.record(ONE._replace(repository=f"acme/{number}"))
    journal.flush()
    assert len(written) == 3
    assert "2 decisions of the token endpoint were too many to keep" in caplog.text


def test_a_store_that_breaks_breaks_nothing_else(caplog):
    def breaks(_batch):
        raise OSError("disk full")

    journal = DecisionLog(breaks, threaded=False)
    journal.record(ONE)
    journal.flush()
    assert "1 decisions of the token endpoint were not kept" in caplog.text
    journal.record(ONE)


def test_what_a_client_calls_itself_is_kept_short_and_printable(acme):
    client = acme.app.test_client()
    client.get(
        "/jwt/auth?service=registry", headers={"User-Agent": "do\x7fcker\x1b[31m/1 x" + "y" * 500}
    )
    client.get("/jwt/auth?service=registry", headers={"User-Agent": "z" * 5000})
    recorded(acme)
    assert [row.client for row in acme.rows(TokenDecision)] == ["docker[31m/1", "z" * 100]


def test_the_name_of_a_stranger_is_kept_as_text_of_a_length_that_fits(acme):
    acme.ask_token(auth=("x" * 5000, "y"))
    acme.ask_token(auth=("a\x00b", "y"))
    assert [row[0] for row in recorded(acme)] == ["x" * 150, "ab"]


def test_no_answer_waits_for_the_journal(acme, monkeypatch):
    """Answers come while the journal's thread is stuck in the middle of a write."""
    monkeypatch.setattr(decision_log, "INTERVAL", 0.01)
    stuck, over, writers = threading.Event(), threading.Event(), []

    def write(_batch):
        writers.append(threading.current_thread().name)
        stuck.set()
        over.wait(60)

    journal = acme.app.extensions["decision_log"] = DecisionLog(write)
    try:
        for _ in range(2):
            answer = acme.ask_token("repository:acme/app:pull", auth=("alice", PASSWORD))
            assert answer.status_code == 200
            assert stuck.wait(60)
        assert writers == ["decision_log"]
    finally:
        over.set()
        journal.close()
