"""Name tables, columns, and audit entries by the terms of the pages, such as write freeze.

Revision ID: 0035
Revises: 0034
Create Date: 2026-12-01

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
#: Table, column before, column after.
COLUMNS = [
    ("access_tokens", "reach_path", "restriction_path"),
    ("access_tokens", "reach_exact", "restriction_exact"),
    ("protection_violations", "what", "change"),
    ("retention_policies", "seen", "dry_run_fingerprint"),
    ("token_decisions", "asked", "requested"),
]
#: Actions of the audit log: before, after.
ACTIONS = [
    ("fence.raise", "write_freeze.begin"),
    ("fence.lift", "write_freeze.lift"),
    ("image.old_name.stop", "image.old_path.stop"),
]
#: Keys in the details of the audit log: action, before, after.
DETAILS = [
    ("access_token.create", "reach", "restriction"),
    ("tag.protection_violated", "what", "change"),
]
#: Number of audit entries that are read at once.
BATCH = 1000


def upgrade() -> None:
    rename_freezes("fences", "write_freezes", "fence_id", "write_freeze_id")
    rename_old_paths("former_paths", "old_paths", "now", "new_path")
    for table, before, after in COLUMNS:
        op.alter_column(table, before, new_column_name=after)
    rename_check("what", "change")
    for before, after in ACTIONS:
        rename_action(before, after)
    for action, before, after in DETAILS:
        rename_detail(action, before, after)


def downgrade() -> None:
    for action, before, after in DETAILS:
        rename_detail(action, after, before)
    for before, after in ACTIONS:
        rename_action(after, before)
    for table, before, after in COLUMNS:
        op.alter_column(table, after, new_column_name=before)
    rename_check("change", "what")
    rename_old_paths("old_paths", "former_paths", "new_path", "now")
    rename_freezes("write_freezes", "fences", "write_freeze_id", "fence_id")


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def rename_freezes(before: str, after: str, key_before: str, key_after: str) -> None:
    """Rename the table, and the column that refers to it; both with their constraints.

    SQLite can't rename constraints, so the few rows move to a new table.
    """
    op.create_table(
        after,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", name(255), nullable=False),
        sa.Column("reason", sa.String(length=10), nullable=False),
        sa.Column("set_at", MOMENT, nullable=False),
        sa.Column("quiet_at", MOMENT, nullable=False),
        sa.CheckConstraint("reason IN ('collection', 'move')", name=op.f(f"ck_{after}_reason")),
        sa.PrimaryKeyConstraint("id", name=f"pk_{after}"),
        sa.UniqueConstraint("path", name=f"uq_{after}_path"),
    )
    kept = {column: column for column in ("id", "path", "reason", "set_at", "quiet_at")}
    copy_rows(before, after, kept)
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            f"SELECT setval('{after}_id_seq', coalesce(max(id), 0) + 1, false) FROM {after}"  # noqa: S608
        )
    op.alter_column("collections", key_before, new_column_name=key_after)
    with op.batch_alter_table("collections") as batch:
        batch.drop_constraint(f"fk_collections_{key_before}_{before}", type_="foreignkey")
        batch.create_foreign_key(
            f"fk_collections_{key_after}_{after}", after, [key_after], ["id"], ondelete="SET NULL"
        )
    op.drop_table(before)


def rename_old_paths(before: str, after: str, target_before: str, target_after: str) -> None:
    """Rename the table, the column of the current path, and their constraints and indexes."""
    op.create_table(
        after,
        sa.Column("path", name(255), nullable=False),
        sa.Column("exact", sa.Boolean(), nullable=False),
        sa.Column(target_after, name(255), nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("move_id", sa.Integer(), nullable=False),
        sa.Column("stopped", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["move_id"], ["moves.id"], name=f"fk_{after}_move_id_moves", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("path", name=f"pk_{after}"),
    )
    kept = {column: column for column in ("path", "exact", "until", "move_id", "stopped")}
    copy_rows(before, after, {**kept, target_before: target_after})
    op.drop_table(before)
    for column in (target_after, "move_id"):
        op.create_index(f"ix_{after}_{column}", after, [column])


def rename_check(before: str, after: str) -> None:
    """Rename the constraint of a violation's kind of change, whose column has its new name."""
    with op.batch_alter_table("protection_violations") as batch:
        batch.drop_constraint(op.f(f"ck_protection_violations_{before}"), type_="check")
        batch.create_check_constraint(
            op.f(f"ck_protection_violations_{after}"),
            f"{after} IN ('overwritten', 'deleted', 'pushed')",
        )


def copy_rows(before: str, after: str, columns: dict[str, str]) -> None:
    """Copy all rows to another table.

    Args:
        before: the table to read.
        after: the table to fill.
        columns: names of the columns before and after.
    """
    source = sa.table(before, *map(sa.column, columns))
    target = sa.table(after, *map(sa.column, columns.values()))
    op.execute(target.insert().from_select([*columns.values()], sa.select(source)))


def rename_action(before: str, after: str) -> None:
    """Rename an action in the audit log."""
    entries = sa.table("audit_entries", sa.column("action"))
    op.execute(entries.update().where(entries.c.action == before).values(action=after))


def rename_detail(action: str, before: str, after: str) -> None:
    """Rename a key in the details of an action in the audit log."""
    entries = sa.table(
        "audit_entries", sa.column("id"), sa.column("action"), sa.column("detail", sa.JSON())
    )
    ids = sa.select(entries.c.id, entries.c.detail).where(entries.c.action == action)
    last_id = 0
    while (
        rows := op.get_bind()
        .execute(ids.where(entries.c.id > last_id).order_by(entries.c.id).limit(BATCH))
        .all()
    ):
        for entry_id, detail in rows:
            renamed = {after if key == before else key: value for key, value in detail.items()}
            if renamed != detail:
                change = entries.update().where(entries.c.id == entry_id).values(detail=renamed)
                op.execute(change)
        last_id = rows[-1].id
