"""However much there is to show, a page costs the same number of queries."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import insert

from registry_ui.models import (
    AccessToken,
    AuditEntry,
    BinnedTag,
    ContainerImage,
    DeployToken,
    DockerSession,
    Membership,
    Namespace,
    Project,
    RegistryEvent,
    Removal,
    RemovalLine,
    RetentionPolicy,
    Tag,
    TokenDecision,
    UnassignedRepository,
    User,
    utc_now,
)
from tests.support.html import Page
from tests.web.support import digest

FEW, MANY = 3, 60
PEOPLE = ("anonymous", "member", "admin")


def fill(site, start, stop):
    """Make so many of everything that pages list, in acme and at the top."""
    numbers = range(start, stop)
    with site.session() as session:
        acme = session.query(Namespace).filter_by(path="acme").one()
        app = session.query(Project).filter_by(path="acme/app").one()
        member = session.query(User).filter_by(username="member").one()
        for n in numbers:
            session.add(Namespace(path=f"top{n}"))
            inner = Namespace(path=f"acme/n{n}", parent_id=acme.id)
            session.add(inner)
            session.flush()
            for parent, name in ((acme.id, f"acme/p{n}"), (inner.id, f"acme/n{n}/p")):
                project = Project(path=name, parent_id=parent, visibility="public")
                session.add(project)
                session.flush()
                session.add(Membership(user_id=member.id, place_id=project.id, role=20))
                add_image(session, project.id, "", project.path)
            user = User(username=f"user{n}", password_hash="x")
            session.add(user)
            session.flush()
            session.add(Membership(user_id=user.id, place_id=app.id, role=10))
            add_image(session, app.id, f"deep/i{n}", f"acme/app/deep/i{n}")
            session.add(UnassignedRepository(path=f"free/r{n}"))
            session.add(AuditEntry(actor="x", action="y", subject="z"))
            session.add(decision("member", f"acme/p{n}"))
            session.add(decision("member", f"absent/p{n}", place=""))
            session.add(decision(f"user{n}", f"acme/app/i{n}", place="acme/app"))
            add_secrets(session, n, member.id, app.id)
            session.add(RegistryEvent(event_id=f"e{n}", raw=b"{}", status="dropped"))
        removal = session.query(Removal).one()
        session.add_all(
            RemovalLine(removal_id=removal.id, number=n, reference="x", outcome="kept")
            for n in numbers
        )
        session.add_all(
            RetentionPolicy(place_id=app.id, keep_last=n, created_by="x") for n in numbers
        )
        many = {"repository": "acme/app/many", "tag": "t", "digest": digest("a")}
        session.add_all(
            BinnedTag(project_id=app.id, bin_tag=f"{n}", removed_by="x", purge_at=utc_now(), **many)
            for n in numbers
        )
        image = session.query(ContainerImage).filter_by(path="acme/app/many").one()
        rows = [
            {"image_id": image.id, "name": f"t{n}", "digest": digest("a"), "pushed_at": utc_now()}
            for n in numbers
        ]
        session.execute(insert(Tag), rows)
        session.commit()


def add_image(session, project_id, name, path):
    image = ContainerImage(project_id=project_id, name=name, path=path, last_push_at=utc_now())
    session.add(image)
    session.flush()
    session.add(Tag(image_id=image.id, name="v1", digest=digest("a"), pushed_at=utc_now()))


def decision(username, repository, **more):
    values = {"place": repository, "credential": "password", "address": "", "client": "docker"}
    values |= {"asked": "push", "granted": "", "rule": f"nobody pushes to {repository}", **more}
    return TokenDecision(username=username, repository=repository, **values)


def add_secrets(session, n, user_id, place_id):
    hashed = {"secret_hash": f"hash {n}"}
    names = {"name": f"n{n}", "scopes": "read_registry", **hashed}
    session.add(AccessToken(user_id=user_id, **names))
    made = {"place_id": place_id, "username": f"deploy+n{n}", "created_by": "x"}
    session.add(DeployToken(**made, **names))
    more = {"service": "registry", "client": "docker/1", "address": "::1"}
    session.add(DockerSession(user_id=user_id, **more, **hashed))


PAGES = {
    "/": PEOPLE,
    "/?show=all": PEOPLE,
    "/?q=p": PEOPLE,
    "/acme": PEOPLE,
    "/acme/app": PEOPLE,
    "/acme/app/-/members": ("member", "admin"),
    "/acme/app/-/images/deep": PEOPLE,
    "/acme/app/-/images/many": PEOPLE,
    "/acme/app/-/images/many/-/delete-tags": ("member", "admin"),
    "/acme/app/-/retention": ("member", "admin"),
    "/acme/app/-/bin": ("member", "admin"),
    "/acme/app/-/removals/1": ("member", "admin"),
    "/acme/app/-/deploy-tokens": ("member", "admin"),
    "/acme/app/-/decisions": ("member", "admin"),
    "/acme/-/decisions?refused=1": ("admin",),
    "/-/decisions": ("member", "admin"),
    "/-/decisions?repository=acme&refused=1": ("member",),
    "/-/access-check?repository=acme/app": ("member", "admin"),
    "/-/profile": ("member", "admin"),
    "/-/new/project": ("member", "admin"),
    "/-/admin": ("admin",),
    "/-/admin/users": ("admin",),
    "/-/admin/unassigned": ("admin",),
    "/-/admin/events": ("admin",),
    "/-/admin/audit": ("admin",),
    "/-/admin/decisions": ("admin",),
    "/api/v4/projects": ("anonymous",),
    "/api/v4/projects/acme/app/-/images": ("anonymous",),
}


def counted(site):
    """The number of statements that each page costs each kind of visitor."""
    found = {}
    for url, people in PAGES.items():
        for who in people:
            browser = site.browser(None if who == "anonymous" else who)
            with site.statements() as noted:
                answer = browser.get(url)
            assert answer.status_code == 200, (url, who)
            found[url, who] = len(noted)
    return found


@pytest.mark.slow
def test_pages_cost_the_same_with_3_and_with_60_of_everything(site):
    site.user("admin", admin=True)
    site.user("member")
    site.project("acme/app", "public")
    site.member("acme/app", "member", "maintainer")
    site.image("acme/app/many", "latest")
    site.change(ContainerImage, {"reconciled_at": utc_now()})
    assert site.removal("acme/app") == 1
    fill(site, 0, FEW)
    few = counted(site)
    fill(site, FEW, MANY)
    assert counted(site) == few
    assert max(few.values()) <= 20, few


def test_a_member_of_hundreds_of_places_sees_them(site):
    """SQLite allows an expression only so many parts."""
    site.users("member", "other")
    site.namespace("acme")
    with site.session() as session:
        acme = session.query(Namespace).filter_by(path="acme").one()
        member = session.query(User).filter_by(username="member").one()
        for n in range(400):
            project = Project(path=f"acme/p{n}", parent_id=acme.id, visibility="private")
            session.add(project)
            session.flush()
            if n % 4:
                session.add(Membership(user_id=member.id, place_id=project.id, role=10))
        session.commit()
    secret = site.access_token("member", "read_registry")
    headers = {"Authorization": f"Bearer {secret}"}
    answer = site.app.test_client().get("/api/v4/projects", headers=headers)
    assert answer.json["total"] == 300
    browser = site.browser("member")
    assert browser.get("/").status_code == 200
    assert browser.get("/acme").status_code == 200
    assert browser.get("/acme/p1").status_code == 200
    assert browser.get("/acme/p4").status_code == 404
    assert site.browser("other").get("/acme").status_code == 404


@pytest.fixture
def flooded(site):
    """A site where somebody made alice a Maintainer of 520 groups that she never asked for."""
    site.user("alice")
    site.namespace("team/inner")
    site.member("team", "alice", "guest")
    site.project("zoo/app")
    site.member("zoo", "alice", "owner")
    with site.session() as session:
        alice = session.query(User).filter_by(username="alice").one()
        for n in range(520):
            group = Namespace(path=f"aa{n:03}")
            session.add(group)
            session.flush()
            session.add(Membership(user_id=alice.id, place_id=group.id, role=40))
        session.commit()
    return site


def test_who_is_maintainer_of_hundreds_of_groups_may_still_create(flooded):
    answer = flooded.browser("alice").get("/-/new/project")
    assert answer.status_code == 200
    offered = re.findall(r'<option value="([^"]*)"', answer.text)
    offered = [path for path in offered if path in {"alice", "zoo", "team"} or path[:2] == "aa"]
    assert len(offered) == 522
    assert offered[0] == "alice"
    assert "zoo" in offered
    assert "team" not in offered


def test_nobody_can_push_a_group_out_of_view(flooded):
    browser, seen = flooded.browser("alice"), []
    address = "/"
    while address:
        page = Page(browser.get(address).text)
        seen += [link for link in page.links.values() if re.fullmatch("/[a-z0-9]+", link)]
        if address == "/":
            assert "/alice" in seen
        address = page.links.get("Next")
    assert {"/zoo", "/team", "/aa000", "/aa519"} <= set(seen)
