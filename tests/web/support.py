"""The site as the tests speak of it: people, places, browsers, and what clients send."""

from __future__ import annotations

import base64
import functools
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from registry_ui.access import Role
from registry_ui.accounts import secrets
from registry_ui.accounts import service as accounts
from registry_ui.accounts.tokens import TokenRequest
from registry_ui.audit import Actor
from registry_ui.copies.plan import CopyPlan
from registry_ui.db import prepared
from registry_ui.db.session import db, writing
from registry_ui.events import registry_token
from registry_ui.models import (
    AuditEntry,
    Base,
    ContainerImage,
    Copy,
    Move,
    MovedRepository,
    OldPath,
    Place,
    Project,
    Removal,
    RemovalLine,
    Tag,
    User,
)
from registry_ui.moves.planner import MovePlan
from registry_ui.projects import deploy_tokens, tag_rules
from registry_ui.projects import service as projects
from tests.unit.bearer import key_of, verified
from tests.web.browser import PASSWORD, Browser

ACTOR = Actor("-/test")
ROLES = ("guest", "reporter", "developer", "maintainer", "owner")
VISIBILITIES = ("private", "internal", "public")
#: The columns of tables of who may do what.
PEOPLE = ("anonymous", "stranger", *ROLES, "admin")
EVENTS = "/api/v4/registry_events"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EVENTS_V1 = "application/vnd.docker.distribution.events.v1+json"
EVENTS_V2 = "application/vnd.docker.distribution.events.v2+json"

# One hash for all users of the tests: making it takes as long as a test.
_hash_password = functools.cache(secrets.hash_password)


def digest(letter: str) -> str:
    """A digest that is easy to tell from others: ``digest("a")``."""
    return "sha256:" + letter * 64


