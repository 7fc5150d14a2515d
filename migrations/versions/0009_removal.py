"""Removals as stored plans, with a line for each step.

Revision ID: 0009
Revises: 0008
Create Date: 2026-11-24

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

KINDS = "kind IN ('tag', 'tags', 'image', 'project', 'bin', 'retention', 'namespace')"
STATES = "state IN ('planned', 'waiting', 'running', 'done', 'failed', 'cancelled')"
OLD_KINDS = "kind IN ('tag', 'image', 'project')"
OLD_STATES = "state IN ('waiting', 'running', 'done', 'failed')"

MOMENT = sa.DateTime(timezone=True)
REMOVALS = sa.table(
    "removals",
    sa.column("id", sa.Integer),
    sa.column("plan", sa.JSON),
    sa.column("report", sa.JSON),
    sa.column("total", sa.Integer),
    sa.column("done", sa.Integer),
)
LINES = sa.table(
    "removal_lines",
    sa.column("removal_id", sa.Integer),
    sa.column("number", sa.Integer),
    sa.column("reference", sa.String),
    sa.column("outcome", sa.String),
    sa.column("detail", sa.Text),
    sa.column("placeholder", sa.String),
)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def checks(kinds: str, states: str) -> None:
    # Nothing refers to a removal by a foreign key yet or any more: its table may be copied.
    with op.batch_alter_table("removals") as batch:
        batch.drop_constraint("ck_removals_kind", type_="check")
        batch.drop_constraint("ck_removals_state", type_="check")
        batch.create_check_constraint("ck_removals_kind", kinds)
        batch.create_check_constraint("ck_removals_state", states)


def upgrade() -> None:
    op.add_column("removals", sa.Column("preview", sa.JSON(), nullable=False, server_default="{}"))
    for count in ("total", "done"):
        op.add_column(
            "removals", sa.Column(count, sa.Integer(), nullable=False, server_default="0")
        )
    op.add_column(
        "removals",
        sa.Column("cancel_wanted", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    checks(KINDS, STATES)
    op.create_table(
        "removal_lines",
        sa.Column("removal_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reference", name(400), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("placeholder", sa.String(length=150), nullable=True),
        sa.ForeignKeyConstraint(
            ["removal_id"],
            ["removals.id"],
            name="fk_removal_lines_removal_id_removals",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("removal_id", "number", name="pk_removal_lines"),
    )
    op.create_index(
        "ix_removal_lines_removal_id_outcome", "removal_lines", ["removal_id", "outcome"]
    )
    reports_to_lines()
    op.create_table(
        "binned_tags",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("repository", name(255), nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("bin_tag", name(128), nullable=False),
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.Column("pushed_at", MOMENT, nullable=True),
        sa.Column("pushed_by", sa.String(length=255), nullable=True),
        sa.Column("removed_at", MOMENT, nullable=False),
        sa.Column("removed_by", sa.String(length=255), nullable=False),
        sa.Column("purge_at", MOMENT, nullable=False),
        sa.Column("leaving", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["places.id"],
            name="fk_binned_tags_project_id_places",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_binned_tags"),
        sa.UniqueConstraint("repository", "bin_tag", name="uq_binned_tags_repository_bin_tag"),
    )
    op.create_index(
        "ix_binned_tags_project_id_leaving_id", "binned_tags", ["project_id", "leaving", "id"]
    )
    op.create_index("ix_binned_tags_purge_at", "binned_tags", ["purge_at"])
    op.create_table(
        "retention_policies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("images", sa.String(length=200), nullable=False),
        sa.Column("keep_matching", sa.String(length=200), nullable=False),
        sa.Column("pattern_kind", sa.String(length=10), nullable=False),
        sa.Column("keep_last", sa.Integer(), nullable=True),
        sa.Column("keep_pulled_days", sa.Integer(), nullable=True),
        sa.Column("older_than_days", sa.Integer(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.String(length=71), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_run_at", MOMENT, nullable=True),
        sa.Column("last_removal", sa.Integer(), nullable=True),
        sa.Column("last_problem", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "pattern_kind IN ('glob', 'regex')", name="ck_retention_policies_pattern_kind"
        ),
        sa.ForeignKeyConstraint(
            ["place_id"],
            ["places.id"],
            name="fk_retention_policies_place_id_places",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_retention_policies"),
    )
    op.create_index("ix_retention_policies_place_id_id", "retention_policies", ["place_id", "id"])
    op.create_index(
        "ix_retention_policies_is_enabled_last_run_at",
        "retention_policies",
        ["is_enabled", "last_run_at"],
    )
    with op.batch_alter_table("removals") as batch:
        batch.drop_column("report")


def reports_to_lines() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(REMOVALS)).all():
        lines = [
            {
                "removal_id": row.id,
                "number": number,
                "reference": line["reference"],
                "outcome": line["outcome"],
                "detail": line["detail"],
                "placeholder": None,
            }
            for number, line in enumerate(row.report)
        ]
        # What a worker had pushed for the step that it was at.
        if len(lines) < len(row.plan) and (ours := row.plan[len(lines)].get("placeholder")):
            step = row.plan[len(lines)]
            reference = f"{step['repository']}:{step['tag']}"
            prepared = {"reference": reference, "outcome": None, "detail": "", "placeholder": ours}
            lines.append({"removal_id": row.id, "number": len(lines), **prepared})
        if lines:
            connection.execute(sa.insert(LINES), lines)
        connection.execute(
            sa.update(REMOVALS)
            .where(REMOVALS.c.id == row.id)
            .values(total=len(row.plan), done=len(row.report))
        )


def downgrade() -> None:
    op.add_column("removals", sa.Column("report", sa.JSON(), nullable=False, server_default="[]"))
    connection = op.get_bind()
    done = LINES.c.outcome.is_not(None)
    for (removal_id,) in connection.execute(sa.select(REMOVALS.c.id)).all():
        lines = connection.execute(
            sa.select(LINES).where(LINES.c.removal_id == removal_id, done).order_by(LINES.c.number)
        ).all()
        report = [
            {"reference": line.reference, "outcome": line.outcome, "detail": line.detail}
            for line in lines
        ]
        connection.execute(
            sa.update(REMOVALS).where(REMOVALS.c.id == removal_id).values(report=report)
        )
    op.drop_table("retention_policies")
    op.drop_table("binned_tags")
    op.drop_table("removal_lines")
    op.execute("DELETE FROM removals WHERE kind NOT IN ('tag', 'image', 'project')")
    op.execute("DELETE FROM removals WHERE state NOT IN ('waiting', 'running', 'done', 'failed')")
    checks(OLD_KINDS, OLD_STATES)
    with op.batch_alter_table("removals") as batch:
        for column in ("preview", "total", "done", "cancel_wanted"):
            batch.drop_column(column)
