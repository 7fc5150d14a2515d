"""Parse stored manifests again after the parser has changed.

The bodies of manifests are stored in the database, so this needs no call to the registry. OCI
indexes come first, because earlier versions of the parser could mistake blobs for platforms. The
"facts" of a manifest are the stored result of parsing it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import InterfaceError, OperationalError

from ..db.session import db, end_read, writing
from ..distribution.client import FetchedManifest
from ..distribution.manifest import read_manifest
from ..models import IndexChild, Manifest, ManifestContents
from .blobs import record_contents
from .parser_version import FACTS_VERSION, is_stale, is_stale_index
from .store import in_full
from .summary_writer import FetchResult, columns_of
from .tag_use import apply_waiting_pulls

logger = logging.getLogger(__name__)

#: Maximum number of parsed manifests that are written in one transaction.
BATCH_SIZE = 50
#: Time limit in seconds for one call of refresh(); the next call continues.
TIME_LIMIT = 20.0
FAILURE = "the facts of manifest %s can't be read again"


def refresh() -> int:
    """Parse the manifests again that an old version of the parser read, up to TIME_LIMIT.

    A manifest that can't be parsed or stored keeps its old facts and is marked as current.
    Otherwise, it would come first in every call and block the others.

    Returns:
        The number of manifests processed, including failed ones.
    """
    end = time.monotonic() + TIME_LIMIT
    count = 0
    while time.monotonic() < end and (digests := _select_stale()):
        results = {digest: _parse_again(digest) for digest in digests}
        _store({digest: result for digest, result in results.items() if result is not None})
        count += len(digests)
    end_read()
    return count


def _select_stale() -> list[str]:
    """Return the digests of the next BATCH_SIZE manifests to parse again, OCI indexes first."""
    query = select(Manifest.digest).limit(BATCH_SIZE)
    indexes = list(db.session.scalars(query.where(is_stale_index())))
    return indexes or list(db.session.scalars(query.where(is_stale())))


def _parse_again(digest: str) -> FetchResult | None:
    row = in_full(digest)
    if row is None:
        return None
    manifest = FetchedManifest(row.digest, row.media_type, row.body)
    config = row.config
    db.session.expunge(row)
    end_read()
    try:
        return FetchResult(manifest, read_manifest(manifest.media_type, manifest.body), config)
    except Exception:
        logger.exception(FAILURE, digest)
        _mark_current(digest)
        return None


def _store(results: dict[str, FetchResult]) -> None:
    """Store the new facts of manifests; if those of one can't be stored, store the others.

    Args:
        results: the parsed manifests by digest.

    Raises:
        OperationalError, InterfaceError: the database failed.
    """
    try:
        _write(results)
    except (OperationalError, InterfaceError):
        raise  # The cause is the database, not the manifest, so a later call can try again.
    except Exception:
        if len(results) == 1:
            (digest,) = results
            logger.exception(FAILURE, digest)
            _mark_current(digest)
            return
        for digest, result in results.items():
            _store({digest: result})


def _mark_current(digest: str) -> None:
    """Mark a manifest as parsed by the current version, so that it is not selected again."""
    with writing() as session:
        session.execute(
            update(Manifest)
            .where(Manifest.digest == digest)
            .values(facts_version=FACTS_VERSION)
            .execution_options(synchronize_session=False)
        )


def _derive_columns(result: FetchResult) -> dict[str, Any]:
    """Return the values of the manifest's columns that depend on the parser, by column name.

    The columns with the manifest's body and config are left out, because they do not change.
    """
    documents = {"digest", "body", "config", "has_config", "fetched_at"}
    return {name: value for name, value in columns_of(result).items() if name not in documents}


def _write(results: dict[str, FetchResult]) -> None:
    columns = {digest: _derive_columns(result) for digest, result in results.items()}
    facts = {digest: result.facts for digest, result in results.items()}
    entries = {digest: result.index_entries for digest, result in results.items()}
    with writing() as session:
        for digest, values in columns.items():
            session.execute(
                update(Manifest)
                .where(Manifest.digest == digest)
                .values(values)
                .execution_options(synchronize_session=False)
            )
        query = select(Manifest.digest).where(Manifest.digest.in_(facts))
        existing_digests = set(session.scalars(query))
        for column in (ManifestContents.digest, IndexChild.parent):
            session.execute(
                delete(column.class_)
                .where(column.in_(facts))
                .execution_options(synchronize_session=False)
            )
        record_contents(session, {digest: facts[digest] for digest in existing_digests}, entries)
        apply_waiting_pulls(session, existing_digests)
