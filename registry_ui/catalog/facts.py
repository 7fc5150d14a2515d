"""Facts by digest: fetched once, verified, kept for ever.

Fetching goes in waves: the manifests asked for, then the children of indexes and the
configs, then the configs of children. In each wave what the store has is not asked
for. No transaction is open while the registry is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from ..distribution.client import FetchedManifest
from ..distribution.errors import RegistryError, RegistryNotFound, RegistryUnavailable
from ..distribution.manifest import ManifestFacts, read_config, read_manifest
from ..extensions import db, release, writing
from ..models import ContainerImage, HeldManifest, Manifest, utc_now
from ..names import Digest, RepositoryName, TagName
from ..storage import insert_new
from .connection import registry, threads

#: Seconds that a page waits for facts; what is missing then gets a dash and a Retry.
PAGE_DEADLINE = 2.0
#: Children of children are no image that a client would run.
MAX_DEPTH = 2


@dataclass(slots=True)
class Gathered:
    """What was found: the digest of each name asked for, and what went wrong."""

    digests: dict[str, str] = field(default_factory=dict)
    problems: dict[str, RegistryError] = field(default_factory=dict)


def known(digests: Iterable[str]) -> dict[str, Manifest]:
    """Return the stored facts of these digests, by one query."""
    wanted = set(digests)
    if not wanted:
        return {}
    rows = db.session.scalars(select(Manifest).where(Manifest.digest.in_(wanted)))
    return {row.digest: row for row in rows}


def children_of(repository: str, manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """Return the stored children of indexes, as far as this repository was seen to hold them."""
    named = {child.digest for row in manifests for child in facts_of(row).children}
    return known(held(repository, named))


def held(repository: str, digests: Iterable[str]) -> set[str]:
    """Return those digests that were read from this repository, by one query."""
    query = (
        select(HeldManifest.digest)
        .join(ContainerImage, ContainerImage.id == HeldManifest.image_id)
        .where(ContainerImage.path == repository, HeldManifest.digest.in_(set(digests)))
    )
    return set(db.session.scalars(query))


def facts_of(row: Manifest) -> ManifestFacts:
    """Return a stored manifest's facts."""
    return ManifestFacts.from_json(row.facts)


def gather(
    repository: RepositoryName,
    names: Mapping[str, str | None],
    deadline: float = PAGE_DEADLINE,
    *,
    fresh: bool = False,
) -> Gathered:
    """Make sure that the store has the facts of these tags or digests.

    Args:
        names: tag or digest to the digest that it is known to stand for, or None.
        deadline: seconds for all of it.
        fresh: ask the registry what each name stands for now, known or not.

    Returns:
        Digests and problems by name. Never raises for trouble with the registry.
    """
    end = time.monotonic() + deadline
    found = Gathered({name: digest for name, digest in names.items() if digest and not fresh})
    stored = known(found.digests.values())
    missing = {
        name: found.digests.get(name, name)
        for name in names
        if found.digests.get(name) not in stored
    }
    answers = _ask(
        {name: _manifest_call(repository, reference) for name, reference in missing.items()},
        end,
        found.problems,
    )
    found.digests.update({name: answer.digest for name, answer in answers.items()})
    _store({answer.digest: answer for answer in answers.values()})
    _complete(repository, set(found.digests.values()), end)
    return found


def fetch(repository: RepositoryName, digests: Iterable[str], deadline: float) -> set[str]:
    """Fetch and keep manifests by digest, without their configs.

    Returns those that could not be read; what the registry does not have is none of them.
    """
    problems: dict[str, RegistryError] = {}
    calls = {digest: _manifest_call(repository, digest) for digest in digests}
    answers = _ask(calls, time.monotonic() + deadline, problems)
    _store(answers)
    _store_held(repository, answers)
    return {d for d, problem in problems.items() if not isinstance(problem, RegistryNotFound)}


