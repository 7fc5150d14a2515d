"""Store of manifests by digest: each is fetched once, verified, and then kept permanently.

Manifests are fetched in rounds, each with its config: first the requested ones, then the children
of indexes. A round skips manifests that are already stored, and stores the others in one
transaction. No transaction is open during calls to the registry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import select
from sqlalchemy.orm import undefer

from ..db.session import db, end_read
from ..distribution.call_timeout import at_least
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
from ..page_call_budget import counted, page_end, remember_unreadable, unreadable
from ..registry_connection import registry, threads
from .summary_writer import FetchResult, store, store_configs

#: Seconds to wait before each retry of failed calls.
PAUSES = (0.1, 0.5)
#: Timeout in seconds for a call that is retried on its own because it timed out before.
PATIENT_TIMEOUT = 10.0
#: Maximum number of levels below a manifest that are fetched for a page. Clients do not run
#: images that are nested more deeply in indexes.
MAX_DEPTH = 2
#: Maximum number of manifests per batch. A caller that holds a lease renews it between batches.
FETCHED_TOGETHER = 32

T = TypeVar("T")

_facts: WeakKeyDictionary[Manifest, ManifestFacts] = WeakKeyDictionary()


@dataclass(slots=True)
class FetchSummary:
    """The result of fetching: the digest of each requested name, and the errors by name."""

    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[str, RegistryError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FetchedBodies:
    """The requested digests that a repository has as manifests, and those that failed.

    Digests in neither set do not exist as manifests in the registry.
    """

    manifests: set[str]
    unread: set[str]


def stored_manifests(digests: Iterable[str]) -> dict[str, Manifest]:
    """Return the stored manifests with the given digests, by digest (one query)."""
    wanted = set(digests)
    if not wanted:
        return {}
    rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(wanted)))
    return {row.digest: row for row in rows}


def children_of(repository: str, manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the stored children of indexes, by digest.

    Children that were never read from the given repository are left out, because an index can
    list digests from repositories that the reader must not see.
    """
    indexes = (row for row in manifests if row.kind == "index")
    named = {child.digest for row in indexes for child in facts_of(row).children}
    return stored_manifests(digests_in_repository(repository, named)) if named else {}


def digests_in_repository(repository: str, digests: Iterable[str]) -> set[str]:
    """Return the given digests that are recorded as read from a repository (one query)."""
    query = (
        select(RepositoryManifest.digest)
        .join(ContainerImage, ContainerImage.id == RepositoryManifest.image_id)
        .where(ContainerImage.path == repository, RepositoryManifest.digest.in_(set(digests)))
    )
    return set(db.session.scalars(query))


def in_full(digest: str) -> Manifest | None:
    """Return a stored manifest with its body and config, or None (one query).

    Other queries do not load these large columns.
    """
    documents = (Manifest.body, Manifest.config, Manifest.config_facts)
    return db.session.scalar(
        select(Manifest)
        .where(Manifest.digest == digest)
        .options(*(undefer(column) for column in documents))
        .execution_options(populate_existing=True)
    )


def facts_of(row: Manifest) -> ManifestFacts:
    """Return the facts of a stored manifest; the parsed object is cached per row."""
    found = _facts.get(row)
    if found is None:
        found = _facts[row] = ManifestFacts.from_json(row.facts)
    return found


def is_complete(
    manifests: Mapping[str, Manifest],
    children: Mapping[str, Manifest],
    digests: Iterable[str | None],
) -> bool:
    """Return whether the store has everything that ensure_fetched() would fetch for some digests.

    Args:
        manifests: the stored manifests of these digests.
        children: their stored children. The result is False if one of them is an index, because
            its own children are not checked.
        digests: the digests to check. None stands for an unknown digest and is never complete.
    """
    if not all(digest in manifests for digest in digests):
        return False
    return all(
        row.has_config or not _wants_config(row)
        for row in (*manifests.values(), *children.values())
    ) and all(
        child.digest in children and children[child.digest].kind != "index"
        for row in manifests.values()
        if row.kind == "index"
        for child in facts_of(row).children
    )


def _wants_config(row: Manifest) -> bool:
    facts = facts_of(row)
    return facts.wants_config and facts.config is not None


