"""The first schema.

Revision ID: 0001
Revises:
Create Date: 2026-11-24

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: names and tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("subject", name(512), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_subject_id", "audit_entries", ["subject", "id"])

    op.create_table(
        "failed_sign_ins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_failed_sign_ins"),
    )
    op.create_index("ix_failed_sign_ins_at", "failed_sign_ins", ["at"])
    op.create_index(
        "ix_failed_sign_ins_username_address", "failed_sign_ins", ["username", "address", "at"]
    )

    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_heartbeats"),
    )
    op.create_table(
        "manifests",
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("built_at", MOMENT, nullable=True),
        sa.Column("has_config", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("config", sa.LargeBinary(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("config_facts", sa.JSON(), nullable=True),
        sa.Column("fetched_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_manifests"),
    )
    op.create_table(
        "refused_deliveries",
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_refused_deliveries"),
    )
    op.create_index("ix_refused_deliveries_last_at", "refused_deliveries", ["last_at"])

    op.create_table(
        "registry_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret_encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("valid_until", MOMENT, nullable=True),
        sa.Column("first_used_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state IN ('current', 'previous', 'revoked')", name="ck_registry_tokens_state"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_registry_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_registry_tokens_secret_hash"),
    )
    op.create_index(
        "uq_registry_tokens_current",
        "registry_tokens",
        ["state"],
        unique=True,
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    )

    op.create_table(
        "unassigned_repositories",
        sa.Column("path", name(255), nullable=False),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("last_push_at", MOMENT, nullable=True),
        sa.Column("pushed_by", sa.String(length=255), nullable=True),
        sa.Column("tag_count", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("path", name="pk_unassigned_repositories"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", name(100), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("is_blocked", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_sign_in_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username", name="uq_users_username"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=200), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_access_tokens_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
        sa.UniqueConstraint("secret_hash", name="uq_access_tokens_secret_hash"),
    )
    op.create_index("ix_access_tokens_user_id", "access_tokens", ["user_id"])

    op.create_table(
        "places",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("path", name(255), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("visibility", sa.String(length=10), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "(kind = 'project') = (visibility IS NOT NULL)", name="ck_places_visibility_of_project"
        ),
        sa.CheckConstraint("kind IN ('namespace', 'project')", name="ck_places_kind"),
        sa.CheckConstraint(
            "owner_id IS NULL OR kind = 'namespace'", name="ck_places_owner_of_namespace"
        ),
        sa.CheckConstraint(
            "visibility IS NULL OR visibility IN ('private', 'internal', 'public')",
            name="ck_places_visibility",
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name="fk_places_owner_id_users", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["places.id"], name="fk_places_parent_id_places", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_places"),
        sa.UniqueConstraint("owner_id", name="uq_places_owner_id"),
        sa.UniqueConstraint("path", name="uq_places_path"),
    )
    op.create_index("ix_places_parent_id", "places", ["parent_id"])
    op.create_index("ix_places_visibility_path", "places", ["visibility", "path"])

    op.create_table(
        "container_images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("name", name(255), nullable=False),
        sa.Column("path", name(255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("tag_count", sa.Integer(), nullable=False),
        sa.Column("pull_count", sa.Integer(), nullable=False),
        sa.Column("last_pulled_at", MOMENT, nullable=True),
        sa.Column("last_push_at", MOMENT, nullable=True),
        sa.Column("last_pushed_by", sa.String(length=255), nullable=True),
        sa.Column("reconciled_at", MOMENT, nullable=True),
        sa.Column("reconcile_error", sa.Text(), nullable=True),
        sa.Column("reconcile_wanted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["places.id"],
            name="fk_container_images_project_id_places",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_container_images"),
        sa.UniqueConstraint("path", name="uq_container_images_path"),
        sa.UniqueConstraint("project_id", "name", name="uq_container_images_project_id_name"),
    )
    op.create_index(
        "ix_container_images_project_id_last_push_at",
        "container_images",
        ["project_id", "last_push_at"],
    )
    op.create_index(
        "ix_container_images_reconcile_wanted", "container_images", ["reconcile_wanted"]
    )
    op.create_index("ix_container_images_reconciled_at", "container_images", ["reconciled_at"])

    op.create_table(
        "memberships",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("place_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("role IN (10, 20, 30, 40, 50)", name="ck_memberships_role"),
        sa.ForeignKeyConstraint(
            ["place_id"], ["places.id"], name="fk_memberships_place_id_places", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_memberships_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_memberships"),
        sa.UniqueConstraint("user_id", "place_id", name="uq_memberships_user_id_place_id"),
    )
    op.create_index("ix_memberships_place_id", "memberships", ["place_id"])

    op.create_table(
        "removals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("target", name(400), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("project_path", name(255), nullable=False),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("lease_owner", sa.String(length=32), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('tag', 'image', 'project')", name="ck_removals_kind"),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')", name="ck_removals_state"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["places.id"], name="fk_removals_project_id_places", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_removals"),
    )
    op.create_index("ix_removals_project_id_id", "removals", ["project_id", "id"])
    op.create_index("ix_removals_state_id", "removals", ["state", "id"])

    op.create_table(
        "registry_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=True),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("repository", name(512), nullable=False),
        sa.Column("tag", name(255), nullable=False),
        sa.Column("digest", sa.String(length=255), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'applied', 'dropped', 'rejected')",
            name="ck_registry_events_status",
        ),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name="fk_registry_events_image_id_container_images",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_registry_events"),
        sa.UniqueConstraint("event_id", name="uq_registry_events_event_id"),
    )
    op.create_index("ix_registry_events_image_id_id", "registry_events", ["image_id", "id"])
    op.create_index("ix_registry_events_received_at", "registry_events", ["received_at"])
    op.create_index("ix_registry_events_status_id", "registry_events", ["status", "id"])

    op.create_table(
        "held_manifests",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name="fk_held_manifests_image_id_container_images",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("image_id", "digest", name="pk_held_manifests"),
    )
    op.create_index("ix_held_manifests_digest", "held_manifests", ["digest"])

    op.create_table(
        "browser_sessions",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name="fk_browser_sessions_user_id_users",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key_hash", name="pk_browser_sessions"),
    )
    op.create_index("ix_browser_sessions_user_id", "browser_sessions", ["user_id"])
    op.create_index("ix_browser_sessions_created_at", "browser_sessions", ["created_at"])

    op.create_table(
        "tags",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("name", name(128), nullable=False),
        sa.Column("digest", sa.String(length=150), nullable=True),
        sa.Column("pushed_at", MOMENT, nullable=True),
        sa.Column("pushed_by", sa.String(length=255), nullable=True),
        sa.Column("pull_count", sa.Integer(), nullable=False),
        sa.Column("last_pulled_at", MOMENT, nullable=True),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name="fk_tags_image_id_container_images",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("image_id", "name", name="uq_tags_image_id_name"),
    )
    op.create_index("ix_tags_image_id_digest", "tags", ["image_id", "digest"])
    op.create_index("ix_tags_pushed_at", "tags", ["pushed_at"])


def downgrade() -> None:

    op.drop_table("tags")
    op.drop_table("browser_sessions")
    op.drop_table("held_manifests")

    op.drop_table("registry_events")

    op.drop_table("removals")

    op.drop_table("memberships")

    op.drop_table("container_images")

    op.drop_table("places")

    op.drop_table("access_tokens")
    op.drop_table("users")
    op.drop_table("unassigned_repositories")

    op.drop_table("registry_tokens")

    op.drop_table("refused_deliveries")
    op.drop_table("manifests")
    op.drop_table("heartbeats")

    op.drop_table("failed_sign_ins")

    op.drop_table("audit_entries")