def basic(username: str, password: str) -> dict[str, str]:
    """The Authorization header of HTTP Basic."""
    return {
        "Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    }


class Site:
    """One application with an empty database, and short ways to fill and to ask it."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    # -- filling -----------------------------------------------------------------

    def user(self, username: str, *, admin: bool = False) -> User:
        with self.app.app_context(), mock.patch.object(accounts, "hash_password", _hash_password):
            return accounts.create_user(ACTOR, username, PASSWORD, is_admin=admin)

    def users(self, *usernames: str) -> None:
        for username in usernames:
            self.user(username)

    def namespace(self, path: str) -> None:
        """Make a namespace, and those above it that are missing."""
        parts = path.split("/")
        with self.app.app_context():
            for count in range(1, len(parts) + 1):
                above = "/".join(parts[:count])
                if db.session.scalar(select(Place.id).where(Place.path == above)) is None:
                    projects.create_namespace(ACTOR, above)

    def project(self, path: str, visibility: str = "private") -> None:
        """Make a project, and the namespaces above it that are missing."""
        self.namespace(path.rpartition("/")[0])
        with self.app.app_context():
            projects.create_project(ACTOR, path, visibility)

    def member(self, path: str, username: str, role: str) -> None:
        with self.app.app_context():
            projects.add_member(ACTOR, path, username, Role.parse(role))

    def access_token(self, username: str, *scopes: str, name: str = "ci", **more: Any) -> str:
        """Make an access token; more: expires_at, restriction, restriction_exact."""
        with self.app.app_context():
            owner = accounts.find_user(username)
            return accounts.create_access_token(
                ACTOR, owner, TokenRequest(name, scopes, **more)
            ).secret

    def deploy_token(
        self, path: str, *scopes: str, name: str = "ci", **more: Any
    ) -> tuple[str, str]:
        """Make a deploy token of a place; return user name and secret."""
        with self.app.app_context():
            made = deploy_tokens.create(ACTOR, path, TokenRequest(name, scopes, **more))
            return made.username, made.secret

    def rule(self, path: str, tags: str, choice: str = "immutable", images: str = "**") -> None:
        """Add a protection rule to a project, as an Owner does."""
        with self.app.app_context():
            wanted = tag_rules.RuleRequest(images, tags, choice)
            tag_rules.add(ACTOR, Role.OWNER, path, wanted)

    def image(self, path: str, *tags: str, digests: str = "") -> None:
        """Put an image and its tags into the index, as if pushed; digests by letter."""
        with self.session() as session:
            owner = session.scalars(select(Project).where(Project.path.in_(_above(path)))).one()
            name = path[len(owner.path) + 1 :]
            now = datetime.now(UTC)
            image = ContainerImage(
                project_id=owner.id, name=name, path=path, last_push_at=now, tag_count=len(tags)
            )
            session.add(image)
            session.flush()
            for number, tag in enumerate(tags):
                letter = digests[number] if digests else "a"
                session.add(Tag(image_id=image.id, name=tag, digest=digest(letter), pushed_at=now))
            session.commit()

    def removal(
        self, project: str | None, *, by: str = "somebody", path: str = "", **more: Any
    ) -> int:
        """Put a finished removal into the store; of a project that is gone, where None."""
        with self.session() as session:
            place = session.scalar(select(Place.id).where(Place.path == project))
            row = Removal(
                kind="image",
                target=f"{project or path}/gone",
                project_id=place,
                project_path=project or path,
                requested_by=by,
                **{"state": "done", "plan": [], **more},
            )
            session.add(row)
            session.commit()
            return row.id

    def copying(
        self, source: str, project: str | None, *, by: str = "somebody", path: str = ""
    ) -> int:
        """Put a finished copy into the store; to a project that is gone, where None."""
        with self.session() as session:
            place = session.scalar(select(Place.id).where(Place.path == project))
            row = Copy(
                kind="image",
                source=source,
                source_project=source,
                target=f"{project or path}/copied",
                project_id=place,
                project_path=project or path,
                requested_by=by,
                state="done",
                plan=[],
                preview=CopyPlan("image", source, f"{project or path}/copied").preview(),
            )
            session.add(row)
            session.commit()
            return row.id

    def move(self, path: str, state: str = "done", *, parts: int = 1, **values: Any) -> int:
        """Put a move of a place, with so many repositories, into the store; more: its columns."""
        with self.session() as session:
            place = session.scalars(select(Place).where(Place.path == path)).one()
            values = {"source": path, "target": f"{path}-new", "requested_by": "somebody", **values}
            plan = MovePlan(place.kind, values["source"], values["target"]).preview()
            row = Move(kind=place.kind, place_id=place.id, state=state, preview=plan, **values)
            row.problem = ""
            session.add(row)
            session.flush()
            for number in range(parts):
                source, target = f"{row.source}/i{number}", f"{row.target}/i{number}"
                part = {"number": number, "source": source, "target": target}
                session.add(MovedRepository(move_id=row.id, **part))
            session.commit()
            return row.id

    def old_path(self, path: str, new_path: str, move_id: int, *, exact: bool = False) -> None:
        """Let an old path be pulled."""
        with self.session() as session:
            until = datetime(2030, 12, 24, tzinfo=UTC)
            session.add(
                OldPath(path=path, new_path=new_path, exact=exact, until=until, move_id=move_id)
            )
            session.commit()

    def empty(self) -> None:
        """Forget everything that was filled in: a site for the next test."""
        with self.session() as session:
            session.execute(update(Place).values(parent_id=None))  # each holds the one above it
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())
            session.commit()

    # -- asking ------------------------------------------------------------------

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session of its own, as a request has one."""
        with self.app.app_context():
            yield db.session()

    def rows(self, model: type[Any], **values: Any) -> list[Any]:
        """All rows of a model with these values, by primary key."""
        with self.session() as session:
            order = model.__table__.primary_key.columns
            return list(session.scalars(select(model).filter_by(**values).order_by(*order)))

    def row(self, model: type[Any], **values: Any) -> Any:
        """The one row of a model with these values."""
        (found,) = self.rows(model, **values)
        return found

    def report(self, removal_id: int | None = None) -> list[dict[str, str]]:
        """What came of each step of a removal, in order; of the newest, where None is named."""
        with self.session() as session:
            last = removal_id or session.scalar(select(func.max(Removal.id)))
            query = select(RemovalLine).where(RemovalLine.work_id == last)
            return [
                {"reference": line.reference, "outcome": line.outcome, "detail": line.detail}
                for line in session.scalars(query.order_by(RemovalLine.number))
                if line.outcome
            ]

    def change(self, model: type[Any], values: dict[str, Any], **which: Any) -> None:
        """Change rows behind the services' back, to say what was yesterday.

        In a transaction that writes from its beginning: beside a running worker, SQLite refuses
        one that begins as a reader.
        """
        with self.app.app_context(), writing() as session:
            for row in session.scalars(select(model).filter_by(**which)):
                for name, value in values.items():
                    setattr(row, name, value)

    def audit(self) -> list[tuple[str, str, str]]:
        """(actor, action, subject) of every entry, oldest first."""
        return [(entry.actor, entry.action, entry.subject) for entry in self.rows(AuditEntry)]

    def dump(self) -> dict[str, list[Any]]:
        """Every row of every table but the sessions: for saying that nothing has changed."""
        with self.session() as session:
            return {
                table.name: sorted(map(repr, session.execute(select(table))))
                for table in Base.metadata.sorted_tables
                if table.name != "browser_sessions"
            }

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Note the SQL statements meanwhile; those that begin or end transactions aside."""
        noted: list[str] = []

        def note(_conn: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
            if not re.match(r"BEGIN|COMMIT|ROLLBACK|PRAGMA|SAVEPOINT|RELEASE", sql):
                noted.append(sql)

        with self.app.app_context():
            engine = db.engine
        run = prepared._run

        def note_prepared(engine: Any, text: str, parameters: Any) -> Any:
            noted.append(text)
            return run(engine, text, parameters)

        event.listen(engine, "before_cursor_execute", note)
        try:
            with mock.patch.object(prepared, "_run", note_prepared):
                yield noted
        finally:
            event.remove(engine, "before_cursor_execute", note)

    # -- clients -----------------------------------------------------------------

    def browser(self, username: str | None = None) -> Browser:
        """A browser that this user has signed in with, or nobody."""
        browser = Browser(self.app)
        if username is not None:
            browser.be(self.row(User, username=username))
        return browser

    def ask_token(
        self,
        *scopes: str,
        auth: tuple[str, str] | None = None,
        url: str = "/jwt/auth",
        **params: str,
    ) -> TestResponse:
        """Ask the token endpoint as docker does: one ``scope`` parameter for each scope."""
        query = urlencode({"service": "registry", **params, "scope": scopes}, doseq=True)
        headers = basic(*auth) if auth else {}
        return self.app.test_client().get(f"{url}?{query}", headers=headers)

    def granted(self, *scopes: str, auth: tuple[str, str] | None = None) -> dict[str, str]:
        """What the signed token grants: ``{"name": "pull,push"}``."""
        answer = self.ask_token(*scopes, auth=auth)
        assert answer.status_code == 200, answer.text
        access = self.claims(answer.json["token"])["access"]
        found = {entry["name"]: ",".join(entry["actions"]) for entry in access}
        assert len(found) == len(access), "a name twice"
        return found

    def claims(self, token: str) -> dict[str, Any]:
        """The claims of a token that verifies with the published keys."""
        key = self.app.test_client().get("/jwt/jwks.json").json["keys"][0]
        claims = verified(token, key_of(key))
        assert claims is not None, "the signature is not that of the published key"
        return claims

    def registry_token(self) -> str:
        """The registry token in force."""
        with self.app.app_context():
            return registry_token.ensure()

    def deliver(
        self, *events: Any, body: bytes | None = None, token: str | None = None, **more: Any
    ) -> TestResponse:
        """Post events as the registry does; the jobs that follow run at once."""
        data = json.dumps({"events": events}, indent=3).encode() if body is None else body
        headers = {"Authorization": f"Bearer {token or self.registry_token()}"}
        more = {"content_type": EVENTS_V1, "headers": headers, **more}
        return self.app.test_client().post(EVENTS, data=data, **more)


def event_of(action: str, repository: str, tag: str = "", **more: Any) -> dict[str, Any]:
    """A notification in the shape of 2.8. ``more`` overrides: at, digest, by, method, id, type."""
    at = more.get("at", datetime.now(UTC) - timedelta(seconds=1))
    target: dict[str, Any] = {
        "mediaType": more.get("type", OCI_MANIFEST),
        "digest": more.get("digest", digest("a")),
        "size": 500,
        "length": 500,
        "repository": repository,
        "url": f"http://elsewhere.example/v2/{repository}/manifests/x",
    }
    if tag:
        target["tag"] = tag
    if action == "delete":
        target = {key: target[key] for key in ("digest", "repository", "tag") if key in target}
        target = {key: value for key, value in target.items() if value}
    methods = {"push": "PUT", "pull": "GET", "mount": "POST", "delete": "DELETE"}
    return {
        "id": more.get("id", str(uuid.uuid4())),
        "timestamp": at if isinstance(at, str) else at.isoformat(),
        "action": action,
        "target": target,
        "request": {
            "id": str(uuid.uuid4()),
            "addr": "127.0.0.1:50000",
            "host": "localhost:5050",
            "method": more.get("method", methods.get(action, "PUT")),
            "useragent": "docker/28.2.2",
        },
        "actor": {"name": more["by"]} if more.get("by") else {},
        "source": {"addr": "host:5000", "instanceID": "b9d9d4e1"},
    }


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
