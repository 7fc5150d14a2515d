"""Retention policies of a namespace or project: save, dry run, enable, and run once a day.

A policy can be enabled only after a dry run, which shows the tags that its settings would delete.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from ..audit import WORKER, Actor, record
from ..db.session import db, writing
from ..db.statements import update_count
from ..errors import AppError, Conflict, Invalid, NotFound
from ..models import ContainerImage, Place, Removal, RetentionPolicy, utc_now
from ..names import subject_of
from ..removals.plan import RemovalOptions, RemovalPlan
from ..removals.planned_manifests import record_missing_subjects
from ..removals.planned_tags import planned_references
from ..removals.planner import plan_tags
from ..removals.service import add_plan, add_started, has_running_operation, lock_place
from ..tags.match_counts import pluralize
from ..tags.orphans import without_subject
from ..trash import service as trash
from .rules import Rules
from .selection import Selection, select_tags

logger = logging.getLogger(__name__)

#: Time of day when policies run, in UTC.
HOUR, MINUTE = 4, 0
#: Minimum time between two runs of a policy, so that each runs once a day.
MIN_RUN_INTERVAL = timedelta(hours=20)
MAX_POLICIES = 50


def policies_of(place: Place) -> list[RetentionPolicy]:
    """Return the policies of a namespace or project, oldest first."""
    query = select(RetentionPolicy).where(RetentionPolicy.place_id == place.id)
    return list(db.session.scalars(query.order_by(RetentionPolicy.id)))


def policy(place: Place, policy_id: int, *, lock: bool = False) -> RetentionPolicy:
    """Return a policy of a namespace or project; raise NotFound if there is no such policy.

    Args:
        lock: whether to lock the row until the transaction ends.
    """
    row = db.session.get(
        RetentionPolicy, policy_id, populate_existing=True, with_for_update=lock or None
    )
    if row is None or row.place_id != place.id:
        raise NotFound
    return row


def save(actor: Actor, place: Place, rules: Rules, policy_id: int | None = None) -> RetentionPolicy:
    """Create or change a policy; disable the policy if its settings have had no dry run.

    Args:
        policy_id: the policy to change; None to create one.

    Raises:
        NotFound: the namespace or project has no such policy.
        Invalid: the namespace or project has too many policies.
    """
    with writing() as session:
        return _save(session, actor, place, rules, policy_id)


def _save(
    session: Session, actor: Actor, place: Place, rules: Rules, policy_id: int | None
) -> RetentionPolicy:
    if policy_id is None:
        if len(policies_of(place)) >= MAX_POLICIES:
            raise Invalid("There are too many policies.", {"form": "Delete one first."})
        row = RetentionPolicy(place_id=place.id, created_by=actor.name)
        session.add(row)
    else:
        row = policy(place, policy_id, lock=True)
    for name, value in asdict(rules).items():
        setattr(row, name, value)
    if row.dry_run_fingerprint != rules.fingerprint:
        row.is_enabled = False
    session.flush()
    record(session, actor, "retention.save", place.path, policy=row.id, **asdict(rules))
    return row


def save_and_try(
    actor: Actor,
    place: Place,
    rules: Rules,
    policy_id: int | None = None,
    confirmed: Collection[str] = (),
) -> tuple[RetentionPolicy, Removal]:
    """Save a policy together with its dry run; if the dry run fails, nothing is stored.

    Args:
        policy_id: the policy to change; None to create one.
        confirmed: keep patterns that are allowed to match no tag now.

    Raises:
        NotFound: the namespace or project has no such policy.
        Invalid: the namespace or project has too many policies, or a pattern is invalid.
        KeepsNothing: a keep pattern matches no tag, and that was not confirmed.
        RegistryUnreachable: the registry can't be asked.
    """
    plan = _plan_dry_run(place, rules, confirmed)
    with writing() as session:
        row = _save(session, actor, place, rules, policy_id)
        return row, _store_dry_run(session, actor, place, row, plan)


def dry_run(actor: Actor, place: Place, policy_id: int, confirmed: Collection[str] = ()) -> Removal:
    """Store a plan to delete the tags that a policy selects now, as a removal to be confirmed.

    Args:
        confirmed: keep patterns that are allowed to match no tag now.

    Raises:
        NotFound: the namespace or project has no such policy.
        Invalid: a stored pattern is invalid.
        KeepsNothing: a keep pattern matches no tag, and that was not confirmed.
        Conflict: the policy was changed in the meantime.
        RegistryUnreachable: the registry can't be asked.
    """
    rules = Rules.of(policy(place, policy_id))
    plan = _plan_dry_run(place, rules, confirmed)
    with writing() as session:
        row = policy(place, policy_id, lock=True)
        if Rules.of(row) != rules:
            raise Conflict("The policy was changed meanwhile. Make a dry run again.")
        return _store_dry_run(session, actor, place, row, plan)


def _plan_dry_run(place: Place, rules: Rules, confirmed: Collection[str]) -> RemovalPlan:
    selection = select_tags(place, rules)
    selection.require_confirmed(confirmed)
    return _plan_removal(place, rules, selection)


def _store_dry_run(
    session: Session, actor: Actor, place: Place, row: RetentionPolicy, plan: RemovalPlan
) -> Removal:
    """Store a dry run, which allows the policy to be enabled with its present settings."""
    row.dry_run_fingerprint = Rules.of(row).fingerprint
    row.suspension_reason = ""
    plan.policy = {"id": row.id, "rules": row.dry_run_fingerprint}
    return add_plan(session, actor, plan, place)


def remove(actor: Actor, place: Place, policy_id: int) -> None:
    """Delete a policy; raise NotFound if there is no such policy. Its past removals are kept."""
    with writing() as session:
        row = policy(place, policy_id)
        record(session, actor, "retention.delete", place.path, policy=row.id)
        session.delete(row)


def switch(actor: Actor, place: Place, policy_id: int, *, on: bool) -> None:
    """Enable or disable a policy.

    Raises:
        NotFound: the namespace or project has no such policy.
        Conflict: the policy is to be enabled, but its settings have had no dry run.
    """
    with writing() as session:
        row = policy(place, policy_id, lock=True)
        if on and row.dry_run_fingerprint != Rules.of(row).fingerprint:
            raise Conflict("Make a dry run of these settings first, and look at what would go.")
        row.is_enabled = on
        record(session, actor, f"retention.{'on' if on else 'off'}", place.path, policy=row.id)


def tried_policy(place: Place, plan: RemovalPlan) -> RetentionPolicy | None:
    """Return the policy whose dry run a plan is, or None if it was changed or deleted since."""
    dry_run = plan.policy
    if dry_run is None:
        return None
    row = db.session.get(RetentionPolicy, dry_run["id"])
    if row is None or row.place_id != place.id or row.dry_run_fingerprint != dry_run["rules"]:
        return None
    return row if Rules.of(row).fingerprint == row.dry_run_fingerprint else None


def plan_of(place: Place, rules: Rules) -> RemovalPlan:
    """Plan the removal of the tags that these rules select now.

    Raises:
        Invalid: a stored pattern is invalid.
        RegistryUnreachable: the registry can't be asked.
    """
    return _plan_removal(place, rules, select_tags(place, rules))


def _plan_removal(place: Place, rules: Rules, selection: Selection) -> RemovalPlan:
    selected = (
        (image, _drop_needed_signatures(image, names)) for image, names in selection.tags_to_delete
    )
    tags_to_delete = [(image, names) for image, names in selected if names]
    options = RemovalOptions(attached=True, trash_days=trash.days())
    plan = plan_tags("retention", place.path, tags_to_delete, options)
    record_missing_subjects(plan, tags_to_delete)
    plan.notes[:0] = [*selection.notes(rules), _describe_kept(plan, selection)]
    return plan


def _describe_kept(plan: RemovalPlan, selection: Selection) -> str:
    """Return a sentence with the number of selected images' tags that stay, without signatures."""
    deleted_count = sum(
        subject_of(reference.rpartition(":")[2]) is None for reference in planned_references(plan)
    )
    kept_count = selection.tags - deleted_count
    verb = "stays" if kept_count == 1 else "stay"
    return f"{kept_count:,} of these {pluralize(selection.tags, 'tag')} {verb}."


