"""What a tag stood for before, and what is attached to images, read once.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-24

"""

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def name(length: int) -> sa.types.TypeEngine[str]:
    """A string that compares by bytes: tags are case-sensitive."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tag_moments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("tag", name(128), nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "action IN ('pushed', 'found', 'removed')", name="ck_tag_moments_action"
        ),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name="fk_tag_moments_image_id_container_images",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tag_moments"),
    )
    op.create_index("ix_tag_moments_image_id_tag_at", "tag_moments", ["image_id", "tag", "at"])
    # What is still known of pushes; the events themselves are kept for ninety days.
    op.execute(
        "INSERT INTO tag_moments (image_id, tag, action, digest, actor, at)"
        " SELECT image_id, tag, 'pushed', digest, actor, COALESCE(occurred_at, received_at)"
        " FROM registry_events WHERE action = 'push' AND status = 'applied'"
        " AND tag <> '' AND LENGTH(tag) <= 128 AND digest <> '' AND LENGTH(digest) <= 150"
        " AND image_id IS NOT NULL ORDER BY id"
    )

    op.create_table(
        "attached_documents",
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=True),
        sa.Column("read_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["container_images.id"],
            name="fk_attached_documents_image_id_container_images",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("image_id", "digest", name="pk_attached_documents"),
    )
    # Their facts lack the titles and predicate types of layers: they are read anew.
    attached = "SELECT digest FROM manifests WHERE kind IN ('attestation', 'artifact')"
    op.execute(f"DELETE FROM held_manifests WHERE digest IN ({attached})")  # noqa: S608
    op.execute("DELETE FROM manifests WHERE kind IN ('attestation', 'artifact')")


def downgrade() -> None:
    op.drop_table("attached_documents")
    op.drop_table("tag_moments")
