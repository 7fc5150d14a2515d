"""Write freezes: pushes and deletions are refused, and everybody is told why."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from registry_ui.access import Role
from registry_ui.audit import OWN_SUBJECT, Actor
from registry_ui.db.session import writing
from registry_ui.errors import Conflict
from registry_ui.jobs.tasks import resume
from registry_ui.models import (
    ContainerImage,
    Membership,
    Project,
    Removal,
    TokenDecision,
    TrashedTag,
    User,
    WriteFreeze,
)
from registry_ui.operations import lease, write_freeze
from registry_ui.operations.write_freeze import EVERYWHERE, GRACE
from registry_ui.removals import runner
from registry_ui.removals.planner import plan_image
from registry_ui.removals.service import start
from registry_ui.token_auth.decision_log import decision_log
from tests.support.gate_requests import ask, assert_passes, assert_refused, bearer
from tests.web.graph import Graph
from tests.web.support import ACTOR, PASSWORD, digest

APP = "acme/app"


@pytest.fixture
def acme(served, registry):
    """Two projects with a Maintainer; the registry has an image of one tag in the first."""
    registry.answer = Graph(by_tag=True)
    recorded(served)  # of the test before
    served.empty()
    served.users("dev", "maintainer", "stranger")
    served.user("admin", admin=True)
    served.project(APP)
    served.project("acme/apple")
    served.member("acme", "dev", "developer")
    served.member("acme", "maintainer", "maintainer")
    return served


@pytest.fixture
def graph(registry):
    """Return what the registry has, to be filled."""
    return lambda: registry.answer


def begin_freeze(site, path=EVERYWHERE, reason="collection"):
    """Freeze writes; return when, as people are told it."""
    with site.app.app_context(), writing() as session:
        return f"{write_freeze.freeze_writes(session, path, reason).set_at:%H:%M} UTC"


def lift_freezes(site):
    with site.app.app_context(), writing() as session:
        for freeze in session.query(WriteFreeze):
            write_freeze.lift_write_freeze(session, freeze.id)


def granted(site, repository, who="maintainer"):
    auth = (who, PASSWORD) if who else None
    return site.granted(f"repository:{repository}:*", auth=auth).get(repository, "")


def recorded(site):
    with site.app.app_context():
        decision_log().flush()
    return [(row.username, row.repository, row.rule) for row in site.rows(TokenDecision)]


def words(repository, since, why="the registry collects garbage"):
    return f"writes to {repository} are stopped while {why}, since {since}; try again later"


# -- the token endpoint ----------------------------------------------------------


def test_during_a_freeze_of_everything_only_pull_is_granted_and_afterwards_all_again(acme):
    begin_freeze(acme)
    for repository in (APP, f"{APP}/a/b", "acme/apple"):
        assert granted(acme, repository) == "pull"
    lift_freezes(acme)
    assert granted(acme, f"{APP}/a/b") == "pull,push,delete"


def test_a_freeze_covers_its_path_and_what_lies_below_and_nothing_beside(acme):
    begin_freeze(acme, f"{APP}/web", "move")
    scopes = {
        f"{APP}/web": "pull",
        f"{APP}/web/api": "pull",
        f"{APP}/webs": "pull,push,delete",
        APP: "pull,push,delete",
        "acme/apple": "pull,push,delete",
    }
    asked = [f"repository:{name}:*" for name in scopes]
    assert acme.granted(*asked, auth=("maintainer", PASSWORD)) == scopes


@pytest.mark.parametrize("kind", ["access token", "deploy token", "administrator", "session"])
def test_no_credential_is_exempt_from_a_freeze(acme, kind):
    auth = {
        "access token": lambda: ("dev", acme.access_token("dev", "write_registry")),
        "deploy token": lambda: acme.deploy_token("acme", "write_registry"),
        "administrator": lambda: ("admin", PASSWORD),
        "session": lambda: ("dev", PASSWORD),
    }[kind]()
    refresh = acme.ask_token(auth=("dev", PASSWORD), offline_token="true").json["refresh_token"]
    begin_freeze(acme)
    if kind == "session":
        form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": "docker"}
        form |= {"service": "registry", "scope": f"repository:{APP}:pull,push"}
        answer = acme.app.test_client().post("/jwt/auth", data=form)
        assert answer.json["scope"] == f"repository:{APP}:pull"
    else:
        assert acme.granted(f"repository:{APP}:pull,push", auth=auth) == {APP: "pull"}
        # A repository of nobody is an administrator's to write, and frozen as well.
        nobodys = acme.granted("repository:nobody/owns:pull,push", auth=auth)
        assert nobodys == ({"nobody/owns": "pull"} if kind == "administrator" else {})


def test_visitors_without_credentials_pull_as_before(acme):
    acme.project("acme/open", "public")
    begin_freeze(acme)
    assert granted(acme, "acme/open", None) == "pull"


@pytest.mark.parametrize("freeze", [None, EVERYWHERE, APP])
def test_a_token_takes_one_query_with_a_freeze_and_without(acme, freeze):
    secret = acme.access_token("dev", "write_registry")
    acme.ask_token(auth=("dev", secret))  # notes its use
    if freeze is not None:
        begin_freeze(acme, freeze)
    with acme.statements() as statements:
        acme.ask_token(f"repository:{APP}/a:pull,push", auth=("dev", secret))
    assert len(statements) == 1, statements
    with acme.statements() as statements:
        acme.ask_token(f"repository:{APP}/a:pull,push")
    assert len(statements) == 1, statements


# -- told ------------------------------------------------------------------------


def test_the_refusal_is_recorded_with_the_freeze_as_its_rule(acme):
    since = begin_freeze(acme)
    granted(acme, APP)
    assert recorded(acme)[-1] == ("maintainer", APP, words(APP, since))


def test_whoever_may_not_write_anyway_is_told_the_same_as_ever(acme):
    before = [granted(acme, APP, who) for who in ("stranger", None)]
    rules = {rule for _, _, rule in recorded(acme)}
    begin_freeze(acme, APP, "move")
    assert [granted(acme, APP, who) for who in ("stranger", None)] == before
    assert {rule for _, _, rule in recorded(acme)} == rules


def test_who_can_push_is_answered_with_the_freeze(acme):
    since = begin_freeze(acme, APP, "move")
    rule = words(f"{APP}/a", since, "it is moved")
    page = acme.browser("dev").get(f"/-/access-check?repository={APP}/a").text
    assert rule in page
    done = acme.app.test_cli_runner().invoke(args=["access-check", "dev", f"{APP}/a"])
    assert (done.exit_code, rule in done.output) == (1, True)
    assert "pull    allowed" in done.output


# -- the gate --------------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("reference", ["v1", digest("a")])
def test_the_gate_refuses_bearer_tokens_from_before_at_once(acme, method, reference):
    token = bearer(acme, "maintainer")
    since = begin_freeze(acme)
    refused = ask(acme, method, reference, "maintainer", token=token)
    assert_refused(refused, words(APP, since))
    assert recorded(acme)[-1] == ("maintainer", APP, words(APP, since))
    lift_freezes(acme)
    assert_passes(ask(acme, method, reference, "maintainer", token=token))


def test_a_token_granted_during_the_freeze_is_told_of_it_where_the_role_would_do(acme):
    since = begin_freeze(acme)
    token = bearer(acme, "dev", actions=("pull",))
    assert_refused(ask(acme, "PUT", "v1", token=token), words(APP, since))
    stranger = bearer(acme, "stranger", actions=("pull",))
    for method, pull in (("PUT", stranger), ("DELETE", token), ("PUT", "nonsense")):
        answer = ask(acme, method, "v1", token=pull)
        assert answer.status_code == 401
        assert "stopped" not in answer.text


def test_our_own_calls_pass_the_gate(acme):
    begin_freeze(acme)
    assert_passes(ask(acme, "PUT", "v1", OWN_SUBJECT))


# -- the freeze itself -----------------------------------------------------------


def test_it_is_quiet_once_the_last_token_has_ended_by_the_registrys_clock(acme):
    lifetime = timedelta(seconds=acme.app.config["SETTINGS"].token_lifetime)
    begin_freeze(acme)
    freeze = acme.row(WriteFreeze)
    assert write_freeze.quiet_from(freeze) == freeze.set_at + lifetime + GRACE
    assert timedelta(seconds=60) < GRACE


def test_a_second_freeze_at_the_same_path_is_refused(acme):
    begin_freeze(acme, APP)
    with pytest.raises(Conflict):
        begin_freeze(acme, APP, "move")
    begin_freeze(acme)
    with acme.session() as session:
        assert write_freeze.find_freeze(session, f"{APP}/x").path == EVERYWHERE
        assert write_freeze.find_freeze(session, EVERYWHERE).path == EVERYWHERE
        own = session.query(WriteFreeze).filter_by(path=EVERYWHERE).one().id
        assert write_freeze.find_freeze(session, f"{APP}/x", except_freeze_id=own).path == APP
        assert write_freeze.find_freeze(session, "acme/apple", except_freeze_id=own) is None


# -- our own work ----------------------------------------------------------------


def removal_of(site, graph, tags=1, by=ACTOR):
    """Let the registry have an image, and start its removal."""
    one = graph().image("one")
    graph().tag(APP, **{f"v{number}": one for number in range(tags)})
    site.app.test_cli_runner().invoke(args=["reconcile", APP])
    with site.session() as session:
        image = session.query(ContainerImage).filter_by(path=APP).one()
        project = session.query(Project).filter_by(path=APP).one()
        return start(by, plan_image(image), project).id


def demote(site):
    site.change(Membership, {"role": int(Role.DEVELOPER)})


def block(site):
    site.change(User, {"is_blocked": True}, username="maintainer")


def forbid(site):
    site.rule(APP, "v0")


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (demote, "maintainer can no longer delete this: you are Developer in acme;"),
        (block, "maintainer can no longer delete this: the account is blocked"),
        (forbid, "tag v0 is immutable in acme/app"),
    ],
)
def test_a_removal_that_waited_asks_again_whether_it_may(acme, graph, meanwhile, why):
    removal_id = removal_of(acme, graph, by=Actor("maintainer"))
    begin_freeze(acme, EVERYWHERE)
    meanwhile(acme)
    lift_freezes(acme)
    with acme.app.app_context():
        resume()
    assert acme.row(Removal).state == "failed"
    assert why in acme.report(removal_id)[0]["detail"]
    assert list(graph().tags[APP]) == ["v0"]


def test_a_removal_of_somebody_who_does_not_exist_is_refused(acme, graph):
    removal_id = removal_of(acme, graph, by=Actor("gitlab+deploy-token-99"))
    with acme.app.app_context():
        resume()
    assert acme.row(Removal).state == "failed"
    assert "can no longer delete this" in acme.report(removal_id)[0]["detail"]
    assert list(graph().tags[APP]) == ["v0"]


@pytest.mark.parametrize("freeze", [EVERYWHERE, APP, "acme"])
def test_a_removal_waits_says_so_and_goes_on_by_itself(acme, graph, registry, freeze):
    removal_id = removal_of(acme, graph)
    begin_freeze(acme, freeze)
    registry.asked.clear()
    with acme.app.app_context():
        assert runner.run(removal_id) is None
        resume()
    assert [asked for asked in registry.asked if asked.method != "GET"] == []
    assert acme.row(Removal).state == "waiting"
    page = acme.browser("maintainer").get(f"/{APP}/-/removals/{removal_id}").text
    assert "Waits until the garbage collection is over" in page
    lift_freezes(acme)
    with acme.app.app_context():
        resume()
    assert acme.row(Removal).state == "done"
    assert graph().tags[APP] == {}


def test_a_freeze_elsewhere_holds_no_removal_up(acme, graph):
    removal_id = removal_of(acme, graph)
    begin_freeze(acme, "acme/apple", "move")
    with acme.app.app_context():
        assert runner.run(removal_id).state == "done"


def test_a_removal_under_way_stops_at_a_freeze_and_lets_go(acme, graph, monkeypatch):
    monkeypatch.setattr(lease, "RENEW_INTERVAL", 0.0)
    removal_id = removal_of(acme, graph, tags=3)

    since = []

    def begin_once(_call):
        if not since:
            since.append(begin_freeze(acme))

    graph().before = begin_once
    with acme.app.app_context():
        assert runner.run(removal_id).state == "waiting"
    removal = acme.row(Removal)
    assert (removal.lease_until, removal.lease_owner) == (None, None)
    assert len(graph().tags[APP]) == 3
    lift_freezes(acme)
    with acme.app.app_context():
        resume()
    assert acme.row(Removal).state == "done"


def test_a_command_that_deletes_says_that_a_worker_goes_on_later(acme, graph):
    removal_of(acme, graph)
    acme.change(Removal, {"state": "cancelled"})
    begin_freeze(acme)
    done = acme.app.test_cli_runner().invoke(args=["tag", "delete", f"{APP}:v0", "--yes"])
    assert done.exit_code == 1
    assert "waits until the garbage collection is over" in done.output
    lift_freezes(acme)
    with acme.app.app_context():
        resume()
    assert acme.rows(Removal)[-1].state == "done"


def test_nothing_is_restored_from_the_trash_during_a_freeze(acme, registry):
    with acme.session() as session:
        now = datetime.now().astimezone()
        session.add(
            TrashedTag(
                project_id=session.query(Project).filter_by(path=APP).one().id,
                repository=APP,
                tag="v1",
                trash_tag="_bin.0000",
                digest=digest("a"),
                removed_at=now,
                removed_by="dev",
                purge_at=now + timedelta(days=1),
            )
        )
        session.commit()
    begin_freeze(acme)
    entry = acme.row(TrashedTag).id
    registry.asked.clear()
    answer = acme.browser("maintainer").post(f"/{APP}/-/trash/{entry}/restore")
    assert answer.status_code == 409
    assert "Nothing is written before the garbage collection is over." in answer.text
    assert registry.asked == []