def _drop_needed_signatures(image: ContainerImage, names: Collection[str]) -> set[str]:
    """Return the given tags without the signatures whose subject exists or may exist.

    If the registry does not answer for a subject, it may exist.
    """
    signatures = {name for name in names if subject_of(name) is not None}
    if not signatures:
        return set(names)
    return set(names) - signatures | without_subject(image, signatures)


def run(actor: Actor, policy_id: int) -> Removal | None:
    """Start and return the removal of the tags that a policy selects now.

    Return None if the removal can't start; the reason is stored with the policy. Also return None
    if the policy was changed, disabled, or deleted meanwhile.
    """
    row = db.session.get(RetentionPolicy, policy_id, populate_existing=True)
    if row is None or not _can_run(row):
        return None
    place = db.session.get_one(Place, row.place_id)
    removal, problem = None, ""
    try:
        removal = _start_if_unchanged(actor, place, policy_id, Rules.of(row))
        if removal is None:
            return None
    except AppError as error:
        reasons = error.errors.values() if isinstance(error, Invalid) else ()
        problem = " ".join([error.message, *reasons])
        logger.warning("retention of %s: %s", place.path, problem)
    with writing() as session:
        session.execute(
            update(RetentionPolicy)
            .where(RetentionPolicy.id == policy_id)
            .values(
                last_run_at=utc_now(),
                last_removal=removal.id if removal else None,
                last_problem=problem,
            )
        )
    return removal


