"""Plans of moves, who may make them, names that are reserved, and what old names are good for."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from sqlalchemy import select

from registry_ui.db.session import db, writing
from registry_ui.jobs.stored_work import run_move
from registry_ui.models import (
    AccessToken,
    AuditEntry,
    ContainerImage,
    CopiedTag,
    Fence,
    Move,
    MovedRepository,
    Namespace,
    Place,
    Push,
    RegistryEvent,
    Tag,
    TokenDecision,
    UnassignedRepository,
    utc_now,
)
from registry_ui.moves.lease import claim
from registry_ui.moves.switchover import switch
from registry_ui.operations.errors import Canceled, Deferred
from registry_ui.operations.write_freeze import EVERYWHERE, lift_fence, raise_fence, writers_until
from registry_ui.token_auth.decision_log import decision_log
from tests.support.html import Page
from tests.web.support import PASSWORD, basic, digest, event_of

pytestmark = pytest.mark.both_databases


@pytest.fixture
def acme(site):
    """A group with an owner, and another one in which they may nothing."""
    site.users("owner", "worker", "boss")
    site.project("acme/app")
    site.image("acme/app", "v1")
    site.image("acme/app/web", "v1", "v2")
    site.project("acme/other", "public")
    site.project("elsewhere/app")
    site.member("acme", "owner", "owner")
    site.member("acme", "worker", "developer")
    site.member("elsewhere", "boss", "owner")
    return site


def plan(site, path, target, who="owner", image=None):
    """Send the form; return the answer and what the page says."""
    address = f"/{path}/-/move" if image is None else f"/{path}/-/images/{image}/-/move"
    answer = site.browser(who).post(address, {"target": target})
    return answer, Page(answer.text).text


# -- what is refused -------------------------------------------------------------


REFUSED = [
    ("acme/app", "acme/app", "That is where it is."),
    ("acme/app", "acme/other", "“acme/other” is taken."),
    ("acme/app", "acme/APP", "lower-case letters"),
    ("acme/app", "acme/other/app", "is a project, and holds only images"),
    ("acme/app", "app", "A project lies in a namespace"),
    ("acme/app", "nowhere/app", "There is no namespace “nowhere”"),
    ("acme/app", "elsewhere/new", "There is no namespace “elsewhere”"),
    ("acme/app", "acme/in-use", "“acme/in-use” is taken."),
    ("acme/app", "acme/was/below", "There is no namespace “acme/was”"),
    ("acme/app", "acme/was", "“acme/was” is taken."),
    ("acme/app", "acme/soon", "“acme/soon” is taken."),
    ("acme", "acme/inner", "lies in what is to be moved"),
    ("acme", "v2", "reserved"),
    ("acme", "a..b", "lower-case letters"),
    ("acme", "elsewhere", "“elsewhere” is taken."),
    ("acme", "boss", "“boss” is taken."),
    ("acme", "x" * 250, "would be longer than 255 characters"),
]


def reserve(site):
    """Let one path be in use in the registry, one be an old name, one the new one of a move."""
    with site.session() as session:
        used = {"path": "acme/in-use/image", "first_seen_at": utc_now(), "tag_count": 1}
        session.add(UnassignedRepository(**used))
        session.commit()
    site.former("acme/was", "acme/other", site.move("acme/other", "grace", source="acme/was"))
    site.move("acme/other", "failed", target="acme/soon", source="acme/gone")


@pytest.mark.parametrize(("path", "target", "words"), REFUSED)
def test_a_path_that_cant_be_used_is_refused_in_words(acme, path, target, words):
    if path == "acme/app":
        reserve(acme)
    answer, text = plan(acme, path, target)
    assert answer.status_code == 422
    assert words in text
    assert acme.rows(Move, state="planned") == []


IMAGES = [
    ("acme/app/web", "That is where it is."),
    ("acme/app", "There is an image “acme/app”."),
    ("acme/none/web", "There is no project that owns “acme/none/web”"),
    ("elsewhere/app/web", "There is no project that owns “elsewhere/app/web”"),
    ("acme/app/we b", "lower-case letters"),
]


@pytest.mark.parametrize(("target", "words"), IMAGES)
def test_a_name_that_an_image_cant_have_is_refused_in_words(acme, target, words):
    answer, text = plan(acme, "acme/app", target, image="web")
    assert answer.status_code == 422
    assert words in text


def test_a_tag_that_a_rule_keeps_keeps_its_image_where_it_is(acme):
    acme.rule("acme/app", "v2")
    answer, text = plan(acme, "acme/app", "acme/other/web", image="web")
    assert answer.status_code == 422
    assert "Tag v2 is immutable in acme/app/web." in text


def test_a_tag_that_a_rule_would_not_let_one_push_comes_by_no_move(acme):
    acme.rule("acme/other", "v*", "maintainer")
    acme.member("acme/app", "worker", "maintainer")
    answer, text = plan(acme, "acme/app", "acme/other/web", "worker", image="web")
    assert answer.status_code == 422
    assert "Tag v1 is protected in acme/other/web: push needs Maintainer." in text
    assert plan(acme, "acme/app", "acme/other/web", image="web")[0].status_code == 302


@pytest.mark.parametrize("path", ["acme/app", "acme/other"])
def test_a_rule_that_was_made_on_the_way_keeps_an_image_where_it_is(acme, monkeypatch, path):
    monkeypatch.setattr("registry_ui.moves.runner._compute_quiet_at", lambda _move: utc_now())
    monkeypatch.setattr("registry_ui.moves.transfer.verify", lambda *_: None)
    acme.member("acme/app", "worker", "maintainer")
    plan(acme, "acme/app", "acme/other/web", "worker", image="web")
    acme.change(MovedRepository, {"state": "settled"})
    acme.change(Move, {"state": "verifying"})
    acme.rule(path, "v3", "owner")
    number = acme.row(Move).id
    with acme.session() as session:
        session.add(CopiedTag(move_id=number, number=0, tag="v3", digest=digest("c")))
        session.commit()
    with acme.app.app_context():
        run_move(number)
    move = acme.row(Move, id=number)
    assert move.state == "failed"
    assert "A rule now refuses this: tag v3 is protected in" in move.problem
    assert acme.rows(ContainerImage, path="acme/app/web")


def test_a_personal_namespace_keeps_the_name_of_its_account(acme):
    answer, text = plan(acme, "owner", "free", "owner")
    assert answer.status_code == 422
    assert "has the name of its account" in text
    assert "Rename or move" not in acme.browser("owner").get("/owner/-/settings").text


def test_what_is_being_deleted_or_moved_is_not_moved(acme):
    acme.move("acme/app", "copying", target="acme/first")
    answer = acme.browser("owner").post("/acme/-/move", {"target": "free"})
    assert answer.status_code == 409
    assert "being moved already" in Page(answer.text).text


# -- the plan --------------------------------------------------------------------


def test_the_plan_says_who_gains_and_who_loses_what(acme):
    acme.user("root", admin=True)
    acme.member("elsewhere", "worker", "guest")
    acme.member("acme/app", "owner", "owner")
    acme.deploy_token("acme", "read_registry")
    acme.deploy_token("elsewhere", "read_registry")
    acme.access_token("owner", "read_registry", reach="acme")
    acme.access_token("owner", "read_registry", reach="acme/app/web")
    answer, _ = plan(acme, "acme/app", "elsewhere/app2", "root")
    page = Page(acme.browser("root").get(answer.headers["Location"]).text).text
    assert "boss none Owner" in page
    assert "worker Developer Guest" in page
    assert (
        "owner Owner" not in page.partition("Who gains or loses access")[2].partition("Deploy")[0]
    )
    assert "Deploy tokens of acme that hold here no more: 1." in page
    assert "Deploy tokens of elsewhere that hold here too: 1." in page
    assert "Access tokens that are limited to this path follow it: 1." in page
    assert "limited to a path above, and hold here no more: 1." in page
    assert "2 images with 3 tags" in page


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        (["v1", "v2"], ":v2"),
        (["latest", "v1"], ":latest"),
        (["v1", "sha256-" + "a" * 64 + ".sig"], ":v1"),
    ],
)
def test_the_new_pull_command_of_a_plan_has_a_tag_that_exists(site, tags, shown):
    site.users("owner")
    site.project("acme/app")
    site.member("acme", "owner", "owner")
    site.image("acme/app/store", *tags)
    for days, name in enumerate(reversed(tags)):
        site.change(Tag, {"pushed_at": utc_now() - timedelta(days=days)}, name=name)
    answer, _ = plan(site, "acme/app", "acme/new")
    page = Page(site.browser("owner").get(answer.headers["Location"]).text)
    commands = [code.text for code in page.all("code") if code.text.startswith("docker pull")]
    host = site.app.config["SETTINGS"].registry_host
    assert commands == [f"docker pull {host}/acme/new/store{shown}"]


def test_the_plan_of_an_image_says_that_everyone_can_pull_it_then(acme):
    answer, _ = plan(acme, "acme/app", "acme/other/web", image="web")
    page = Page(acme.browser("owner").get(answer.headers["Location"]).text).text
    assert "anyone can pull it then, without signing in" in page


def test_who_looks_after_one_end_only_is_not_told_who_is_a_member_of_the_other(acme):
    acme.users("here", "there", "ninotchka", "vassilissa")
    for path, lead, member in (
        ("acme/app", "here", "ninotchka"),
        ("elsewhere/app", "there", "vassilissa"),
    ):
        acme.member(path, lead, "maintainer")
        acme.member(path, member, "guest")
    acme.member("elsewhere/app", "owner", "developer")
    address = plan(acme, "acme/app", "elsewhere/app/web", image="web")[0].headers["Location"]
    number = acme.row(Move).id

    def told(who, path):
        page = acme.browser(who).get(f"/{path}/-/moves/{number}").text
        auth = basic(who, acme.access_token(who, "api"))
        address = f"/api/v4/projects/{path}/-/moves/{number}"
        text = page + acme.browser().get(address, headers=auth).text
        return {name for name in ("ninotchka", "vassilissa") if name in text}

    assert address == f"/acme/app/-/moves/{number}"
    assert told("here", "acme/app") == set()
    acme.change(Move, {"switched_at": utc_now(), "state": "grace"})
    assert told("there", "elsewhere/app") == set()
    assert told("owner", "acme/app") == {"ninotchka", "vassilissa"}


def test_a_token_for_the_root_image_opens_no_move_of_another(acme):
    plan(acme, "acme/app", "acme/other/web", image="web")
    number = acme.row(Move).id
    found = []
    for exact in (True, False):
        bound = {"reach": "acme/app", "reach_exact": exact, "name": str(exact)}
        auth = basic("owner", acme.access_token("owner", "api", **bound))
        address = f"/api/v4/projects/acme/app/-/moves/{number}"
        found.append(acme.browser().get(address, headers=auth).status_code)
    assert found == [404, 200]


def test_who_looks_after_a_project_finds_its_move_again(acme):
    number = acme.move("acme/app", "copying")
    address = f"/acme/app/-/moves/{number}"
    assert address in acme.browser("owner").get("/acme/app").text
    assert address not in acme.browser("worker").get("/acme/app").text
    assert "0 of 0 tags" in Page(acme.browser("owner").get(address).text).text


def test_nothing_begins_before_the_path_is_typed(acme):
    answer, _ = plan(acme, "acme/app", "acme/new")
    address = answer.headers["Location"]
    refused = acme.browser("owner").post(f"{address}/confirm", {"confirm": "acme/new"})
    assert refused.status_code == 422
    assert "Type acme/app to confirm." in Page(refused.text).text
    assert acme.row(Move).state == "planned"
    assert acme.rows(Fence) == []


def test_a_plan_whose_path_was_taken_meanwhile_does_not_begin(acme):
    answer, _ = plan(acme, "acme/app", "acme/new")
    acme.project("acme/new")
    address = answer.headers["Location"]
    refused = acme.browser("owner").post(f"{address}/confirm", {"confirm": "acme/app"})
    assert refused.status_code == 409
    assert "is taken" in Page(refused.text).text
    assert acme.browser("owner").post(f"{address}/cancel").status_code == 302
    assert acme.row(Move).state == "cancelled"


def test_whoever_lost_the_right_since_the_plan_begins_nothing(acme):
    answer, _ = plan(acme, "acme/app", "acme/new")
    acme.change(Move, {"requested_by": "worker"})
    acme.user("late")
    acme.member("acme/app", "late", "owner")
    address = answer.headers["Location"]
    refused = acme.browser("late").post(f"{address}/confirm", {"confirm": "acme/app"})
    assert refused.status_code == 403
    assert "in which you may create something" in Page(refused.text).text


# -- with nothing in the registry, it is done at once ---------------------------------


def test_an_empty_namespace_is_renamed_with_what_is_in_it(acme, monkeypatch):
    """Nothing is copied, and no old name is kept; the registry is asked for its catalog only."""
    monkeypatch.setattr(acme.app.extensions["registry"], "catalog", lambda: iter(()))
    monkeypatch.setattr("registry_ui.moves.runner._compute_quiet_at", lambda _move: utc_now())
    acme.project("acme/empty/inner/app")
    number = plan(acme, "acme/empty", "acme/full")[0].headers["Location"]
    acme.browser("owner").post(f"{number}/confirm", {"confirm": "acme/empty"})
    move = acme.row(Move)
    assert (move.state, move.problem) == ("done", "")
    paths = {place.path for place in acme.rows(Place)}
    assert {"acme/full", "acme/full/inner", "acme/full/inner/app"} <= paths
    assert not [path for path in paths if path.startswith("acme/empty")]
    assert acme.rows(Fence) == []
    done = acme.row(AuditEntry, action="namespace.move")
    assert (done.subject, done.detail) == ("acme/full", {"source": "acme/empty"})
    told = Page(acme.browser("owner").get("/acme/full/-/activity").text).text
    assert "owner moved the namespace acme/full" in told


def test_whoever_loses_the_right_on_the_way_switches_nothing(acme, monkeypatch):
    monkeypatch.setattr(acme.app.extensions["registry"], "catalog", lambda: iter(()))
    monkeypatch.setattr("registry_ui.moves.runner._compute_quiet_at", lambda _move: utc_now())
    acme.project("acme/empty/app")
    number = acme.move("acme/empty", "waiting", parts=0, requested_by="worker", target="acme/new")
    with acme.app.app_context():
        run_move(number)
    move = acme.row(Move, id=number)
    assert move.state == "failed"
    assert "worker can no longer do this: you are Developer" in move.problem
    assert acme.rows(Place, path="acme/new") == []


def test_what_is_created_deep_below_at_the_moment_of_the_switch_moves_too(acme):
    acme.namespace("acme/deep/er")
    number = acme.move("acme/deep", "verifying", parts=0, target="acme/now", requested_by="owner")
    created, switching = threading.Event(), threading.Event()

    def create():
        with acme.app.app_context(), writing() as session:
            above = select(Place).where(Place.path == "acme/deep/er").with_for_update()
            parent = session.scalars(above).one()
            session.add(Namespace(path="acme/deep/er/new", parent_id=parent.id))
            session.flush()
            created.set()
            switching.wait(60)
            time.sleep(0.5)

    creator = threading.Thread(target=create)
    creator.start()
    assert created.wait(60)
    switching.set()
    with acme.app.app_context(), writing() as session:
        move = session.get(Move, number)
        switch(session, move, utc_now(), has_repositories=False)
    creator.join()
    paths = {place.path for place in acme.rows(Place)}
    assert "acme/now/er/new" in paths
    assert not [path for path in paths if path.startswith("acme/deep")]


def test_a_move_waits_for_a_garbage_collection_and_a_collection_for_a_move(acme):
    number = acme.move("acme/app", "waiting", target="acme/new", requested_by="owner")
    with acme.app.app_context():
        with writing() as session:
            fence = raise_fence(session, EVERYWHERE, "collection").id
        run_move(number)
        assert writers_until(db.session()) is None
        with writing() as session:
            lift_fence(session, fence)
    assert acme.row(Move).state == "waiting"
    later = utc_now() + timedelta(seconds=30)
    acme.change(Move, {"lease_until": later, "state": "copying"})
    with acme.session() as session:
        assert writers_until(session) == later


def test_a_move_that_often_notes_how_far_it_is_heeds_a_fence_and_who_calls_it_off(
    acme, monkeypatch
):
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    number = acme.move("acme/app", "copying", target="acme/new", requested_by="owner")
    row = acme.rows(MovedRepository, move_id=number)[0]

    def work(lease):
        for second in range(12):
            clock.now += 1
            lease.record_progress(row, done=second)
            lease.renew()

    with acme.app.app_context():
        held = claim(number)
        monkeypatch.setattr("registry_ui.operations.lease.time", clock)
        held._renewed_at = clock.now
        with writing() as session:
            fence = raise_fence(session, EVERYWHERE, "collection").id
        with pytest.raises(Deferred):
            work(held)
        with writing() as session:
            lift_fence(session, fence)
            session.get_one(Move, number).cancel_wanted = True
        with pytest.raises(Canceled):
            work(held)


# -- old names ------------------------------------------------------------------------


@pytest.fixture
def renamed(acme):
    """acme/old is acme/app now, and acme/app/front is acme/app/web."""
    number = acme.move("acme/app", "grace", source="acme/old", target="acme/app")
    acme.former("acme/old", "acme/app", number)
    acme.former("acme/app/front", "acme/app/web", number, exact=True)
    return acme


def granted(site, name, who):
    auth = (who, PASSWORD) if who else None
    return site.granted(f"repository:{name}:pull,push,delete", auth=auth).get(name)


def test_an_old_name_grants_pulls_to_whom_the_new_one_does(renamed):
    for name in ("acme/old/web", "acme/old/x/y", "acme/app/front"):
        assert granted(renamed, name, "owner") == "pull"
        assert granted(renamed, name, "worker") == "pull"
        assert granted(renamed, name, "boss") is None
        assert granted(renamed, name, None) is None
    assert granted(renamed, "acme/app/front/below", "owner") == "pull,push,delete"
    assert granted(renamed, "acme/app/web", "owner") == "pull,push,delete"


def test_a_token_holds_for_an_old_name_where_it_holds_for_the_new_one(renamed):
    reach = {"acme/app": "pull", "acme/app/web": "pull", "acme/other": None, "acme/old": None}
    for path, expected in reach.items():
        name = path.replace("/", "-")
        secret = renamed.access_token("owner", "read_registry", name=name)
        renamed.change(AccessToken, {"reach_path": path}, name=name)
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
    words = "acme/old/web has moved to acme/app/web; the old name can be pulled until"
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


def test_search_and_comparison_take_an_old_name_for_the_new_one(renamed):
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


def test_nobody_takes_an_old_name_or_one_that_is_on_its_way(renamed):
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


def test_what_has_an_old_name_is_not_deleted_before_that(renamed):
    renamed.project("acme/app2")
    number = renamed.move("acme/app2", "grace", source="acme/gone", target="acme/app2")
    renamed.former("acme/gone", "acme/app2", number)
    answer = renamed.browser("owner").post("/acme/app2/-/delete", {"confirm": "acme/app2"})
    assert answer.status_code == 409
    assert "Retire the old name first" in Page(answer.text).text
    assert f"/acme/app2/-/moves/{number}" in Page(answer.text).links.values()
    renamed.former("gone", "acme", renamed.move("acme", "grace", source="gone"))
    renamed.namespace("acme/empty")
    browser = renamed.browser("owner")
    assert browser.post("/acme/empty/-/delete", {"confirm": "acme/empty"}).status_code == 302
    assert renamed.rows(Place, path="acme/empty") == []


@pytest.fixture
def bare(site):
    """A group with an empty project, and who looks after the one and the other."""
    site.users("owner", "keeper")
    site.project("acme/app")
    site.member("acme", "owner", "owner")
    site.member("acme/app", "keeper", "owner")
    return site


@pytest.mark.parametrize("path", ["acme/app", "acme"])
def test_a_plan_to_delete_what_has_an_old_name_links_the_move_and_has_no_button(bare, path):
    number = bare.move("acme/app", "grace", source="acme/gone", target="acme/app")
    bare.former("acme/gone", "acme/app", number)
    answer = bare.browser("owner").get(f"/{path}/-/delete")
    page = Page(answer.text)
    assert answer.status_code == 200
    words = f"“acme/gone”, the old name of “acme/app”, can still be pulled (move {number})."
    assert words in page.text
    assert f"/acme/app/-/moves/{number}" in page.links.values()
    assert "Type" not in page.first("main").text


def test_a_program_learns_which_move_keeps_a_project_from_its_deletion(bare):
    number = bare.move("acme/app", "grace", source="acme/gone", target="acme/app")
    bare.former("acme/gone", "acme/app", number)
    auth = basic("owner", bare.access_token("owner", "api", "delete_registry"))
    url, client = "/api/v4/projects/acme/app/-/removals", bare.app.test_client()
    planned = client.post(url, json={"project": True}, headers=auth).json
    answer = client.post(f"{url}/{planned['id']}/confirm", json={}, headers=auth)
    assert answer.status_code == 409
    assert f"(move {number})" in answer.json["error"]["message"]


def test_what_is_being_moved_links_the_move_and_has_no_button(bare):
    number = bare.move("acme/app", "copying", source="acme/app", target="acme/later")
    browser = bare.browser("owner")
    for address in ("/acme/app/-/delete", "/acme/-/delete"):
        page = Page(browser.get(address).text)
        assert f"by move {number}, from “acme/app” to “acme/later”" in page.text
        assert f"/acme/app/-/moves/{number}" in page.links.values()
        assert "Type" not in page.first("main").text
    answer = browser.post("/acme/app/-/move", {"target": "acme/else"})
    assert answer.status_code == 409
    assert f"/acme/app/-/moves/{number}" in Page(answer.text).links.values()


def test_a_move_of_something_above_is_not_named_to_those_who_look_after_a_part(bare):
    bare.move("acme", "copying", source="acme", target="hidden-name")
    page = bare.browser("keeper").get("/acme/app/-/delete")
    assert "This is being moved already." in Page(page.text).text
    assert "hidden-name" not in page.text
    assert "moves/" not in page.text


def test_a_personal_namespace_offers_no_deletion(acme):
    browser = acme.browser("worker")
    assert "/worker/-/delete" not in browser.get("/worker/-/settings").text
    page = Page(browser.get("/worker/-/delete").text)
    assert "A personal namespace goes with its account." in page.text
    assert "Type" not in page.first("main").text


def test_the_token_endpoint_asks_once_and_more_only_for_an_old_name(renamed):
    secret = renamed.access_token("worker", "write_registry")
    auth = ("worker", secret)
    counts = {}
    for name in ("acme/app/web", "acme/old/web"):
        renamed.ask_token(f"repository:{name}:pull", auth=auth)
        with renamed.statements() as noted:
            renamed.ask_token(f"repository:{name}:pull,push", auth=auth)
        counts[name] = len(noted)
    assert counts == {"acme/app/web": 1, "acme/old/web": 3}


# -- programs -----------------------------------------------------------------------


def test_a_program_plans_looks_and_discards(acme):
    headers = {"Authorization": f"Bearer {acme.access_token('owner', 'api')}"}
    client = acme.app.test_client()
    url = "/api/v4/projects/acme/app/-/moves"
    planned = client.post(url, json={"to": "acme/new"}, headers=headers)
    assert planned.status_code == 201
    assert planned.json["state"] == "planned"
    assert [part["to"] for part in planned.json["images"]] == ["acme/new", "acme/new/web"]
    one = f"{url}/{planned.json['id']}"
    assert client.get(one, headers=headers).json["from"] == "acme/app"
    assert client.post(f"{one}/cancel", headers=headers).json["state"] == "cancelled"
    assert client.post(f"{one}/confirm", headers=headers).status_code == 409
    for body in ({"to": 3}, {"to": "acme/x", "image": 4}, []):
        assert client.post(url, json=body, headers=headers).status_code == 422
    weak = {"Authorization": f"Bearer {acme.access_token('owner', 'read_registry', name='r')}"}
    assert client.post(url, json={"to": "acme/new"}, headers=weak).status_code == 403
    of_group = client.post("/api/v4/namespaces/acme/-/moves", json={"to": "free"}, headers=headers)
    assert of_group.status_code == 201


def test_a_push_by_an_old_name_is_none_of_the_new_one(renamed):
    """Nobody may push there: whoever does began before the move, and it is compared."""
    renamed.deliver(event_of("push", "acme/old/web", "v9", digest=digest("c"), by="worker"))
    assert renamed.rows(Push, tag="v9") == renamed.rows(Tag, name="v9") == []
    assert renamed.rows(RegistryEvent)[-1].status == "rejected"
