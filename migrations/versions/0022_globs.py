"""Patterns in one language: stored ones keep their meaning, and useless ones suspend their policy.

Until now, a star of a retention policy stood for any characters, slashes too, and a comma for
itself. A policy whose pattern could match nothing is switched off until its next dry run.

Revision ID: 0022
Revises: 0021
Create Date: 2026-11-30

"""

import hashlib
import json
import re
from datetime import UTC, datetime
from itertools import product
from typing import Any

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

#: The settings of a policy whose fingerprint says that a dry run was made of them.
SETTINGS = (
    "images",
    "keep_matching",
    "pattern_kind",
    "keep_last",
    "keep_pulled_days",
    "older_than_days",
)
LENGTH, OLD_LENGTH = 1000, 200
IMAGE_LENGTH, TAG_LENGTH = 255, 128
#: More question marks in a pattern of images make it a regular expression.
MAX_QUESTION_MARKS = 4

POLICIES = sa.table(
    "retention_policies",
    *(sa.column(name) for name in ("id", "place_id", "is_enabled", "seen", *SETTINGS)),
    sa.column("suspension_reason", sa.Text),
)
PLACES = sa.table("places", sa.column("id"), sa.column("path"))
RULES = sa.table(
    "protection_rules",
    *(sa.column(n) for n in ("id", "place_id", "image_pattern", "tag_pattern", "kind")),
    *(sa.column(n) for n in ("minimum_role", "created_by")),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
REMOVALS = sa.table(
    "removals",
    *(sa.column(name) for name in ("project_id", "kind", "state", "cancel_wanted")),
    sa.column("finished_at", sa.DateTime(timezone=True)),
)
AUDIT = sa.table(
    "audit_entries",
    *(sa.column(name) for name in ("actor", "action", "subject", "address")),
    sa.column("at", sa.DateTime(timezone=True)),
    sa.column("detail", sa.JSON),
)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def resize(patterns: int, image: int, tag: int, *, was: tuple[int, int, int]) -> None:
    with op.batch_alter_table("retention_policies") as batch:
        for column in ("images", "keep_matching"):
            old = sa.String(was[0])
            batch.alter_column(
                column, existing_type=old, existing_nullable=False, type_=sa.String(patterns)
            )
    with op.batch_alter_table("protection_rules") as batch:
        for column, new, before in (
            ("image_pattern", image, was[1]),
            ("tag_pattern", tag, was[2]),
        ):
            batch.alter_column(
                column, existing_type=name(before), existing_nullable=False, type_=name(new)
            )


def upgrade() -> None:
    resize(LENGTH, LENGTH, LENGTH, was=(OLD_LENGTH, IMAGE_LENGTH, TAG_LENGTH))
    op.add_column(
        "retention_policies",
        sa.Column("suspension_reason", sa.Text(), nullable=False, server_default=""),
    )
    connection = op.get_bind()
    query = sa.select(POLICIES, PLACES.c.path).join(PLACES, PLACES.c.id == POLICIES.c.place_id)
    for row in connection.execute(query).mappings().all():
        values = {setting: row[setting] for setting in SETTINGS}
        reason = "" if values["pattern_kind"] == "regex" else suspension(values)
        new = values | in_one_language(values)
        change: dict[str, Any] = {**new, "seen": fingerprint_after(row["seen"], values, new)}
        if reason:
            change |= {"is_enabled": False, "seen": "", "suspension_reason": reason}
            suspend(connection, row, reason)
        connection.execute(sa.update(POLICIES).where(POLICIES.c.id == row["id"]).values(change))


def suspend(connection: sa.Connection, row: Any, reason: str) -> None:
    """Cancel what such policies are about to remove, and record why."""
    now = datetime.now(UTC)
    theirs = (REMOVALS.c.kind == "retention") & (REMOVALS.c.project_id == row["place_id"])
    connection.execute(
        sa.update(REMOVALS)
        .where(theirs, REMOVALS.c.state.in_(["planned", "waiting"]))
        .values(state="cancelled", finished_at=now)
    )
    connection.execute(
        sa.update(REMOVALS).where(theirs, REMOVALS.c.state == "running").values(cancel_wanted=True)
    )
    connection.execute(
        sa.insert(AUDIT).values(
            at=now,
            actor="-/console",
            action="retention.suspend",
            subject=row["path"],
            address="",
            detail={"policy": row["id"], "reason": reason},
        )
    )


def fingerprint(values: dict[str, Any]) -> str:
    body = json.dumps({setting: values[setting] for setting in SETTINGS}, sort_keys=True)
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


def fingerprint_after(seen: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """Carry a dry run over to the settings that mean the same."""
    return fingerprint(after) if seen == fingerprint(before) else seen


def suspension(values: dict[str, Any]) -> str:
    """Return why a glob of the old language could match nothing; "" if it could match."""
    for text, noun in ((values["images"], "image name"), (values["keep_matching"], "tag")):
        why = uselessness(text, noun) if text else ""
        if why:
            return (
                f"Suspended by an update: “{text}” matched nothing, because {why}. "
                "Check the patterns, then do a dry run to enable the policy again."
            )
    return ""


def uselessness(text: str, noun: str) -> str:
    known = r"[a-z0-9._/*?-]" if noun == "image name" else r"[A-Za-z0-9._*?-]"
    strange = next((char for char in text if not re.match(known, char)), "")
    if strange in {",", "\n"}:
        return "a comma did not separate patterns, as it does now"
    if strange:
        return f"“{strange}” can't be part of {'an' if noun == 'image name' else 'a'} {noun}"
    literal = len(re.sub(r"\*", "", text))
    if noun == "tag" and (re.match(r"[.-]", text) or literal > TAG_LENGTH):
        return "no tag is written like that"
    wrong = r"^[._/-]|[._/-]$|(?!__|--)[._/-]{2}|___"
    if noun == "image name" and re.search(wrong, text):
        return "no image name is written like that"
    return ""


def in_one_language(values: dict[str, Any]) -> dict[str, str]:
    """Return the patterns that mean in the new language what these mean in the old one."""
    if values["pattern_kind"] == "regex":
        return {}
    images = re.sub(r"\*+", "**", values["images"])
    marks = images.count("?")
    if not marks:
        return {"images": images}
    if marks > MAX_QUESTION_MARKS:
        keep = values["keep_matching"]
        return {
            "images": old_regex(values["images"]),
            "keep_matching": old_regex(keep) if keep else "",
            "pattern_kind": "regex",
        }
    # A question mark stood for a slash as well.
    parts = images.split("?")
    candidates = (
        "".join(part + sign for part, sign in zip(parts, (*signs, ""), strict=True))
        for signs in product("?/", repeat=marks)
    )
    kept = [text for text in candidates if not uselessness(text, "image name")]
    return {"images": ", ".join(kept) or images}


def old_regex(glob: str) -> str:
    signs = {"*": ".*", "?": "."}
    return "".join(signs.get(t[0]) or re.escape(t) for t in re.findall(r"\*+|[^*]", glob))


def downgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(POLICIES)).mappings().all():
        values = {setting: row[setting] for setting in SETTINGS}
        if row["suspension_reason"]:
            new = values | {"images": values["images"].replace("**", "*")}
        else:
            new = values | in_old_language(values)
        change: dict[str, Any] = {**new, "seen": fingerprint_after(row["seen"], values, new)}
        if any(len(new[column]) > OLD_LENGTH for column in ("images", "keep_matching")):
            change |= {"is_enabled": False, "seen": ""}
            change |= {column: new[column][:OLD_LENGTH] for column in ("images", "keep_matching")}
        connection.execute(sa.update(POLICIES).where(POLICIES.c.id == row["id"]).values(change))
    for rule in connection.execute(sa.select(RULES)).mappings().all():
        split_rule(connection, rule)
    op.drop_column("retention_policies", "suspension_reason")
    resize(OLD_LENGTH, IMAGE_LENGTH, TAG_LENGTH, was=(LENGTH, LENGTH, LENGTH))


def items_of(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()] or [""]


def in_old_language(values: dict[str, Any]) -> dict[str, str]:
    """Return the patterns that mean in the old language what these mean in the new one."""
    if values["pattern_kind"] == "regex":
        return {}
    images, keep = values["images"], values["keep_matching"]
    whole = images.replace("**", "")
    if not re.search(r"[*?,]", whole) and "," not in keep:
        return {"images": images.replace("**", "*")}
    return {
        "images": new_regex(images),
        "keep_matching": new_regex(keep) if keep else "",
        "pattern_kind": "regex",
    }


def new_regex(text: str) -> str:
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "|".join(
        "".join(signs.get(part[:2]) or re.escape(part) for part in re.findall(r"\*+|[^*]", item))
        for item in items_of(text)
    )


def split_rule(connection: sa.Connection, rule: Any) -> None:
    """Make a rule for each pair of patterns; what the old language can't say protects more."""
    pairs = [
        (image if len(image) <= IMAGE_LENGTH else "**", tag if len(tag) <= TAG_LENGTH else "*")
        for image in items_of(rule["image_pattern"].replace("?", "*"))
        for tag in items_of(rule["tag_pattern"].replace("?", "*"))
    ]
    for number, (image, tag) in enumerate(pairs):
        values = {"image_pattern": image, "tag_pattern": tag}
        if number == 0:
            connection.execute(sa.update(RULES).where(RULES.c.id == rule["id"]).values(values))
        else:
            more = {key: value for key, value in rule.items() if key != "id"}
            connection.execute(sa.insert(RULES).values(more | values))
