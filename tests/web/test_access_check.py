"""“Can X push to Y?”: the page answers as the endpoint would, and no more than may be known."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from registry_ui.models import AccessToken, DeployToken, User, utc_now
from tests.web.support import PASSWORD, PEOPLE

ACTIONS = ("pull", "push", "delete")


def words(text):
    text = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def told(answer, repository):
    """Everything that a page says, but for the repository that was asked about."""
    text = re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", answer.text)
    return text.replace(repository, "NAME")


def ask(site, who, repository, user=None, **more):
    query = {"repository": repository, **more} | ({} if user is None else {"user": user})
    pairs = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return site.browser(who).get(f"/-/access-check?{pairs}")


def answers(answer):
    """What is allowed, and why: ``{"pull": (True, "rule")}``."""
    assert answer.status_code == 200, words(answer.text)
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    found = {}
    for line in re.findall(r"<tr>.*?</tr>", body, re.DOTALL):
        action, word, rule = re.fullmatch(r"(\w+) (allowed|refused) (.*)", words(line)).groups()
        found[action.lower()] = (word == "allowed", rule)
    assert list(found) == list(ACTIONS)
    return found


@pytest.fixture
def acme(site):
    site.user("admin", admin=True)
    site.users("alice", "bob", "carol")
    site.project("acme/app")
    site.project("acme/open", "public")
    site.project("secret/app")
    site.member("acme", "alice", "maintainer")
    site.member("acme/app", "bob", "reporter")
    return site


@pytest.mark.parametrize("path", ["acme/private", "acme/internal", "acme/public", "free/image"])
def test_the_page_answers_what_the_endpoint_grants(world, path):
    """For every role, asked by an administrator."""
    for who in PEOPLE:
        auth = None if who == "anonymous" else (who, PASSWORD)
        granted = world.granted(f"repository:{path}/x:*", auth=auth).get(f"{path}/x", "").split(",")
        found = answers(ask(world, "admin", f"{path}/x", "" if auth is None else who))
        assert {action for action in ACTIONS if found[action][0]} == set(granted) - {""}, who


def test_anyone_asks_about_themselves_and_is_told_the_rule(acme):
    found = answers(ask(acme, "bob", "acme/app/web"))
    assert found["pull"] == (True, "Reporter in acme/app")
    assert found["push"] == (False, "you are Reporter in acme/app; push needs Developer")


def test_what_may_not_be_seen_is_answered_as_what_is_not_there(acme):
    pages = []
    for repository in ("secret/app/web", "absent/app/web"):
        answer = ask(acme, "bob", repository)
        rules = {rule for _, rule in answers(answer).values()}
        assert rules == {f"no project owns {repository}"}
        pages.append(told(answer, repository))
    assert pages[0] == pages[1]


def test_whoever_may_push_reads_which_tags_rules_keep_there(acme):
    acme.user("dev")
    acme.member("acme/app", "dev", "developer")
    acme.rule("acme/app", "v*")
    acme.rule("acme/app", "latest", "maintainer", images="web")
    acme.rule("acme/app", "edge", "owner", images="other")
    text = words(ask(acme, "dev", "acme/app/web").text)
    assert "Tags v* of all images may be created, and are never overwritten or deleted." in text
    assert "Tags latest of images web are pushed and deleted by Maintainers and Owners" in text
    assert "edge" not in text, "that is a rule of another image"
    assert "Tags v*" not in words(ask(acme, "bob", "acme/app/web").text), "bob pushes nothing"
    assert "Tags v*" not in words(ask(acme, "dev", "acme/open/web").text), "another project"


@pytest.mark.parametrize("restriction", ["", "secret/app"])
def test_a_token_is_answered_about_hidden_and_absent_projects_alike(acme, restriction):
    acme.access_token("bob", "read_registry")
    acme.change(AccessToken, {"restriction_path": restriction or None})
    token = acme.row(AccessToken).id
    found = [answers(ask(acme, "bob", f"{p}/app", token=token)) for p in ("secret", "absent")]
    assert str(found[0]) == str(found[1]).replace("absent", "secret")


def test_anyone_asks_about_visitors_as_far_as_they_see_the_project(acme):
    assert answers(ask(acme, "carol", "acme/open", ""))["pull"] == (True, "acme/open is public")
    assert answers(ask(acme, "bob", "acme/app", ""))["pull"] == (
        False,
        "not signed in; pull needs Reporter in acme/app",
    )
    found = answers(ask(acme, "carol", "acme/app", ""))
    assert found["pull"] == (False, "no project owns acme/app")


@pytest.mark.parametrize("user", ["alice", "nobody", "deploy+x-1", "Alice"])
def test_about_others_nobody_asks_who_does_not_look_after_the_place(acme, user):
    every = set()
    for repository in ("acme/app", "acme/open", "secret/app", "absent/app"):
        answer = ask(acme, "bob", repository, user)
        assert answer.status_code == 403
        every.add(told(answer, repository))
    assert len(every) == 1, "the same, whatever is there"


def test_a_maintainer_asks_about_anyone_below_their_place(acme):
    found = answers(ask(acme, "alice", "acme/app/web", "bob"))
    assert found["push"] == (False, "Reporter in acme/app; push needs Developer")
    assert answers(ask(acme, "alice", "acme/none/web", "bob"))["push"] == (
        False,
        "no project owns acme/none/web",
    )
    assert answers(ask(acme, "alice", "acme/app", "nobody"))["pull"] == (
        False,
        "there is no user “nobody”",
    )
    assert ask(acme, "alice", "secret/app", "bob").status_code == 403


def test_a_maintainer_asks_about_the_deploy_tokens_that_are_theirs(acme):
    mine, _ = acme.deploy_token("acme/app", "read_registry")
    above, _ = acme.deploy_token("acme", "write_registry")
    foreign, _ = acme.deploy_token("secret/app", "write_registry")
    found = answers(ask(acme, "alice", "acme/app", mine))
    assert found["pull"] == (True, "deploy token of acme/app")
    assert found["push"] == (False, "the deploy token has no scope for push")
    assert answers(ask(acme, "alice", "acme/app", above))["push"][0]
    assert answers(ask(acme, "alice", "acme/open/x", mine))["push"][0] is False
    answer = ask(acme, "alice", "acme/app", foreign)
    assert answers(answer)["pull"] == (False, f"there is no deploy token “{foreign}”")
    assert "secret" not in answer.text
    assert "secret/app" in answers(ask(acme, "admin", "acme/app", foreign))["pull"][1]


def test_credentials_that_are_no_good_are_said_to_be_so(acme):
    username, _ = acme.deploy_token("acme/app", "read_registry")
    acme.change(DeployToken, {"revoked_at": utc_now()})
    assert "was revoked" in answers(ask(acme, "admin", "acme/app", username))["pull"][1]
    past = utc_now() - timedelta(days=1)
    acme.change(DeployToken, {"revoked_at": None, "expires_at": past})
    assert "has expired" in answers(ask(acme, "admin", "acme/app", username))["pull"][1]
    acme.change(User, {"is_blocked": True}, username="bob")
    assert answers(ask(acme, "admin", "acme/app", "bob"))["pull"] == (
        False,
        "the account is blocked",
    )


@pytest.mark.both_databases
def test_ones_own_access_token_can_be_chosen_and_nobody_elses(acme):
    acme.access_token(
        "bob", "read_registry", name="laptop", restriction="acme/app/web", restriction_exact=True
    )
    acme.access_token("carol", "read_registry", name="other")
    bobs, others = (token.id for token in acme.rows(AccessToken))
    assert "laptop" in acme.browser("bob").get("/-/access-check").text
    assert answers(ask(acme, "bob", "acme/app/web", token=bobs))["pull"][0]
    assert answers(ask(acme, "bob", "acme/app", token=bobs))["pull"] == (
        False,
        "the access token is only for acme/app/web",
    )
    for token in (others, 999):
        assert ask(acme, "bob", "acme/app", token=token).status_code == 422
    for token in ("x", "-1", "9" * 30):
        assert ask(acme, "bob", "acme/app", token=token).status_code == 200
    assert "only for" not in ask(acme, "alice", "acme/app", "bob", token=bobs).text.lower()


def test_it_is_said_where_docker_login_takes_no_password(acme):
    assert "passwords are not accepted" not in ask(acme, "bob", "acme/app").text
    acme.change(User, {"tokens_only": True}, username="bob")
    assert "passwords are not accepted" in ask(acme, "bob", "acme/app").text


@pytest.mark.parametrize(
    "given", ["{host}/acme/app:1.0", "acme/app:latest", " acme/app ", "acme/app@sha256:" + "0" * 64]
)
def test_a_reference_can_be_pasted_as_it_is(acme, given):
    host = acme.app.config["SETTINGS"].registry_host
    assert answers(ask(acme, "bob", given.format(host=host)))["pull"][0]


@pytest.mark.parametrize("given", ["ACME", "a b", "/", "a//b", "<script>", "a\0b", "x" * 600])
def test_what_is_no_repository_is_said_to_be_none(acme, given):
    answer = ask(acme, "bob", given)
    assert answer.status_code == 422
    assert "<script>" not in answer.text


@pytest.mark.parametrize("user", ["a\0", "<script>", "deploy+", "+", "x" * 1000, "алиса"])
def test_a_name_that_nobody_can_have_is_no_breakdown(acme, user):
    for who, status in (("bob", 403), ("admin", 200)):
        answer = ask(acme, who, "acme/app", user)
        assert answer.status_code == status
        assert "<script>" not in answer.text


def test_the_pages_of_a_place_lead_there(acme):
    for url in ("/acme/app", "/acme/app/-/members", "/acme/app/-/decisions", "/-/decisions"):
        assert "/-/access-check" in acme.browser("alice").get(url).text, url
    assert "/-/access-check" in acme.browser("admin").get("/-/admin/decisions").text
    assert "/-/decisions" in acme.browser("alice").get("/-/profile").text