def image_config(row: Manifest) -> ImageConfig | None:
    """Return the configuration of a stored image; None if it was not fetched, or for a chart."""
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
    """Fetch the manifests of some tags or digests that are not in the store.

    Args:
        repository: the repository to fetch from.
        names: tags or digests, each with the digest that it is known to point to, or None.
        deadline: time limit in seconds; None for the time that a page waits.
        fresh: ask the registry for the current digest of every name, even if it is known.

    Returns:
        Digests and problems by name. Errors of the registry are never raised.
    """
    end = page_end() if deadline is None else time.monotonic() + deadline
    found = FetchSummary()
    if fresh:
        heads = {name: counted(_head_call(repository, name)) for name in names}
        names = call_all(heads, end, found.problems)
    found.digests = {name: digest for name, digest in names.items() if digest}
    stored = stored_manifests(found.digests.values())
    # Names that are known to point to the same digest share one call.
    missing = {
        name: found.digests.get(name, name)
        for name in names
        if found.digests.get(name) not in stored
    }
    calls = {reference: _call(repository, reference) for reference in missing.values()}
    problems: dict[str, RegistryError] = {}
    # Remembered failures are ignored for a single name, because the user can have pressed Retry,
    # and for fresh results.
    if fresh or len(calls) == 1:
        answers = call_all({name: counted(call) for name, call in calls.items()}, end, problems)
    else:
        answers = call_once(repository, calls, end, problems)
    for name, reference in missing.items():
        if reference in answers:
            found.digests[name] = answers[reference].manifest.digest
        elif reference in problems:
            found.problems[name] = problems[reference]
    store(answers.values())
    rows = stored | stored_manifests(found.digests.values() - stored.keys())
    _complete(repository, rows, end)
    return found


def fetch(
    repository: RepositoryName,
    digests: Iterable[str],
    deadline: float,
    hold: Callable[[], None] = lambda: None,
) -> FetchedBodies:
    """Fetch manifests by digest, without their configs, and store them.

    Calls that fail temporarily are retried before the deadline.

    Args:
        repository: the repository to fetch from.
        digests: digests of the manifests.
        deadline: time limit in seconds.
        hold: called before each batch of registry calls, to renew a lease. An exception that it
            raises ends the fetch and is passed on.
    """
    end = time.monotonic() + deadline
    found = FetchedBodies(set(), set())
    every = sorted(digests)
    for start in range(0, len(every), FETCHED_TOGETHER):
        hold()
        some = every[start : start + FETCHED_TOGETHER]
        problems: dict[str, RegistryError] = {}
        calls = {digest: _call(repository, digest, config=False) for digest in some}
        answers = _ask_again(calls, end, problems)
        store(answers.values(), repository)
        found.manifests.update(answers)
        absent = {d for d, problem in problems.items() if isinstance(problem, RegistryNotFound)}
        found.unread.update(problems.keys() - absent)
    return found


def _ask_again(
    calls: Mapping[str, Callable[[], Any]], end: float, problems: dict[str, RegistryError]
) -> dict[str, Any]:
    """Make all calls like call_all(), and retry those for which the registry was unavailable.

    Calls that timed out are retried one at a time, with a longer timeout.
    """
    answers: dict[str, Any] = call_all(calls, end, problems)
    for pause in PAUSES:
        failed = {n for n, problem in problems.items() if isinstance(problem, RegistryUnavailable)}
        if not failed or time.monotonic() + pause >= end:
            break
        time.sleep(pause)
        slow = {name for name in failed if isinstance(problems[name], RegistryTimeout)}
        for name in failed:
            del problems[name]
        answers |= call_all({name: calls[name] for name in failed - slow}, end, problems)
        answers |= call_in_turn({name: calls[name] for name in sorted(slow)}, end, problems)
    return answers


def _complete(repository: RepositoryName, rows: dict[str, Manifest], end: float) -> None:
    """Fetch the missing children and configs of manifests, because pages show them.

    Args:
        repository: the repository to fetch from.
        rows: stored manifests by digest.
        end: deadline, as a value of time.monotonic().
    """
    for _ in range(MAX_DEPTH):
        facts = {digest: facts_of(row) for digest, row in rows.items()}
        children = {child.digest for f in facts.values() for child in f.children}
        configs = {
            digest: f.config.digest
            for digest, f in facts.items()
            if f.wants_config and f.config and not rows[digest].has_config
        }
        calls: dict[str, Callable[[], Any]] = {
            child: _call(repository, child)
            for child in children - digests_in_repository(str(repository), children)
        }
        blobs = {digest: blob_call(repository, digest) for digest in configs.values()}
        problems: dict[str, RegistryError] = {}
        if calls or blobs:
            answers = call_once(repository, calls | blobs, end, problems)
            found = {name: answer for name, answer in answers.items() if name in calls}
            store(found.values(), repository)
            store_configs(configs, {n: body for n, body in answers.items() if n in blobs})
        if not children:
            return
        rows = stored_manifests(digests_in_repository(str(repository), children))


