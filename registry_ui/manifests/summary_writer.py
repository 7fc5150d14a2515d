"""Database writes for fetched manifests and image configs.

The manifests and configs are stored with their "facts", the result of parsing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from ..db.prepared import insert_all_if_absent
from ..db.session import writing
from ..distribution.chart import read_chart
from ..distribution.client import FetchedManifest
from ..distribution.image_config import read_config
from ..distribution.manifest import ManifestFacts
from ..distribution.references import IndexEntries, index_entries_of
from ..models import ContainerImage, Manifest, RepositoryManifest, utc_now
from ..names import RepositoryName
from .blobs import record_contents
from .parser_version import FACTS_VERSION
from .tag_use import apply_waiting_pulls


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A fetched manifest, the facts parsed from it, and the content of its config blob.

    ``config`` is None if the config was not fetched.
    """

    manifest: FetchedManifest
    facts: ManifestFacts
    config: bytes | None

    @property
    def index_entries(self) -> IndexEntries:
        """All entries of an OCI index; empty for a manifest of any other kind."""
        return index_entries_of(self.manifest.media_type, self.manifest.body)


def store(results: Iterable[FetchResult], repository: RepositoryName | None = None) -> None:
    """Store fetched manifests by digest, with their configs.

    Args:
        results: the manifests. Manifests that are already stored do not change.
        repository: the repository that the manifests are recorded as belonging to; None to record
            no repository. Manifests that a tag points to need no record.
    """
    by_digest = {result.manifest.digest: result for result in results}
    if not by_digest:
        return
    rows = [columns_of(result) for result in by_digest.values()]
    facts = {digest: result.facts for digest, result in by_digest.items()}
    entries = {digest: result.index_entries for digest, result in by_digest.items()}
    with writing() as session:
        insert_all_if_absent(session, Manifest, rows)
        record_contents(session, facts, entries)
        apply_waiting_pulls(session, by_digest)
        if repository is None:
            return
        query = select(ContainerImage.id).where(ContainerImage.path == str(repository))
        image_id = session.scalar(query)
        if image_id is not None:
            repository_rows = [{"image_id": image_id, "digest": digest} for digest in by_digest]
            insert_all_if_absent(session, RepositoryManifest, repository_rows)


def columns_of(result: FetchResult) -> dict[str, Any]:
    """Return the values for the database row of a fetched manifest, by column name."""
    manifest, facts = result.manifest, result.facts
    row: dict[str, Any] = {
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "kind": facts.kind,
        "config_digest": facts.config.digest if facts.config else None,
        "size": facts.size,
        "body": manifest.body,
        "fetched_at": utc_now(),
        "facts": facts.to_json(),
        "facts_version": FACTS_VERSION,
        "built_at": facts.created_at,
    }
    return row | _derive_config_columns(result.config, facts.kind, facts.created_at)


def _derive_config_columns(
    body: bytes | None, kind: str, built_at: datetime | None
) -> dict[str, Any]:
    """Return the column values that depend on the config of an image or Helm chart, by name.

    Args:
        body: the config, or None if it was not fetched.
        kind: kind of the manifest, such as ``image`` or ``chart``.
        built_at: build time from the manifest, which is used if the config states none.
    """
    if body is None:
        return {"has_config": False, "config": None, "config_facts": None}
    if kind == "chart":
        return {"has_config": True, "config": body, "config_facts": read_chart(body).to_json()}
    config = read_config(body)
    return {
        "has_config": True,
        "config": body,
        "config_facts": config.to_json(),
        "built_at": config.built_at or built_at,
    }


def store_configs(configs: Mapping[str, str], bodies: Mapping[str, bytes]) -> None:
    """Store the configs of manifests that were stored without their configs.

    Args:
        configs: config digests by manifest digest.
        bodies: fetched configs by config digest.
    """
    if not bodies:
        return
    with writing() as session:
        for row in session.scalars(select(Manifest).where(Manifest.digest.in_(configs))):
            body = bodies.get(configs[row.digest])
            if body is not None:
                for name, value in _derive_config_columns(body, row.kind, row.built_at).items():
                    setattr(row, name, value)
