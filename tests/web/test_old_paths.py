"""What old paths are good for: pulls, links to the new path, and nothing else."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from registry_ui.models import AccessToken, Place, Push, RegistryEvent, Tag, TokenDecision
from registry_ui.token_auth.decision_log import decision_log
from tests.support.html import Page
from tests.web.support import PASSWORD, digest, event_of


@pytest.fixture
def renamed(two_groups):
    """acme/old is acme/app now, and acme/app/front is acme/app/web."""
    number = two_groups.move("acme/app", "grace", source="acme/old", target="acme/app")
    two_groups.old_path("acme/old", "acme/app", number)
    two_groups.old_path("acme/app/front", "acme/app/web", number, exact=True)
    return two_groups


def granted(site, name, who):
    auth = (who, PASSWORD) if who else None
    return site.granted(f"repository:{name}:pull,push,delete", auth=auth).get(name)


def test_an_old_path_grants_pulls_to_whom_the_new_one_does(renamed):
    for name in ("acme/old/web", "acme/old/x/y", "acme/app/front"):
        assert granted(renamed, name, "owner") == "pull"
        assert granted(renamed, name, "worker") == "pull"
        assert granted(renamed, name, "boss") is None
        assert granted(renamed, name, None) is None
    assert granted(renamed, "acme/app/front/below", "owner") == "pull,push,delete"
    assert granted(renamed, "acme/app/web", "owner") == "pull,push,delete"


def test_a_token_holds_for_an_old_path_where_it_holds_for_the_new_one(renamed):
    restrictions = {
        "acme/app": "pull",
        "acme/app/web": "pull",
        "acme/other": None,
        "acme/old": None,
    }
    for path, expected in restrictions.items():
        name = path.replace("/", "-")
        secret = renamed.access_token("owner", "read_registry", name=name)
        renamed.change(AccessToken, {"restriction_path": path}, name=name)
        found = renamed.granted("repository:acme/old/web:pull", auth=("owner", secret))
        assert found.get("acme/old/web") == expected, path
    username, secret = renamed.deploy_token("acme/app", "read_registry")
    found = renamed.granted("repository:acme/old/web:pull", auth=(username, secret))
    assert found == {"acme/old/web": "pull"}


def test_the_refusal_says_where_it_is_now_and_until_when_it_can_be_pulled(renamed):
    granted(renamed, "acme/old/web", "worker")
    granted(renamed, "acme/old/web", "boss")
    with renamed.app.app_context():
        decision_log().flush()
    rules = {row.username: row for row in renamed.rows(TokenDecision)}
    words = "acme/old/web has moved to acme/app/web; the old path can be pulled until"
    assert f"{words} 24 December 2030" in rules["worker"].rule
    assert rules["worker"].place == "acme/app"
    page = renamed.browser("worker").get("/-/decisions").text
    assert "has moved to acme/app/web" in Page(page).text
    hidden = Page(renamed.browser("boss").get("/-/decisions").text).text
    assert "acme/app" not in hidden
    assert "no project owns acme/old/web" in hidden


def test_whoever_may_not_see_the_new_name_learns_nothing_from_the_old_one(renamed):
    check = "/-/access-check?repository="
    for who in ("boss", "owner"):
        text = Page(renamed.browser(who).get(f"{check}acme/old/web").text).text
        assert ("acme/old/web is now acme/app/web" in text) is (who == "owner")
    answers = [
        renamed.browser("boss").get(f"{check}{name}/web").text.replace(name, "NAME")
        for name in ("acme/old", "acme/odd")
    ]
    texts = [Page(text).text for text in answers]
    assert texts[0] == texts[1]


def test_pages_of_an_old_address_lead_to_the_new_one_for_those_who_may_see_it(renamed):
    moved = {
        "/acme/old": "/acme/app",
        "/acme/old/-/members?x=1&x=2": "/acme/app/-/members?x=1&x=2",
        "/acme/old/-/images/web": "/acme/app/-/images/web",
        "/acme/old/-/images/web/-/tags/v1": "/acme/app/-/images/web/-/tags/v1",
        "/acme/old/-/tags/v1": "/acme/app/-/tags/v1",
        "/acme/app/-/images/front/-/tags/v2": "/acme/app/-/images/web/-/tags/v2",
    }
    for old, new in moved.items():
        answer = renamed.browser("worker").get(old)
        assert (answer.status_code, answer.headers.get("Location")) == (302, new), old
        for who in ("boss", None):
            hidden = renamed.browser(who).get(old)
            assert hidden.status_code == 404 or "/-/sign-in" in hidden.headers["Location"]
    assert renamed.browser("owner").post("/acme/old/-/settings", {}).status_code == 404
    assert renamed.browser("owner").get("/acme/old/-/images/none").status_code == 302


def test_search_and_comparison_take_an_old_path_for_the_new_one(renamed):
    search, host = "/-/search?q=", renamed.app.config["SETTINGS"].registry_host
    found = {
        "acme/old": "/acme/app",
        "acme/old/web:v2": "/acme/app/-/images/web/-/tags/v2",
        f"docker pull {host}/acme/app/front:v1": "/acme/app/-/images/web/-/tags/v1",
    }
    for text, page in found.items():
        answer = renamed.browser("worker").get(search + quote(text))
        assert (answer.status_code, answer.headers.get("Location")) == (302, page), text
        hidden = renamed.browser("boss").get(search + quote(text))
        assert hidden.status_code == 200
        assert "Nothing" in Page(hidden.text).first("main").text, text
    compare = "/-/compare?from=acme/old/web:v1"
    offered = renamed.browser("worker").get(compare)
    assert offered.status_code == 200
    assert "Other tags of acme/app/web" in Page(offered.text).first("main").text
    assert renamed.browser("boss").get(compare).status_code == 404


def test_nobody_takes_an_old_path_or_one_that_is_on_its_way(renamed):
    renamed.move("acme/other", "copying", source="acme/other", target="acme/coming")
    renamed.move("acme/other", "copying", source="acme/other", target="newuser")
    renamed.user("root", admin=True)
    browser = renamed.browser("root")
    for name in ("old", "coming"):
        for kind in ("project", "namespace"):
            answer = browser.post(f"/-/new/{kind}", {"parent": "acme", "name": name})
            assert answer.status_code in {409, 422}, name
            assert f"“acme/{name}” is taken" in Page(answer.text).text
    runner = renamed.app.test_cli_runner()
    made = runner.invoke(args=["user", "create", "newuser"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert made.exit_code == 1
    assert "is taken" in made.output


@pytest.mark.both_databases
def test_what_has_an_old_path_is_not_deleted_before_that(renamed):
    renamed.project("acme/app2")
    number = renamed.move("acme/app2", "grace", source="acme/gone", target="acme/app2")
    renamed.old_path("acme/gone", "acme/app2", number)
    answer = renamed.browser("owner").post("/acme/app2/-/delete", {"confirm": "acme/app2"})
    assert answer.status_code == 409
    assert "Retire the old path first" in Page(answer.text).text
    assert f"/acme/app2/-/moves/{number}" in Page(answer.text).links.values()
    renamed.old_path("gone", "acme", renamed.move("acme", "grace", source="gone"))
    renamed.namespace("acme/empty")
    browser = renamed.browser("owner")
    assert browser.post("/acme/empty/-/delete", {"confirm": "acme/empty"}).status_code == 302
    assert renamed.rows(Place, path="acme/empty") == []


def test_the_token_endpoint_asks_once_and_more_only_for_an_old_path(renamed):
    secret = renamed.access_token("worker", "write_registry")
    auth = ("worker", secret)
    counts = {}
    for name in ("acme/app/web", "acme/old/web"):
        renamed.ask_token(f"repository:{name}:pull", auth=auth)
        with renamed.statements() as statements:
            renamed.ask_token(f"repository:{name}:pull,push", auth=auth)
        counts[name] = len(statements)
    assert counts == {"acme/app/web": 1, "acme/old/web": 3}


@pytest.mark.both_databases
def test_a_push_by_an_old_path_is_none_of_the_new_one(renamed):
    """Nobody may push there: whoever does began before the move, and it is compared."""
    renamed.deliver(event_of("push", "acme/old/web", "v9", digest=digest("c"), by="worker"))
    assert renamed.rows(Push, tag="v9") == renamed.rows(Tag, name="v9") == []
    assert renamed.rows(RegistryEvent)[-1].status == "rejected"
