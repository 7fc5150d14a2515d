"""Facts by digest: fetched once, verified, kept for ever.

Fetching goes in waves: the manifests asked for, then the children of indexes, each with
its config. In each wave what the store has is not asked for, and what was found is kept
in one transaction. None is open while the registry is asked.
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

#: Seconds before each further attempt at what could not be read.
PAUSES = (0.1, 0.5)
#: Timeout in seconds for a call that timed out before and is made again, alone.
PATIENT_TIMEOUT = 10.0
#: Children of children are no image that a client would run.
MAX_DEPTH = 2
#: Maximum number of manifests that are fetched between two signs of life.
FETCHED_TOGETHER = 32

T = TypeVar("T")

_facts: WeakKeyDictionary[Manifest, ManifestFacts] = WeakKeyDictionary()


@dataclass(slots=True)
class FetchSummary:
    """What was found: the digest of each name asked for, and what went wrong."""

    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[str, RegistryError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FetchedBodies:
    """The digests that a repository has as manifests, and those that could not be read.

    The registry does not have any others.
    """

    manifests: set[str]
    unread: set[str]


def stored_manifests(digests: Iterable[str]) -> dict[str, Manifest]:
    """Return the stored facts of these digests, by one query."""
    wanted = set(digests)
    if not wanted:
        return {}
    rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(wanted)))
    return {row.digest: row for row in rows}


def children_of(repository: str, manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the stored children of indexes, as far as this repository was seen to hold them."""
    indexes = (row for row in manifests if row.kind == "index")
    named = {child.digest for row in indexes for child in facts_of(row).children}
    return stored_manifests(digests_in_repository(repository, named)) if named else {}


def digests_in_repository(repository: str, digests: Iterable[str]) -> set[str]:
    """Return those digests that were read from this repository, by one query."""
    query = (
        select(RepositoryManifest.digest)
        .join(ContainerImage, ContainerImage.id == RepositoryManifest.image_id)
        .where(ContainerImage.path == repository, RepositoryManifest.digest.in_(set(digests)))
    )
    return set(db.session.scalars(query))


def in_full(digest: str) -> Manifest | None:
    """Return a stored manifest with its documents, which lists leave aside, by one query."""
    documents = (Manifest.body, Manifest.config, Manifest.config_facts)
    return db.session.scalar(
        select(Manifest)
        .where(Manifest.digest == digest)
        .options(*(undefer(column) for column in documents))
        .execution_options(populate_existing=True)
    )


def facts_of(row: Manifest) -> ManifestFacts:
    """Return a stored manifest's facts; read once, however often a page asks."""
    found = _facts.get(row)
    if found is None:
        found = _facts[row] = ManifestFacts.from_json(row.facts)
    return found


def is_complete(
    manifests: Mapping[str, Manifest],
    children: Mapping[str, Manifest],
    digests: Iterable[str | None],
) -> bool:
    """Whether the store lacks nothing of these digests that gather() would ask for.

    Args:
        manifests: what is stored of the digests.
        children: what is stored of their children; those of an index in an index are not
            looked at, so that one never counts as complete.
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
    """Return a stored image's configuration; None where it was not read, and of a chart."""
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
    """Make sure that the store has the facts of these tags or digests.

    Args:
        names: tag or digest to the digest that it is known to stand for, or None.
        deadline: seconds for all of it; None for as many as a page waits.
        fresh: ask the registry what each name stands for now, known or not.

    Returns:
        Digests and problems by name. Never raises for trouble with the registry.
    """
    end = page_end() if deadline is None else time.monotonic() + deadline
    found = FetchSummary()
    if fresh:
        heads = {name: counted(_head_call(repository, name)) for name in names}
        names = call_all(heads, end, found.problems)
    found.digests = {name: digest for name, digest in names.items() if digest}
    stored = stored_manifests(found.digests.values())
    # Names that are known to stand for the same digest are one call.
    missing = {
        name: found.digests.get(name, name)
        for name in names
        if found.digests.get(name) not in stored
    }
    calls = {reference: _call(repository, reference) for reference in missing.values()}
    problems: dict[str, RegistryError] = {}
    # One name is tried again by its Retry, and rows of the index go by what is fresh.
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
    """Fetch manifests by digest, without their configs, and keep them.

    What fails for a moment is asked for again before the deadline.

    Args:
        hold: called before every few calls to the registry; what it raises ends the fetch.
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
    """Make all calls as call_all() does; make those again at which the registry failed."""
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
    """Fetch what manifests point to and a page shows: children, and configs left out before."""
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
    """Return what fetches a manifest and at once its config: no thread waits for the others."""
    client, asked = registry(), _parsed(reference)

    def call() -> FetchResult:
        manifest = client.manifest(repository, asked)
        facts = read_manifest(manifest.media_type, manifest.body)
        body = None
        if config and facts.wants_config and facts.config:
            # What is missing gets a dash on the page, and is asked for again next time.
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
    """Return the call that fetches a small blob, for ask()."""
    client = registry()
    return lambda: client.blob(repository, Digest(digest))


def call_once(
    repository: RepositoryName,
    calls: Mapping[str, Callable[[], Any]],
    end: float,
    problems: dict[str, RegistryError],
) -> Any:
    """Make calls as call_all() does, but for a page view none in vain again, and not too many.

    Args:
        calls: by digest; one by the name of a tag is made again.
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
    """Make all calls, eight at a time, until the deadline; return the answers by name.

    What went wrong is put into ``problems``; nothing is raised for trouble with the registry.
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
    """Make calls that timed out before, one after the other, until the deadline.

    Each has its share of the time that is left, up to PATIENT_TIMEOUT, so that one that never
    answers does not take the time of the others. Returns the answers by name; problems are
    added to ``problems``.
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
