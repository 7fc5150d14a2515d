"""“Why was I denied?”: who reads which decisions, and what they must not learn from them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from registry_ui.models import AccessToken, Project, TokenDecision, User, utc_now
from registry_ui.token_auth.decision_queries import impersonal, without_elsewhere
from tests.web.support import PASSWORD

BOB = ("bob", PASSWORD)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def acme(site):
    """acme/app with a Maintainer, a Reporter and a stranger; secret/app, which only admin sees."""
    site.user("admin", admin=True)
    site.users("alice", "bob", "carol")
    site.project("acme/app")
    site.project("acme/other")
    site.project("secret/app")
    site.member("acme/app", "alice", "maintainer")
    site.member("acme/app", "bob", "reporter")
    return site


def lines(answer):
    """The rows of the table, as they are in the page."""
    assert answer.status_code == 200, answer.text
    body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(r"<tr>.*?</tr>", body, re.DOTALL)


def words(line):
    text = re.sub(r"<svg.*?</svg>", "", line, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def rows(site, who, url="/-/decisions"):
    return [words(line) for line in lines(site.browser(who).get(url))]


# -- one's own -------------------------------------------------------------------------


def test_a_user_sees_what_they_asked_what_they_got_and_the_rule_that_refused_the_rest(acme):
    acme.ask_token("repository:acme/app/web:pull,push", auth=BOB)
    (row,) = rows(acme, "bob")
    assert "acme/app/web" in row
    assert "pull, push" in row
    assert "only pull" in row
    assert "you are Reporter in acme/app; push needs Developer" in row
    assert "password" in row
    assert "127.0.0.1" in row


def test_a_user_sees_nobody_elses(acme):
    acme.ask_token("repository:acme/app:pull", auth=BOB)
    acme.ask_token("repository:acme/app:pull")
    assert rows(acme, "carol") == []
    assert rows(acme, "carol", "/-/decisions?user=bob") == []
    assert len(rows(acme, "bob")) == 1


def test_what_was_tried_in_a_users_name_is_theirs_to_know(acme):
    acme.ask_token(auth=("bob", "wrong password"))
    (row,) = rows(acme, "bob")
    assert "sign-in" in row
    assert "refused The user name, password or access token is wrong." in row


def test_equal_requests_are_one_line_with_their_number(acme):
    for _ in range(3):
        acme.ask_token("repository:acme/app:push", auth=BOB)
    (row,) = rows(acme, "bob")
    assert "3 times" in row


@pytest.mark.parametrize("auth", ["password", "token without the scope", "token for elsewhere"])
def test_a_private_project_and_one_that_is_not_there_give_the_same_row_to_the_byte(acme, auth):
    secret = {
        "password": PASSWORD,
        "token without the scope": acme.access_token("bob", "read_registry"),
        "token for elsewhere": acme.access_token("bob", "write_registry", restriction="acme"),
    }[auth]
    found = []
    for repository in ("secret/app/web", "absent/app/web", "secret/absent/web"):
        acme.ask_token(f"repository:{repository}:pull,push,delete", auth=("bob", secret))
        url = f"/-/decisions?repository={repository}"
        (line,) = lines(acme.browser("bob").get(url))
        line = re.sub(r"<time.*?</time>", "", line)
        assert f"no project owns {repository}" in line
        found.append(line.replace(repository, "NAME"))
    assert found[0] == found[1] == found[2]


def test_the_whole_page_about_what_is_private_is_that_about_what_is_not_there(acme):
    pages = []
    for repository in ("secret/app/web", "absent/app/web"):
        acme.ask_token(f"repository:{repository}:pull", auth=BOB)
        text = acme.browser("bob").get(f"/-/decisions?repository={repository}").text
        text = re.sub(r"<time.*?</time>", "", text).replace(repository, "NAME")
        pages.append(re.sub(r'value="[^"]{40,}"', "", text).replace("%2F", "/"))
    assert pages[0] == pages[1].replace("absent/app/web", "NAME")


def test_the_rule_that_named_a_project_goes_with_the_right_to_see_it(acme):
    acme.ask_token("repository:acme/app/web:push", auth=BOB)
    assert "Reporter in acme/app" in rows(acme, "bob")[0]
    acme.browser("admin").post("/acme/app/-/members/bob", {"remove": "1"})
    (row,) = rows(acme, "bob")
    assert "no project owns acme/app/web" in row
    assert "Reporter" not in row
    assert 'href="/acme/app"' not in lines(acme.browser("bob").get("/-/decisions"))[0]


def test_a_project_that_may_be_seen_is_named_and_linked(acme):
    acme.change(Project, {"visibility": "internal"}, path="acme/other")
    acme.ask_token("repository:acme/other:push", auth=BOB)
    (line,) = lines(acme.browser("bob").get("/-/decisions"))
    assert 'href="/acme/other"' in line
    assert "you have no role in acme/other; push needs Developer" in words(line)


def test_an_administrator_reads_their_own_as_they_are(acme):
    token = acme.access_token("admin", "read_registry")
    acme.ask_token("repository:secret/app:push", auth=("admin", token))
    (row,) = rows(acme, "admin")
    assert "the access token has no scope for push" in row


# -- filters and pages -----------------------------------------------------------------


def fill(site, count, **values):
    fields = {"username": "bob", "credential": "password", "address": "", "client": "docker"}
    fields |= {
        "repository": "acme/app",
        "place": "acme/app",
        "requested": "pull",
        "granted": "pull",
    }
    fields |= {"rule": "", **values}
    with site.session() as session:
        for _ in range(count):
            session.add(TokenDecision(**fields))
        session.commit()


def test_the_list_is_paged_newest_first_and_every_row_is_on_one_page(acme):
    fill(acme, 1, repository="acme/app/oldest")
    fill(acme, 99)
    fill(acme, 1, repository="acme/app/newest")
    url, seen = "/-/decisions", []
    while url:
        answer = acme.browser("bob").get(url)
        seen.append([words(line) for line in lines(answer)])
        older = re.search(r'rel="next"\s+href="([^"]+)"', answer.text)
        url = older[1].replace("&amp;", "&") if older else None
    assert [len(page) for page in seen] == [50, 50, 1]
    assert "newest" in seen[0][0]
    assert "oldest" in seen[2][0]


def test_what_several_processes_wrote_is_in_the_order_of_its_moments(acme):
    """Each writes its own once a second: the later moment may have the smaller number."""
    fill(acme, 1, rule="later", granted="", at=utc_now())
    fill(acme, 1, rule="earlier", granted="", at=utc_now() - timedelta(seconds=1))
    assert ["later" in row for row in rows(acme, "bob")] == [True, False]


def test_filters_are_in_the_url_and_act_on_everything(acme):
    fill(acme, 60)
    fill(acme, 1, repository="acme/app/web", granted="", rule="because")
    fill(acme, 1, repository="acme/application", granted="", rule="because")
    assert len(rows(acme, "bob", "/-/decisions?refused=1")) == 2
    assert len(rows(acme, "bob", "/-/decisions?repository=acme/app&refused=1")) == 1
    assert len(rows(acme, "bob", "/-/decisions?repository=acme/app/web")) == 1
    assert len(rows(acme, "bob", "/-/decisions?repository=localhost/none")) == 0
    assert len(rows(acme, "alice", "/acme/app/-/decisions?user=bob")) == 50
    assert len(rows(acme, "alice", "/acme/app/-/decisions?user=Bob&refused=1")) == 2
    assert len(rows(acme, "alice", "/acme/app/-/decisions?user=nobody")) == 0


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=99999999999999", "before=%00"])
@pytest.mark.parametrize("more", ["", "&user=%00&repository=%00%F0%9F%92%A9", "&refused=yes"])
def test_filters_that_make_no_sense_are_no_breakdown(acme, query, more):
    fill(acme, 1)
    for who, url in (("bob", "/-/decisions"), ("admin", "/-/admin/decisions")):
        assert acme.browser(who).get(f"{url}?{query}{more}").status_code == 200


def test_what_a_client_and_a_stranger_write_is_shown_as_text(acme):
    fill(acme, 1, client=HOSTILE, credential=HOSTILE, repository=HOSTILE, rule=HOSTILE)
    fill(acme, 1, username=HOSTILE)
    for who, url in (
        ("bob", "/-/decisions"),
        ("alice", "/acme/app/-/decisions"),
        ("admin", "/-/admin/decisions"),
        ("admin", f"/-/admin/decisions?user={HOSTILE}&repository={HOSTILE}"),
    ):
        text = acme.browser(who).get(url).text
        assert HOSTILE not in text, url
        assert "&lt;script&gt;" in text, url


def test_nothing_asked_yet_teaches_what_will_be_here(acme):
    assert "Nothing was asked yet" in acme.browser("bob").get("/-/decisions").text
    text = acme.browser("bob").get("/-/decisions?refused=1").text
    assert "Nothing like that" in text


# -- of a project or namespace ---------------------------------------------------------


def test_a_maintainer_sees_what_was_asked_in_the_place_and_below_and_nothing_else(acme):
    for name in ("acme/app", "acme/app/web", "acme/other", "secret/app", "acme/application"):
        acme.ask_token(f"repository:{name}:pull", auth=BOB)
    found = rows(acme, "alice", "/acme/app/-/decisions")
    assert [re.search(r"acme/\S+", row)[0] for row in found] == ["acme/app/web", "acme/app"]
    for hidden in ("acme/other", "secret"):
        assert hidden not in acme.browser("alice").get("/acme/app/-/decisions").text


def test_the_words_are_about_the_user_not_to_the_reader(acme):
    acme.ask_token("repository:acme/app:push", auth=BOB)
    acme.ask_token("repository:acme/app:push")
    acme.ask_token("repository:acme/app:push", auth=("carol", PASSWORD))
    carol, visitor, bob = rows(acme, "alice", "/acme/app/-/decisions")
    assert "no role in acme/app; push needs Developer" in carol
    assert "anyone" in visitor
    assert "not signed in; push needs Developer in acme/app" in visitor
    assert "Reporter in acme/app; push needs Developer" in bob
    assert "you" not in carol + visitor + bob


def test_a_maintainer_does_not_learn_where_else_credentials_hold(acme):
    username, secret = acme.deploy_token("secret/app", "write_registry", name="pipeline")
    acme.ask_token("repository:acme/app:push", auth=(username, secret))
    token = acme.access_token("bob", "write_registry", name="my secret plan")
    # Made when bob was a member there.
    acme.change(AccessToken, {"restriction_path": "secret/app"}, name="my secret plan")
    acme.ask_token("repository:acme/app:push", auth=("bob", token))
    text = acme.browser("alice").get("/acme/app/-/decisions").text
    assert "secret/app" not in text
    assert "my secret plan" not in text
    assert "the access token is only for another place" in text
    assert "the deploy token is for another place" in text
    assert "secret/app" in acme.browser("admin").get("/acme/app/-/decisions").text


def test_a_maintainer_sees_no_address_of_a_person_but_that_of_a_program(acme):
    username, secret = acme.deploy_token("acme/app", "read_registry")
    acme.ask_token("repository:acme/app:pull", auth=(username, secret))
    acme.ask_token("repository:acme/app:pull", auth=BOB)
    bob, program = rows(acme, "alice", "/acme/app/-/decisions")
    assert "127.0.0.1" not in bob
    assert "127.0.0.1" in program
    assert "deploy token “ci”" in program


def test_what_was_decided_about_an_earlier_place_of_the_same_name_is_not_shown(acme):
    fill(acme, 1, at=utc_now() - timedelta(days=1), repository="acme/app/before")
    fill(acme, 1, repository="acme/app/since")
    (row,) = rows(acme, "alice", "/acme/app/-/decisions")
    assert "since" in row
    assert len(rows(acme, "admin", "/-/admin/decisions")) == 2


def test_an_administrator_sees_all_with_sign_ins_that_failed(acme):
    acme.ask_token("repository:secret/app:push", auth=BOB)
    acme.ask_token(auth=("nobody", "x"))
    unknown, bob = rows(acme, "admin", "/-/admin/decisions")
    assert "nobody" in unknown
    assert "no role in secret/app" in bob
    assert len(rows(acme, "admin", "/-/admin/decisions?user=nobody")) == 1


# -- the words -------------------------------------------------------------------------


ELSEWHERE = {
    "the deploy token is for b/c, not for a/b": "the deploy token is for another place",
    "the docker session is only for b": "the docker session is only for another place",
    "the access token is only for b and what is below it": "the access token is only for "
    "another place",
    "the access token is only for b; pull needs x": "the access token is only for another "
    "place; pull needs x",
}
HERE = [
    "the deploy token is for a/b/c, not for a/b",
    "the access token is only for a/b/c",
    "the access token is only for a and what is below it",
    "the access token has no scope for push",
    "no role in a/b; push needs Developer",
]


def test_a_rule_names_no_place_but_those_here():
    for rule, shown in (ELSEWHERE | {rule: rule for rule in HERE}).items():
        assert without_elsewhere(rule, "a/b") == shown


def test_words_for_whoever_asked_become_words_about_them():
    assert impersonal("you are not signed in; pull needs Reporter in a") == (
        "not signed in; pull needs Reporter in a"
    )
    assert impersonal("you have no role in a; push needs Developer; you have no role in a; x") == (
        "no role in a; push needs Developer; no role in a; x"
    )
    assert "you" not in impersonal("a is internal, and you are signed in")


def test_a_blocked_user_reads_nothing(acme):
    browser = acme.browser("bob")
    acme.change(User, {"is_blocked": True}, username="bob")
    assert browser.get("/-/decisions").status_code == 302
