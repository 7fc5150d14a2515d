"""Store of manifests by digest: each is fetched once, verified, and then kept in the database.

Manifests are fetched in rounds, each with its config: first the requested ones, then the children
of OCI indexes. A round skips manifests that are already stored, and stores the others in one
transaction. No transaction is open during calls to the registry. The "facts" of a manifest are the
stored result of parsing it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import select
from sqlalchemy.orm import undefer

from ..batches import split_into_batches
from ..db.session import db
from ..distribution.errors import (
    RegistryError,
    RegistryNotFound,
    RegistryTimeout,
    RegistryUnavailable,
)
from ..distribution.image_config import ImageConfig
from ..distribution.manifest import ManifestFacts, read_manifest
from ..models import ContainerImage, Manifest, RepositoryManifest
from ..names import Digest, RepositoryName, TagName
from ..page_call_budget import count_against_budget, page_end
from ..registry_connection import registry
from .batch_calls import CallResults, blob_call, call_all, call_in_turn, call_once
from .summary_writer import FetchResult, store, store_configs

#: Seconds to wait before each retry of failed registry calls.
PAUSES = (0.1, 0.5)
#: Maximum number of levels of OCI indexes whose children are fetched for a page. Clients do not run
#: images that are nested more deeply.
MAX_DEPTH = 2
#: Maximum number of manifests that fetch() requests in one batch. A worker renews its lease before
#: each batch.
BATCH_SIZE = 32

T = TypeVar("T")

_facts: WeakKeyDictionary[Manifest, ManifestFacts] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class FetchSummary:
    """The result of fetching manifests by tag or digest.

    ``digests`` maps each requested tag or digest to the digest of its manifest, if known, and
    ``problems`` maps those that failed to the registry's error.
    """

    digests: dict[str, str]
    problems: dict[str, RegistryError]


@dataclass(frozen=True, slots=True)
class FetchedBodies:
    """The result of fetching manifests by digest.

    ``manifests`` are the digests of manifests that were fetched, ``unread`` those for which the
    registry gave an error. Requested digests in neither set do not exist in the repository.
    """

    manifests: set[str]
    unread: set[str]


def stored_manifests(digests: Iterable[str]) -> dict[str, Manifest]:
    """Return the stored manifests with the given digests, by digest (one query)."""
    requested = set(digests)
    if not requested:
        return {}
    rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(requested)))
    return {row.digest: row for row in rows}


def children_of(repository: str, manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the stored children of those manifests that are OCI indexes, by the child's digest.

    Children that were never read from the given repository are left out, because an index can
    list digests from repositories to which the user has no access.
    """
    indexes = (row for row in manifests if row.kind == "index")
    digests = {child.digest for row in indexes for child in facts_of(row).children}
    return stored_manifests(digests_in_repository(repository, digests)) if digests else {}


def digests_in_repository(repository: str, digests: Iterable[str]) -> set[str]:
    """Return those of the digests that are recorded as manifests of a repository (one query)."""
    query = (
        select(RepositoryManifest.digest)
        .join(ContainerImage, ContainerImage.id == RepositoryManifest.image_id)
        .where(ContainerImage.path == repository, RepositoryManifest.digest.in_(set(digests)))
    )
    return set(db.session.scalars(query))


def in_full(digest: str) -> Manifest | None:
    """Return a stored manifest with its body and config loaded, or None if it is not stored.

    Other queries do not load the large columns with the body and the config.
    """
    documents = (Manifest.body, Manifest.config, Manifest.config_facts)
    return db.session.scalar(
        select(Manifest)
        .where(Manifest.digest == digest)
        .options(*(undefer(column) for column in documents))
        .execution_options(populate_existing=True)
    )


def facts_of(row: Manifest) -> ManifestFacts:
    """Return the parsed content of a stored manifest, which is cached for each row object."""
    facts = _facts.get(row)
    if facts is None:
        facts = _facts[row] = ManifestFacts.from_json(row.facts)
    return facts


