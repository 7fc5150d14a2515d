"""Rows in bulk: any number of everything that the pages list."""

from __future__ import annotations

import json

from sqlalchemy import insert

from registry_ui.distribution.manifest import ManifestFacts, read_manifest
from registry_ui.manifests.blobs import pack
from registry_ui.models import (
    AccessToken,
    AttachedDocument,
    AuditEntry,
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
    TrashedTag,
    UnassignedRepository,
    User,
    utc_now,
)
from tests.web.support import OCI_INDEX, OCI_MANIFEST, digest

NO_FACTS = ManifestFacts("image", "").to_json()


def fill(site, start, stop):
    """Make so many of everything that pages list, in acme and at the top."""
    numbers = range(start, stop)
    with site.session() as session:
        acme = session.query(Namespace).filter_by(path="acme").one()
        for n in numbers:
            part = {"source": f"old/i{n}", "target": f"acme/app/i{n}", "number": n + 1}
            session.add(MovedRepository(move_id=1, **part))
            session.add(OldPath(path=f"old{n}", new_path="acme/app", move_id=1))
        app = session.query(Project).filter_by(path="acme/app").one()
        member = session.query(User).filter_by(username="member").one()
        for n in numbers:
            add_places(session, n, acme.id, member.id)
            add_user(session, n, app.id)
            add_image(session, app.id, f"deep/i{n}", f"acme/app/deep/i{n}")
            session.add(UnassignedRepository(path=f"free/r{n}"))
            session.add(AuditEntry(actor="x", action="y", subject="z"))
            add_activity(session, n, app.id)
            add_decisions(session, n)
            add_secrets(session, n, member.id, app.id)
            add_protection(session, n, app.id)
            session.add(RegistryEvent(event_id=f"e{n}", raw=b"{}", status="dropped"))
        add_stored_work(session, numbers, app.id)
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


def add_places(session, n, acme_id, member_id):
    """Make a namespace at the top, one in acme, and public projects in acme and in the latter."""
    session.add(Namespace(path=f"top{n}"))
    inner = Namespace(path=f"acme/n{n}", parent_id=acme_id)
    session.add(inner)
    session.flush()
    for parent, name in ((acme_id, f"acme/p{n}"), (inner.id, f"acme/n{n}/p")):
        project = Project(path=name, parent_id=parent, visibility="public")
        session.add(project)
        session.flush()
        session.add(Membership(user_id=member_id, place_id=project.id, role=20))
        add_image(session, project.id, "", project.path)


def add_user(session, n, place_id):
    """Make a user who is a Guest of this place."""
    user = User(username=f"user{n}", password_hash="x")
    session.add(user)
    session.flush()
    session.add(Membership(user_id=user.id, place_id=place_id, role=10))


def add_decisions(session, n):
    """Add decisions of the token endpoint: about a project, an absent one, and an image."""
    session.add(decision("member", f"acme/p{n}"))
    session.add(decision("member", f"absent/p{n}", place=""))
    session.add(decision(f"user{n}", f"acme/app/i{n}", place="acme/app"))


def add_stored_work(session, numbers, project_id):
    """Add lines of the first removal and the first copy, retention policies, and trashed tags."""
    removal = session.query(Removal).order_by(Removal.id).first()
    session.add_all(
        RemovalLine(work_id=removal.id, number=n, reference="x", outcome="kept") for n in numbers
    )
    copying = session.query(Copy).order_by(Copy.id).first()
    session.add_all(
        CopyLine(work_id=copying.id, number=n, reference="x", outcome="kept") for n in numbers
    )
    session.add_all(
        RetentionPolicy(place_id=project_id, keep_last=n, created_by="x") for n in numbers
    )
    many = {"repository": "acme/app/many", "tag": "t", "digest": digest("a")}
    session.add_all(
        TrashedTag(
            project_id=project_id, trash_tag=f"{n}", removed_by="x", purge_at=utc_now(), **many
        )
        for n in numbers
    )


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
    values |= {"requested": "push", "granted": "", "rule": f"nobody pushes to {repository}", **more}
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
    session.add(ProtectionViolation(place_id=place_id, change="deleted", actor="x", **named))
