"""However much there is to show, a page costs the same number of queries."""

from __future__ import annotations

import re

import pytest

from registry_ui.models import ContainerImage, Membership, Namespace, Project, User, utc_now
from tests.support.bulk_rows import fill
from tests.support.html import Page

FEW, MANY = 3, 60
PEOPLE = ("anonymous", "member", "admin")


PAGES = {
    "/": PEOPLE,
    "/?show=all": PEOPLE,
    "/?q=p": PEOPLE,
    "/acme": PEOPLE,
    "/acme/app": PEOPLE,
    "/acme/app/-/members": ("member", "admin"),
    "/acme/app?q=i1&sort=size&order=desc": PEOPLE,
    "/acme/app/-/activity": PEOPLE,
    "/acme/app/-/activity?image=i&by=member": PEOPLE,
    "/acme/-/activity": PEOPLE,
    "/-/users/member/activity": PEOPLE,
    "/acme/app/-/storage": PEOPLE,
    "/acme/app/-/storage?image=acme/app/many": PEOPLE,
    "/acme/-/storage": PEOPLE,
    "/acme/app/-/images/deep": PEOPLE,
    "/acme/app/-/images/deep?q=*1&sort=pushed": PEOPLE,
    "/acme/app/-/images/many": PEOPLE,
    "/acme/app/-/images/many?q=t*&sort=pulled&order=desc": PEOPLE,
    "/acme/app/-/images/many?sort=size": PEOPLE,
    "/acme/app/-/images/many/-/rows": PEOPLE,
    "/acme/app/-/images/many/-/rows/latest": PEOPLE,
    "/acme/app/-/images/many/-/tags/latest": PEOPLE,
    "/acme/app/-/images/many/-/tags/latest?history=all": PEOPLE,
    "/acme/app/-/images/many/-/tags/latest/-/sbom": PEOPLE,
    "/acme/app/-/images/many/-/delete-tags": ("member", "admin"),
    "/acme/app/-/retention": ("member", "admin"),
    "/acme/app/-/retention/matches?images=m**&keep_matching=t*,+latest": ("member", "admin"),
    "/acme/app/-/protection/matches?images=**&tags=t*": ("member", "admin"),
    "/acme/app/-/trash": ("member", "admin"),
    "/acme/app/-/removals/1": ("member", "admin"),
    "/acme/app/-/images/many/-/copy?chosen=latest": ("member", "admin"),
    "/acme/app/-/copies/1": ("member", "admin"),
    "/acme/app/-/moves/1": ("member", "admin"),
    "/acme/app/-/deploy-tokens": ("member", "admin"),
    "/acme/app/-/protection": ("member", "admin"),
    "/acme/app/-/decisions": ("member", "admin"),
    "/acme/-/decisions?refused=1": ("admin",),
    "/-/decisions": ("member", "admin"),
    "/-/decisions?repository=acme&refused=1": ("member",),
    "/-/access-check?repository=acme/app": ("member", "admin"),
    "/-/search?q=p": PEOPLE,
    "/-/search?q=many:t": PEOPLE,
    "/-/compare?from=acme/app/many:t1": PEOPLE,
    "/-/profile": ("member", "admin"),
    "/-/new/project": ("member", "admin"),
    "/-/admin": ("admin",),
    "/-/admin/users": ("admin",),
    "/-/admin/garbage-collection": ("admin",),
    "/-/admin/garbage-collection/begin": ("admin",),
    "/-/admin/garbage-collection/1": ("admin",),
    "/-/admin/unassigned": ("admin",),
    "/-/admin/unassigned/adopt": ("admin",),
    "/-/admin/events": ("admin",),
    "/-/admin/audit": ("admin",),
    "/-/admin/decisions": ("admin",),
    "/api/v4/projects": ("anonymous",),
    "/api/v4/registry/search?q=p": ("anonymous",),
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


@pytest.mark.both_databases
@pytest.mark.slow
def test_pages_cost_the_same_with_3_and_with_60_of_everything(site):
    site.user("admin", admin=True)
    site.user("member")
    site.project("acme/app", "public")
    site.member("acme/app", "member", "maintainer")
    site.image("acme/app/many", "latest")
    site.change(ContainerImage, {"reconciled_at": utc_now()})
    assert site.removal("acme/app") == 1
    assert site.copying("acme/app/many", "acme/app", by="member") == 1
    assert site.move("acme/app", "grace") == 1
    fill(site, 0, FEW)
    few = counted(site)
    fill(site, FEW, MANY)
    assert counted(site) == few
    assert max(few.values()) <= 21, few


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