def is_complete(
    manifests: Mapping[str, Manifest],
    children: Mapping[str, Manifest],
    digests: Iterable[str | None],
) -> bool:
    """Return whether the database has everything that ensure_fetched() would fetch for digests.

    Args:
        manifests: the stored manifests with the digests to check, by digest.
        children: the stored children of OCI indexes in ``manifests``, by digest. The result is
            False if a child is an index, too, because the children of a child are not checked.
        digests: the digests to check. The result is False if one of them is None (unknown).
    """
    if not all(digest in manifests for digest in digests):
        return False
    return all(
        row.has_config or not _should_have_config(row)
        for row in (*manifests.values(), *children.values())
    ) and all(
        child.digest in children and children[child.digest].kind != "index"
        for row in manifests.values()
        if row.kind == "index"
        for child in facts_of(row).children
    )


def _should_have_config(row: Manifest) -> bool:
    facts = facts_of(row)
    return facts.wants_config and facts.config is not None


def image_config(row: Manifest) -> ImageConfig | None:
    """Return the parsed config of a stored image; None if not fetched, or for a Helm chart."""
    if row.kind == "chart" or not row.config_facts:
        return None
    return ImageConfig.from_json(row.config_facts)


def ensure_fetched(
    repository: RepositoryName,
    names: Mapping[str, str | None],
    deadline: float | None = None,
    *,
    fresh: bool = False,
) -> FetchSummary:
    """Fetch the missing manifests of tags or digests, with children and configs, and store them.

    Args:
        repository: the repository to fetch from.
        names: tags or digests, each with the digest that it is known to point to, or None.
        deadline: time limit in seconds; None for the time limit of a page view.
        fresh: whether to ask the registry for the digest of each tag, even if a digest is known.

    Returns:
        The digests and the errors, by tag or digest. Errors of the registry are never raised.
    """
    end = page_end() if deadline is None else time.monotonic() + deadline
    problems: dict[str, RegistryError] = {}
    if fresh:
        heads = {name: count_against_budget(_create_head_call(repository, name)) for name in names}
        current_digests = call_all(heads, end)
        names, problems = current_digests.answers, current_digests.problems
    digests = {name: digest for name, digest in names.items() if digest}
    stored_rows = stored_manifests(digests.values())
    # Tags that are known to point to the same digest share one call.
    missing = {
        name: digests.get(name, name) for name in names if digests.get(name) not in stored_rows
    }
    fetched = _fetch_references(repository, missing.values(), end, fresh=fresh)
    results = _select_by_name(missing, fetched.answers)
    digests |= {name: result.manifest.digest for name, result in results.items()}
    store(fetched.answers.values())
    new_rows = stored_manifests(digests.values() - stored_rows.keys())
    _fetch_missing_parts(repository, stored_rows | new_rows, end)
    return FetchSummary(digests, problems | _select_by_name(missing, fetched.problems))


def _select_by_name(references: Mapping[str, str], values: Mapping[str, T]) -> dict[str, T]:
    """Return the value of each reference that has one, by the name that has the reference."""
    return {
        name: values[reference] for name, reference in references.items() if reference in values
    }


def _fetch_references(
    repository: RepositoryName, references: Iterable[str], end: float, *, fresh: bool
) -> CallResults[FetchResult]:
    """Fetch manifests with their configs, by tag or digest.

    Args:
        repository: the repository to fetch from.
        references: tags or digests of the manifests.
        end: deadline, as a value of time.monotonic().
        fresh: whether to request manifests that recently failed, too. A single manifest is always
            requested, because the user can have pressed Retry.

    Returns:
        The fetched manifests and the errors, by tag or digest.
    """
    calls = {reference: _create_manifest_call(repository, reference) for reference in references}
    if fresh or len(calls) == 1:
        return call_all({name: count_against_budget(call) for name, call in calls.items()}, end)
    return call_once(repository, calls, end)