def _complete(repository: RepositoryName, digests: set[str], end: float) -> None:
    """Fetch what manifests point to and a page shows: children, and image configs."""
    level = digests
    for _ in range(MAX_DEPTH):
        rows = known(level)
        facts = {digest: facts_of(row) for digest, row in rows.items()}
        children = {child.digest for f in facts.values() for child in f.children}
        configs = {
            digest: f.config.digest
            for digest, f in facts.items()
            if f.wants_config and f.config and not rows[digest].has_config
        }
        new_children = children - held(str(repository), children)
        calls: dict[str, Callable[[], Any]] = {
            child: _manifest_call(repository, child) for child in new_children
        }
        blobs = {digest: _blob_call(repository, digest) for digest in configs.values()}
        problems: dict[str, RegistryError] = {}
        answers = _ask(calls, end, problems)
        _store(answers)
        _store_held(repository, answers)
        _store_configs(configs, _ask(blobs, end, problems))
        if not children:
            return
        level = held(str(repository), children)


def _manifest_call(repository: RepositoryName, reference: str) -> Callable[[], FetchedManifest]:
    client = registry()
    parsed = Digest(reference) if ":" in reference else TagName(reference)
    return lambda: client.manifest(repository, parsed)


def _blob_call(repository: RepositoryName, digest: str) -> Callable[[], bytes]:
    client = registry()
    return lambda: client.blob(repository, Digest(digest))


def _ask(
    calls: Mapping[str, Callable[[], Any]], end: float, problems: dict[str, RegistryError]
) -> Any:
    """Make all calls, eight at a time, until the deadline; return the answers by name."""
    release()
    pending: dict[Future[Any], str] = {threads().submit(call): n for n, call in calls.items()}
    wait(pending, timeout=max(0.0, end - time.monotonic()))
    answers = {}
    for future, name in pending.items():
        if not future.done():
            future.cancel()
            problems[name] = RegistryUnavailable("the registry is too slow")
            continue
        error = future.exception()
        if error is None:
            answers[name] = future.result()
        elif isinstance(error, RegistryError):
            problems[name] = error
        else:
            raise error
    return answers


def _store(fetched: Mapping[str, FetchedManifest]) -> None:
    """Read and keep manifests by digest; one that the store has was read before."""
    stored = set(db.session.scalars(select(Manifest.digest).where(Manifest.digest.in_(fetched))))
    fetched = {digest: found for digest, found in fetched.items() if digest not in stored}
    if not fetched:
        return
    # What others wrote is read before the transaction that everybody waits for.
    read = {m.digest: read_manifest(m.media_type, m.body) for m in fetched.values()}
    with writing() as session:
        for manifest in fetched.values():
            facts = read[manifest.digest]
            insert_new(
                session,
                Manifest,
                digest=manifest.digest,
                media_type=manifest.media_type,
                kind=facts.kind,
                size=facts.size,
                body=manifest.body,
                has_config=False,
                fetched_at=utc_now(),
                facts=facts.to_json(),
                built_at=facts.created_at,
            )


def _store_held(repository: RepositoryName, digests: Iterable[str]) -> None:
    """Note that these manifests were read from this repository."""
    found = list(digests)
    if not found:
        return
    with writing() as session:
        image_id = session.scalar(
            select(ContainerImage.id).where(ContainerImage.path == str(repository))
        )
        for digest in found if image_id is not None else ():
            insert_new(session, HeldManifest, image_id=image_id, digest=digest)


def _store_configs(configs: Mapping[str, str], bodies: Mapping[str, bytes]) -> None:
    """Keep each config with its manifests. ``configs`` maps manifest to config digest."""
    if not bodies:
        return
    read = {digest: read_config(body) for digest, body in bodies.items()}
    with writing() as session:
        for row in session.scalars(select(Manifest).where(Manifest.digest.in_(configs))):
            digest = configs[row.digest]
            if digest in read:
                row.config, row.has_config = bodies[digest], True
                row.config_facts = read[digest].to_json()
                row.built_at = read[digest].built_at or row.built_at