def _call(
    repository: RepositoryName, reference: str, *, config: bool = True
) -> Callable[[], FetchResult]:
    """Return a function that fetches a manifest and, immediately after it, its config.

    A single function fetches both, so that a thread does not wait for other manifests first.

    Args:
        repository: the repository to fetch from.
        reference: tag or digest of the manifest.
        config: whether to fetch the config.
    """
    client, asked = registry(), _parsed(reference)

    def call() -> FetchResult:
        manifest = client.manifest(repository, asked)
        facts = read_manifest(manifest.media_type, manifest.body)
        body = None
        if config and facts.wants_config and facts.config:
            # The page shows a dash for a missing config, and the next view requests it again.
            with suppress(RegistryError):
                body = client.blob(repository, Digest(facts.config.digest))
        return FetchResult(manifest, facts, body)

    return call


def _head_call(repository: RepositoryName, reference: str) -> Callable[[], str]:
    client, asked = registry(), _parsed(reference)
    return lambda: client.head(repository, asked)


def _parsed(reference: str) -> TagName | Digest:
    return Digest(reference) if ":" in reference else TagName(reference)


def blob_call(repository: RepositoryName, digest: str) -> Callable[[], bytes]:
    """Return a function that fetches a small blob, for use with call_all()."""
    client = registry()
    return lambda: client.blob(repository, Digest(digest))


def call_once(
    repository: RepositoryName,
    calls: Mapping[str, Callable[[], Any]],
    end: float,
    problems: dict[str, RegistryError],
) -> Any:
    """Make calls like call_all(), but limit those of a page view.

    In a page view, calls count toward its limit, are not retried after a status 500, and are
    skipped for digests that recently failed. Otherwise, this is the same as call_all().

    Args:
        repository: the repository to which the calls are made.
        calls: functions by digest or tag. Failures are remembered for digests only.
        end: deadline, as a value of time.monotonic().
        problems: receives the errors, by digest or tag.

    Returns:
        The results by digest or tag.
    """
    lately = unreadable(repository, calls)
    problems.update(lately)
    left = {n: counted(call, retries=False) for n, call in calls.items() if n not in lately}
    failed: dict[str, RegistryError] = {}
    answers = call_all(left, end, failed)
    remember_unreadable(repository, {n: why for n, why in failed.items() if ":" in n})
    problems.update(failed)
    return answers


def call_all(
    calls: Mapping[str, Callable[[], Any]], end: float, problems: dict[str, RegistryError]
) -> Any:
    """Make all calls in parallel, eight at a time, until the deadline.

    Args:
        calls: functions by name.
        end: deadline, as a value of time.monotonic().
        problems: receives the errors of the registry by name; they are not raised.

    Returns:
        The results by name.
    """
    end_read()
    pending: dict[Future[Any], str] = {threads().submit(call): n for n, call in calls.items()}
    wait(pending, timeout=max(0.0, end - time.monotonic()))
    answers = {}
    for future, name in pending.items():
        if not future.done():
            future.cancel()
            problems[name] = RegistryTimeout("the registry is too slow")
            continue
        error = future.exception()
        if error is None:
            answers[name] = future.result()
        elif isinstance(error, RegistryError):
            problems[name] = error
        else:
            raise error
    return answers


def call_in_turn(
    calls: Mapping[str, Callable[[], T]], end: float, problems: dict[str, RegistryError]
) -> dict[str, T]:
    """Make calls that timed out before, one at a time, until the deadline.

    The timeout of each call is its share of the remaining time, up to PATIENT_TIMEOUT, so that a
    call that hangs leaves time for the others.

    Args:
        calls: functions by name.
        end: deadline, as a value of time.monotonic().
        problems: receives the errors of the registry by name; they are not raised.

    Returns:
        The results by name.
    """
    end_read()
    answers: dict[str, T] = {}
    for done, (name, call) in enumerate(calls.items()):
        left = end - time.monotonic()
        if left <= 0:
            problems[name] = RegistryTimeout("the registry is too slow")
            continue
        try:
            with at_least(min(PATIENT_TIMEOUT, left / (len(calls) - done))):
                answers[name] = call()
        except RegistryError as error:
            problems[name] = error
    return answers
