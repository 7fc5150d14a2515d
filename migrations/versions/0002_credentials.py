"""Small credentials, and what the token endpoint decided.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-24

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def flags() -> list[tuple[str, sa.Column[bool]]]:
    return [
        (table, sa.Column(flag, sa.Boolean(), nullable=False, server_default=sa.false()))
        for table, flag in (
            ("users", "tokens_only"),
            ("access_tokens", "reach_exact"),
            ("failed_sign_ins", "by_post"),
        )
    ]


def upgrade() -> None:
    # Plain ALTER TABLE, on SQLite too: a table that is copied is dropped first, and with
    # it, by its foreign keys, what belongs to it.
    for table, column in flags():
        op.add_column(table, column)
    op.add_column("access_tokens", sa.Column("reach_path", name(255), nullable=True))

    op.create_table(
        "deploy_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("username", name(150), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["place_id"],
            ["places.id"],
            name="fk_deploy_tokens_place_id_places",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deploy_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_deploy_tokens_secret_hash"),
        sa.UniqueConstraint("username", name="uq_deploy_tokens_username"),
    )
    op.create_index("ix_deploy_tokens_place_id", "deploy_tokens", ["place_id"])

    op.create_table(
        "docker_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("access_token_id", sa.Integer(), nullable=True),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=255), nullable=False),
        sa.Column("client", sa.String(length=200), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["access_token_id"],
            ["access_tokens.id"],
            name="fk_docker_sessions_access_token_id_access_tokens",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name="fk_docker_sessions_user_id_users",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_docker_sessions"),
        sa.UniqueConstraint("secret_hash", name="uq_docker_sessions_secret_hash"),
    )
    op.create_index("ix_docker_sessions_access_token_id", "docker_sessions", ["access_token_id"])
    op.create_index("ix_docker_sessions_last_used_at", "docker_sessions", ["last_used_at"])
    op.create_index("ix_docker_sessions_user_id", "docker_sessions", ["user_id"])

    op.create_table(
        "token_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("username", name(150), nullable=False),
        sa.Column("credential", sa.String(length=150), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=200), nullable=False),
        sa.Column("repository", name(255), nullable=False),
        sa.Column("place", name(255), nullable=False),
        sa.Column("asked", sa.String(length=50), nullable=False),
        sa.Column("granted", sa.String(length=50), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_token_decisions"),
    )
    op.create_index("ix_token_decisions_at", "token_decisions", ["at"])
    op.create_index("ix_token_decisions_place_id", "token_decisions", ["place", "id"])
    op.create_index("ix_token_decisions_username_id", "token_decisions", ["username", "id"])


def downgrade() -> None:
    op.drop_table("token_decisions")
    op.drop_table("docker_sessions")
    op.drop_table("deploy_tokens")
    op.drop_column("access_tokens", "reach_path")
    for table, column in flags():
        op.drop_column(table, column.name)