def fetch(
    repository: RepositoryName,
    digests: Iterable[str],
    deadline: float,
    renew: Callable[[], None] = lambda: None,
) -> FetchedBodies:
    """Fetch manifests by digest, without their configs, and store them.

    Calls for which the registry was unavailable are retried after each of the PAUSES, unless the
    deadline has passed.

    Args:
        repository: the repository to fetch from.
        digests: digests of the manifests.
        deadline: time limit in seconds.
        renew: called before each batch of registry calls, to renew the worker's lease. An exception
            from ``renew`` ends the function and is passed on.
    """
    end = time.monotonic() + deadline
    manifests, unread = set[str](), set[str]()
    for batch in split_into_batches(sorted(digests), BATCH_SIZE):
        renew()
        calls = {
            digest: _create_manifest_call(repository, digest, config=False) for digest in batch
        }
        results = _call_with_retries(calls, end)
        store(results.answers.values(), repository)
        manifests |= results.answers.keys()
        unread |= {
            digest
            for digest, problem in results.problems.items()
            if not isinstance(problem, RegistryNotFound)
        }
    return FetchedBodies(manifests, unread)


def _call_with_retries(
    calls: Mapping[str, Callable[[], FetchResult]], end: float
) -> CallResults[FetchResult]:
    """Make calls like call_all(), and retry those for which the registry was unavailable.

    Calls that timed out are retried one at a time, with a longer timeout. The arguments and the
    result are those of call_all().
    """
    results = call_all(calls, end)
    for pause in PAUSES:
        failures = {
            name: problem
            for name, problem in results.problems.items()
            if isinstance(problem, RegistryUnavailable)
        }
        if not failures or time.monotonic() + pause >= end:
            break
        time.sleep(pause)
        slow = {name for name, problem in failures.items() if isinstance(problem, RegistryTimeout)}
        results = results.merge_retries(
            call_all({name: calls[name] for name in failures.keys() - slow}, end)
        )
        results = results.merge_retries(
            call_in_turn({name: calls[name] for name in sorted(slow)}, end)
        )
    return results


def _fetch_missing_parts(repository: RepositoryName, rows: dict[str, Manifest], end: float) -> None:
    """Fetch and store the children and configs of manifests that are missing in the database.

    Pages show the platforms and the build time of an image, which are read from these parts.

    Args:
        repository: the repository to fetch from.
        rows: stored manifests by digest.
        end: deadline, as a value of time.monotonic().
    """
    for _ in range(MAX_DEPTH):
        facts = {digest: facts_of(row) for digest, row in rows.items()}
        children = {child.digest for parsed in facts.values() for child in parsed.children}
        configs = {
            digest: parsed.config.digest
            for digest, parsed in facts.items()
            if parsed.wants_config and parsed.config and not rows[digest].has_config
        }
        calls: dict[str, Callable[[], FetchResult | bytes]] = {
            child: _create_manifest_call(repository, child)
            for child in children - digests_in_repository(str(repository), children)
        }
        calls |= {digest: blob_call(repository, digest) for digest in configs.values()}
        if calls:
            # Without an answer, the page shows a dash, and the next view requests the part again.
            answers = call_once(repository, calls, end).answers
            manifests = [value for value in answers.values() if isinstance(value, FetchResult)]
            store(manifests, repository)
            bodies = {name: value for name, value in answers.items() if isinstance(value, bytes)}
            store_configs(configs, bodies)
        if not children:
            return
        rows = stored_manifests(digests_in_repository(str(repository), children))


def _create_manifest_call(
    repository: RepositoryName, reference: str, *, config: bool = True
) -> Callable[[], FetchResult]:
    """Return a function that fetches a manifest and, immediately afterward, its config.

    One function fetches both, so that the config does not wait until other manifests are fetched.

    Args:
        repository: the repository to fetch from.
        reference: tag or digest of the manifest.
        config: whether to fetch the config, if the manifest is of a kind whose config is used.
    """
    client, parsed_reference = registry(), _parse_reference(reference)

    def call() -> FetchResult:
        manifest = client.manifest(repository, parsed_reference)
        facts = read_manifest(manifest.media_type, manifest.body)
        body = None
        if config and facts.wants_config and facts.config:
            # Without a config, the page shows a dash, and the next view requests the config again.
            with suppress(RegistryError):
                body = client.blob(repository, Digest(facts.config.digest))
        return FetchResult(manifest, facts, body)

    return call


def _create_head_call(repository: RepositoryName, reference: str) -> Callable[[], str]:
    client, parsed_reference = registry(), _parse_reference(reference)
    return lambda: client.head(repository, parsed_reference)


def _parse_reference(reference: str) -> TagName | Digest:
    return Digest(reference) if ":" in reference else TagName(reference)