def _can_run(row: RetentionPolicy) -> bool:
    """Return whether a policy is enabled, and its settings are those of its last dry run."""
    return row.is_enabled and row.dry_run_fingerprint == Rules.of(row).fingerprint


def _start_if_unchanged(actor: Actor, place: Place, policy_id: int, rules: Rules) -> Removal | None:
    """Start the removal that a policy's rules ask for.

    To plan it can take minutes. Return None if the policy was changed, disabled, or deleted in the
    meantime, or if its place was moved or deleted.
    """
    plan = plan_of(place, rules)
    with writing() as session:
        # The place first, as a deletion of the place locks it, too, before its policies.
        if lock_place(session, place) != plan.target:
            return None
        row = session.get(RetentionPolicy, policy_id, with_for_update=True, populate_existing=True)
        if row is None or not _can_run(row) or Rules.of(row) != rules:
            return None
        return add_started(session, actor, plan, place)


def run_due() -> list[int]:
    """Run all enabled policies that are due; return the IDs of the removals that were started.

    A policy is postponed while a removal or move in its namespace or project is in progress.
    """
    latest_run = utc_now() - MIN_RUN_INTERVAL
    query = (
        select(RetentionPolicy.id, Place.path)
        .join(Place, Place.id == RetentionPolicy.place_id)
        .where(RetentionPolicy.is_enabled.is_(True), _is_due(latest_run))
    )
    removal_ids = []
    for policy_id, path in db.session.execute(query.order_by(RetentionPolicy.id)).all():
        if not has_running_operation(db.session(), path) and _claim(policy_id, latest_run):
            removal = _run_or_log(policy_id, path)
            removal_ids += [removal.id] if removal else []
    return removal_ids


def _run_or_log(policy_id: int, path: str) -> Removal | None:
    """Run a policy, and only log an exception, so that the other policies can run."""
    try:
        return run(WORKER, policy_id)
    except Exception:
        logger.exception("retention of %s broke off", path)
    db.session.rollback()  # The next policy must not store changes of the failed run.
    return None


def _is_due(latest_run: datetime) -> ColumnElement[bool]:
    return or_(RetentionPolicy.last_run_at.is_(None), RetentionPolicy.last_run_at < latest_run)


def _claim(policy_id: int, latest_run: datetime) -> bool:
    """Reserve a policy's run for today; return False if another worker has reserved it."""
    with writing() as session:
        statement = (
            update(RetentionPolicy)
            .where(RetentionPolicy.id == policy_id, _is_due(latest_run))
            .values(last_run_at=utc_now())
        )
        return bool(update_count(session, statement))


def next_run(now: datetime) -> datetime:
    """Return the time of the next daily run of policies."""
    today = now.replace(hour=HOUR, minute=MINUTE, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
