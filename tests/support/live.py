"""A site with a real registry behind it: what is pushed there, and what the index says of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar
from unittest import mock

from flask import Flask
from sqlalchemy import select, update

from config import PREFIX, Config
from registry_ui.catalog import reconcile as reconciling
from registry_ui.db.session import db
from registry_ui.demo.images import Blob, Manifest, Step, image, layer, sha256
from registry_ui.demo.push import ACCEPT, Challenge, RegistryClient, RegistryError
from registry_ui.jobs.tasks import resume
from registry_ui.models import ContainerImage, Project, Removal, Tag
from registry_ui.names import RepositoryName
from registry_ui.removals import runner
from registry_ui.removals import service as starting
from registry_ui.token_auth.keyring import KeyRing
from registry_ui.token_auth.signer import Signer
from tests.web.support import ACTOR, Site, event_of

from .html import Page
from .registry import Registry


def signer_of(config: Config) -> Signer:
    """Return the signer that the registries of the tests trust."""
    ring = KeyRing(config.token_key_file, config.token_certificate_file)
    return ring.signer(config.token_issuer, config.token_service, config.token_lifetime)


def tiny(name: str, **more: Any) -> Manifest:
    """Return an image of one small layer; another name is another digest."""
    return image([layer({"name": name}), Step(f"CMD {name}")], **more)


def environ_of(config: Config) -> dict[str, str]:
    """Return the environment in which another process reads the same settings."""
    ours = {
        "VAR": config.var,
        "SECRET_KEY": config.secret_key,
        "TOKEN_KEY_FILE": config.token_key_file,
        "TOKEN_CERTIFICATE_FILE": config.token_certificate_file,
        "DATABASE_URL": config.database_url,
        "REDIS_URL": config.redis_url or "",
        "PORT": config.port,
        "REGISTRY_PORT": config.registry_port,
        "REGISTRY_URL": config.registry_url,
        "PUBLIC_URL": config.public_url,
        "TRASH_DAYS": config.trash_days,
        "RECONCILE_INTERVAL": config.reconcile_interval,
    }
    outer = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**outer, **{PREFIX + name: str(value) for name, value in ours.items()}}


#: A repository of each registry that holds what many tests push.
COMMON = "common/blobs"


class Pusher(RegistryClient):
    """Pushes, pulls and deletes with bearer tokens that the tests sign: any right, as anyone.

    With ``mounts``, what is pushed a second time to the registry is mounted from there on: an
    upload takes three calls, and most of the time of a test. Not where blobs are collected.
    """

    #: Registries and digests: what was pushed, and what the common repository has.
    pushed: ClassVar[set[tuple[str, str]]] = set()
    common: ClassVar[set[tuple[str, str]]] = set()

    def __init__(self, url: str, signer: Signer, subject: str = "pusher") -> None:
        super().__init__(url, timeout=60.0)
        self.signer, self.subject, self.mounts = signer, subject, False

    def _put_blob(self, repository: str, blob: Blob) -> None:
        """Upload a blob, or mount it."""
        key = self.base_url, blob.digest
        if (repository, blob.digest) in self._present:
            return
        if not self.mounts or key not in self.pushed:
            super()._put_blob(repository, blob)
            self.pushed.add(key)
            return
        if key not in self.common:
            super()._put_blob(COMMON, blob)
            self.common.add(key)
        mount = f"{repository}/blobs/uploads/?mount={blob.digest}&from={COMMON}"
        self._call("POST", mount, repository, 201)
        self._present.add((repository, blob.digest))

    def token(self, challenge: Challenge, scope: str) -> str:
        """Sign what the registry asks for."""
        assert challenge.service == self.signer.service
        access = []
        for word in scope.split():
            kind, name, actions = word.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        return self.signer.sign(self.subject, access).token

    def delete(self, repository: str, digest: str) -> None:
        """Delete by digest, with all tags on it."""
        self._call("DELETE", f"{repository}/manifests/{digest}", repository, 202)

    def digest(self, repository: str, reference: str) -> str | None:
        """Return what a tag or digest stands for and can be pulled as, with its config; or None."""
        url = f"{repository}/manifests/{reference}"
        answer = self._call("GET", url, repository, 200, 404, headers={"Accept": ACCEPT})
        if answer.status_code == 404:
            return None
        found = answer.headers["Docker-Content-Digest"]
        assert sha256(answer.content) == found
        if config := answer.json().get("config"):
            blob = self._call("GET", f"{repository}/blobs/{config['digest']}", repository, 200)
            assert sha256(blob.content) == config["digest"]
        return str(found)

    def digests(self, repository: str) -> dict[str, str | None]:
        """Return every tag with what can be pulled by it."""
        return {tag: self.digest(repository, tag) for tag in self.tags(repository)}


class LiveSite(Site):
    """The site with a registry that answers. Everything lies below a root of its own.

    The registry outlives the test, the database does not.
    """

    def __init__(self, app: Flask, registry: Registry) -> None:
        super().__init__(app)
        self.registry = registry
        self.root = "t" + secrets.token_hex(5)
        self.shop = f"{self.root}/shop"
        self.pusher = Pusher(registry.url, app.extensions["signer"])

    @property
    def config(self) -> Config:
        settings: Config = self.app.config["SETTINGS"]
        return settings

    def open_shop(self) -> str:
        """Make the project, and a maintainer of it; return its path."""
        self.project(self.shop)
        self.user("maintainer")
        self.member(self.shop, "maintainer", "maintainer")
        return self.shop

    def push(self, repository: str, tags: Mapping[str, Manifest]) -> None:
        """Push; nobody tells the index."""
        self.pusher.push(repository, tags)

    def push_and_index(self, repository: str, tags: Mapping[str, Manifest]) -> None:
        """Push, and let the index know."""
        self.push(repository, tags)
        assert self.reconcile(repository).error is None

    def push_and_tell(self, repository: str, tags: Mapping[str, Manifest]) -> None:
        """Push, and let the index hear of it as the registry tells it; it learns the facts."""
        self.push(repository, tags)
        events = [
            event_of("push", repository, tag, digest=manifest.digest, by=self.pusher.subject)
            for tag, manifest in tags.items()
        ]
        assert self.deliver(*events).status_code == 202

    def page(self, address: str, username: str = "maintainer") -> Page:
        """Open a page that must be there."""
        answer = self.browser(username).get(address)
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    def confirm(self, address: str, text: str, username: str = "maintainer", **more: Any) -> Any:
        """Open the preview of a deletion and confirm it by typing; return the answer."""
        browser = self.browser(username)
        seen = Page(browser.get(address).text)
        return browser.post(address, {**seen.hidden, "confirm": text}, **more)

    def live(self, repository: str) -> dict[str, str | None]:
        """What the registry has: tag to digest."""
        return self.pusher.digests(repository)

    def index(self, repository: str) -> dict[str, str | None] | None:
        """What the index has: tag to digest; None where it has no such image."""
        with self.session() as session:
            query = select(ContainerImage.id).where(ContainerImage.path == repository)
            image_id = session.scalar(query)
            if image_id is None:
                return None
            tags = select(Tag.name, Tag.digest).where(Tag.image_id == image_id)
            return dict(session.execute(tags).all())

    def reconcile(self, repository: str) -> reconciling.Outcome:
        with self.app.app_context():
            return reconciling.reconcile(RepositoryName(repository))

    def reconcile_all(self) -> dict[str, reconciling.Outcome]:
        """Reconcile everything; return the outcomes of this test's repositories."""
        with self.app.app_context():
            outcomes = reconciling.reconcile_all()
        return {o.repository: o for o in outcomes if o.repository.startswith(self.root + "/")}

    # -- removals ----------------------------------------------------------------

    def start(self, plan: Any, *arguments: Any, project: str = "") -> int:
        """Plan by a function of ``catalog.deletion``, and store the removal; return its id."""
        with self.app.app_context():
            owner = db.session.scalars(
                select(Project).where(Project.path == (project or self.shop))
            ).one()
            subject = arguments[0] if arguments else owner
            if isinstance(subject, str):
                query = select(ContainerImage).where(ContainerImage.path == subject)
                subject = db.session.scalars(query).one()
            return starting.start(ACTOR, plan(subject, *arguments[1:]), owner).id

    def run(self, removal_id: int, patience: float | None = None) -> Removal | None:
        """Carry out a removal; a silent registry is waited for as many seconds."""
        with self.app.app_context():
            return runner.run(removal_id, timeout=patience)

    def resume(self) -> None:
        """Let the lease of a dead worker run out, and do what the schedule does."""
        with self.app.app_context():
            db.session.execute(update(Removal).values(lease_until=None))
            db.session.commit()
            resume()

    def removal(self, removal_id: int) -> Removal:
        found: Removal = self.row(Removal, id=removal_id)
        return found

    def patched(self, method: str, replacement: Any) -> AbstractContextManager[Any]:
        """Put another function in the place of a method of the application's client."""
        return mock.patch.object(self.app.extensions["registry"], method, replacement)


__all__ = ["LiveSite", "Pusher", "RegistryError", "environ_of", "signer_of", "tiny"]
