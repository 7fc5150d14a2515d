"""However much there is to show, a page costs the same number of queries."""

from __future__ import annotations

import json
import re

import pytest
from sqlalchemy import insert

from registry_ui.distribution.manifest import ManifestFacts, read_manifest
from registry_ui.manifests.blobs import pack
from registry_ui.models import (
    AccessToken,
    AttachedDocument,
    AuditEntry,
    BinnedTag,
    ContainerImage,
    Copy,
    CopyLine,
    DailyCount,
    DeployToken,
    DockerSession,
    GarbageCollection,
    Manifest,
    ManifestContents,
    Membership,
    MovedRepository,
    Namespace,
    OldPath,
    Project,
    ProtectionRule,
    ProtectionViolation,
    Push,
    RegistryEvent,
    Removal,
    RemovalLine,
    RepositoryManifest,
    RetentionPolicy,
    Tag,
    TagHistoryEntry,
    TokenDecision,
    UnassignedRepository,
    User,
    utc_now,
)
from tests.support.html import Page
from tests.web.support import OCI_INDEX, OCI_MANIFEST, digest

FEW, MANY = 3, 60
NO_FACTS = ManifestFacts("image", "").to_json()
PEOPLE = ("anonymous", "member", "admin")


def fill(site, start, stop):
    """Make so many of everything that pages list, in acme and at the top."""
    numbers = range(start, stop)
    with site.session() as session:
        acme = session.query(Namespace).filter_by(path="acme").one()
        for n in numbers:
            part = {"source": f"old/i{n}", "target": f"acme/app/i{n}", "number": n + 1}
            session.add(MovedRepository(move_id=1, **part))
            session.add(OldPath(path=f"old{n}", now="acme/app", move_id=1))
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
            add_activity(session, n, app.id)
            session.add(decision("member", f"acme/p{n}"))
            session.add(decision("member", f"absent/p{n}", place=""))
            session.add(decision(f"user{n}", f"acme/app/i{n}", place="acme/app"))
            add_secrets(session, n, member.id, app.id)
            add_protection(session, n, app.id)
            session.add(RegistryEvent(event_id=f"e{n}", raw=b"{}", status="dropped"))
        removal = session.query(Removal).order_by(Removal.id).first()
        session.add_all(
            RemovalLine(work_id=removal.id, number=n, reference="x", outcome="kept")
            for n in numbers
        )
        copying = session.query(Copy).order_by(Copy.id).first()
        session.add_all(
            CopyLine(work_id=copying.id, number=n, reference="x", outcome="kept") for n in numbers
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
        for n in numbers:
            add_contents(session, n, image.id)
        rows = [
            {"image_id": image.id, "name": f"t{n}", "digest": digest("a"), "pushed_at": utc_now()}
            for n in numbers
        ]
        session.execute(insert(Tag), rows)
        add_attached(session, image.id, numbers)
        session.commit()


def add_image(session, project_id, name, path):
    image = ContainerImage(project_id=project_id, name=name, path=path, last_push_at=utc_now())
    session.add(image)
    session.flush()
    session.add(Tag(image_id=image.id, name="v1", digest=digest("a"), pushed_at=utc_now()))


def add_attached(session, image_id, numbers):
    """Give the image of `latest` a history, and so many layers, platforms, attestations, packages.

    All of it is in the store already: the registry of these tests is down.
    """
    here = {"image_id": image_id, "action": "pushed", "tag": "latest", "digest": digest("a")}
    for n in numbers:
        copied = {"action": "copied", "source": f"acme/p{n}:v1", "at": utc_now()}
        rows = [{**here, "at": utc_now(), "source": ""}, {**here, **copied}]
        session.execute(insert(TagHistoryEntry), rows)
    inner = [
        (digest("b"), digest("c")),
        *((f"sha256:{n:064x}", f"sha512:{n:0128x}") for n in numbers),
    ]
    platform, unknown = ({"os": os, "architecture": "x"} for os in ("linux", "unknown"))
    children = []
    for image, proof in inner:
        children.append(
            {"digest": image, "size": 1, "mediaType": OCI_MANIFEST, "platform": platform}
        )
        note = {"type": "attestation-manifest", "digest": image}
        annotations = {f"vnd.docker.reference.{key}": value for key, value in note.items()}
        pointer = {"digest": proof, "size": 1, "mediaType": OCI_MANIFEST, "platform": unknown}
        children.append({**pointer, "annotations": annotations})
    add_manifest(session, image_id, digest("a"), OCI_INDEX, {"manifests": children})
    layers = [
        {"digest": f"sha256:{n:064x}", "size": 1, "mediaType": "application/vnd.in-toto+json"}
        for n in numbers
    ]
    for image, proof in inner:
        add_manifest(session, image_id, image, OCI_MANIFEST, {"layers": layers})
        add_manifest(session, image_id, proof, OCI_MANIFEST, {"layers": layers})
    for layer in layers:
        packages = [["bash", str(n), "deb", ""] for n in numbers]
        values = {"kind": "sbom", "summary": {"types": [["deb", 1]]}, "packages": packages}
        session.merge(AttachedDocument(image_id=image_id, digest=layer["digest"], **values))


def add_manifest(session, image_id, name, media_type, document):
    body = json.dumps(document).encode()
    facts = read_manifest(media_type, body)
    values = {"media_type": media_type, "kind": facts.kind, "size": facts.size, "body": body}
    row = Manifest(digest=name, has_config=False, facts=facts.to_json(), **values)
    session.merge(row)
    session.merge(RepositoryManifest(image_id=image_id, digest=name))


def add_contents(session, n, image_id):
    """A tag of an index whose platform the image was seen to hold."""
    child, parent = f"sha256:{n:064x}", f"sha256:f{n:063x}"
    blobs = {f"{n:032}".encode(): 10}
    for name, packed, children in ((child, pack(blobs), ""), (parent, b"", child)):
        session.add(Manifest(digest=name, media_type="", kind="image", body=b"", facts=NO_FACTS))
        session.flush()
        session.add(ManifestContents(digest=name, blobs=packed, children=children))
    session.add(RepositoryManifest(image_id=image_id, digest=child))
    session.add(Tag(image_id=image_id, name=f"zz-index{n}", digest=parent))


def add_activity(session, n, project_id):
    today = utc_now()
    session.add(GarbageCollection(dry_run=True, requested_by="member", state="done"))
    moment = {"digest": digest("a"), "actor": "member", "at": today}
    session.add(Push(project_id=project_id, name=f"i{n}", tag="v1", **moment))
    copied = {"tag": "v2", "source": f"acme/p{n}:v1"}
    session.add(Push(project_id=project_id, name=f"i{n}", **copied, **moment))
    values = {"kind": "tag", "target": f"acme/app/i{n}", "project_path": "acme/app", "plan": []}
    values |= {"source": "acme/app/many", "source_project": "acme/app", "requested_by": "member"}
    session.add(Copy(project_id=project_id, state="done", **values))
    session.add(
        DailyCount(project_id=project_id, day=today.date(), name=f"i{n}", pushes=1, pulls=1)
    )
    session.add(AuditEntry(actor="member", action="member.add", subject="acme/app"))
    values = {"kind": "tag", "target": f"acme/app:v{n}", "project_path": "acme/app", "plan": []}
    session.add(Removal(project_id=project_id, requested_by="member", state="done", **values))


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


def add_protection(session, n, place_id):
    covers = {"image_pattern": "**", "tag_pattern": f"t{n}*"}
    session.add(ProtectionRule(place_id=place_id, kind="immutable", created_by="x", **covers))
    named = {"repository": "acme/app/many", "tag": f"t{n}"}
    session.add(ProtectionViolation(place_id=place_id, what="deleted", actor="x", **named))


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
    "/acme/app/-/bin": ("member", "admin"),
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
