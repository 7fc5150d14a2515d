"""Nightly deletion of data that is kept for a limited time."""

from __future__ import annotations

from datetime import timedelta

from flask import current_app
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ..accounts import docker_sessions, throttle
from ..accounts.sessions import SESSION_LIFETIME
from ..catalog import tag_claims
from ..db.session import writing
from ..events.service import forget_pulls
from ..manifests import tag_use
from ..models import (
    BrowserSession,
    Copy,
    Manifest,
    ProtectionViolation,
    RegistryEvent,
    Removal,
    RepositoryManifest,
    Tag,
    utc_now,
)
from ..moves import service as moves
from ..operations import runner as long_work
from ..token_auth import decision_retention

#: How long processed registry events are kept, counted from their receipt.
EVENT_RETENTION = timedelta(days=90)
#: How long the stored data of a manifest is kept, counted from its fetch, if no tag or repository
#: refers to the manifest.
UNUSED_MANIFEST_RETENTION = timedelta(days=7)
#: How long violations of protection rules are kept for the page that lists them; the audit log
#: keeps them permanently.
VIOLATION_RETENTION = timedelta(days=90)


def prune() -> None:
    """Delete expired data from the database.

    Examples are registry events, sessions, unconfirmed plans, token decisions (recorded answers of
    the token endpoint), and the stored data of unused manifests.
    """
    with writing() as session:
        docker_sessions.forget_unused(session)
        throttle.forget_old(session, utc_now())
        tag_claims.forget_ended(session)
        session.execute(
            delete(ProtectionViolation)
            .where(ProtectionViolation.at < utc_now() - VIOLATION_RETENTION)
            .execution_options(synchronize_session=False)
        )
        decision_retention.forget_old(session, current_app.config["SETTINGS"].decisions_kept_days)
        _delete_unused_manifests(session)
        long_work.delete_expired_plans(session, Removal)
        long_work.delete_expired_plans(session, Copy)
        moves.forget_plans(session)
        session.execute(
            delete(BrowserSession).where(BrowserSession.created_at < utc_now() - SESSION_LIFETIME)
        )
        session.execute(
            delete(RegistryEvent).where(
                RegistryEvent.received_at < utc_now() - EVENT_RETENTION,
                RegistryEvent.status != "pending",
            )
        )
        forget_pulls(session)
    tag_use.forget_placed_pulls()


def _delete_unused_manifests(session: Session) -> None:
    """Delete the stored data of manifests that no tag and no repository refers to."""
    has_tag = select(Tag.digest).where(Tag.digest == Manifest.digest).exists()
    has_repository = (
        select(RepositoryManifest.digest)
        .where(RepositoryManifest.digest == Manifest.digest)
        .exists()
    )
    session.execute(
        delete(Manifest)
        .where(
            Manifest.fetched_at < utc_now() - UNUSED_MANIFEST_RETENTION,
            ~has_tag,
            ~has_repository,
        )
        .execution_options(synchronize_session=False)
    )
