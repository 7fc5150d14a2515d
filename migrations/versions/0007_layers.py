"""What manifests consist of, small enough to read by thousands.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-24

"""

import hashlib
import struct
from typing import Any

import sqlalchemy as sa
from alembic import op

# revision identifiers, used by Alembic.
revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BATCH = 500
ELSEWHERE = (".foreign.", ".nondistributable.")


def upgrade() -> None:
    contents = op.create_table(
        "manifest_contents",
        sa.Column("digest", sa.String(length=150), nullable=False),
        sa.Column("blobs", sa.LargeBinary(), nullable=False),
        sa.Column("children", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["manifests.digest"],
            name="fk_manifest_contents_digest_manifests",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_manifest_contents"),
    )
    manifests = sa.table("manifests", sa.column("digest"), sa.column("facts", sa.JSON()))
    query = sa.select(manifests).order_by(manifests.c.digest).limit(BATCH)
    last = ""
    while rows := op.get_bind().execute(query.where(manifests.c.digest > last)).all():
        op.bulk_insert(contents, [contents_of(row.digest, row.facts) for row in rows])
        last = rows[-1].digest


def contents_of(digest: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a manifest, as the application makes it."""
    blobs = [*facts.get("layers", []), *([facts["config"]] if facts.get("config") else [])]
    sizes = {
        key_of(blob["digest"]): blob["size"]
        for blob in blobs
        if not any(word in blob["media_type"] for word in ELSEWHERE)
    }
    packed = b"".join(struct.pack("<32sq", key, size) for key, size in sizes.items())
    children = dict.fromkeys(child["digest"] for child in facts.get("children", []))
    return {"digest": digest, "blobs": packed, "children": " ".join(children)}


def key_of(digest: str) -> bytes:
    algorithm, _, digits = digest.partition(":")
    if algorithm == "sha256":
        return bytes.fromhex(digits)
    return hashlib.sha256(digest.encode()).digest()


def downgrade() -> None:
    op.drop_table("manifest_contents")
