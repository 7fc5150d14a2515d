"""The tags of one image, live from the registry, with what the index and the facts add."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from sqlalchemy import select

from ..distribution.errors import RegistryError, RegistryNotFound
from ..extensions import db, release, writing
from ..models import ContainerImage, Manifest, Tag, utc_now
from ..names import DIGEST_TAG, RepositoryName
from .facts import children_of, facts_of, gather, held, known
from .ordering import version_key
from .reconcile import mend, visible_tags

PER_PAGE = 50
SORTS = ("name", "pushed", "size", "pulled")

_FOLDED = re.compile(DIGEST_TAG)


@dataclass(slots=True)
class TagRow:
    """One row of a list of tags. What is not known is None."""

    name: str
    digest: str | None
    kind: str = "unknown"
    platforms: list[tuple[str, int | None]] = field(default_factory=list)
    size: int | None = None
    built_at: datetime | None = None
    pushed_at: datetime | None = None
    pushed_by: str | None = None
    pull_count: int = 0
    last_pulled_at: datetime | None = None
    same_as: list[str] = field(default_factory=list)
    signed: bool = False
    folded: list[str] = field(default_factory=list)
    problem: str | None = None
    pull_command: str = ""

    @classmethod
    def of(cls, tag: Tag) -> Self:
        """Begin a row with what the index says of a tag."""
        return cls(
            name=tag.name,
            digest=tag.digest,
            pushed_at=tag.pushed_at,
            pushed_by=tag.pushed_by,
            pull_count=tag.pull_count,
            last_pulled_at=tag.last_pulled_at,
        )


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows, in which order. All of it lives in the URL."""

    q: str = ""
    sort: str = "name"
    order: str = "asc"
    page: int = 1


@dataclass(slots=True)
class TagTable:
    """A page of rows of all that match. ``error`` says why it may not be live."""

    rows: list[TagRow]
    total: int
    error: str | None
    fresh_at: datetime | None


def tag_table(image: ContainerImage, query: Query, host: str) -> TagTable:
    """Return a page of an image's tags; mends the index where the registry says otherwise.

    One call to the registry for the list, and none for what the store knows already.

    Args:
        host: the registry's name in pull commands.
    """
    error, fresh_at = refresh(image)
    tags = list(db.session.scalars(select(Tag).where(Tag.image_id == image.id)))
    folded, shown = fold(tags)
    shown = [tag for tag in shown if query.q.lower() in tag.name.lower()]
    _sort(shown, query, image.path)
    start = (query.page - 1) * PER_PAGE
    visible = shown[start : start + PER_PAGE]
    problems = {} if error else _learn(image, visible)
    rows = _rows(image, visible, tags, folded, host)
    for row in rows:
        row.problem = problems.get(row.name)
    return TagTable(rows, len(shown), error, fresh_at)


def refresh(image: ContainerImage) -> tuple[str | None, datetime | None]:
    """Compare an image's tags with the registry's list, by one call.

    Returns the trouble, if there was any, and when the registry last answered.
    """
    started = utc_now()
    release()
    try:
        names = visible_tags(RepositoryName(image.path))
    except RegistryNotFound:
        names = []
    except RegistryError as error:
        return str(error), image.reconciled_at
    indexed = set(db.session.scalars(select(Tag.name).where(Tag.image_id == image.id)))
    if indexed != set(names):
        with writing() as session:
            current = session.get(ContainerImage, image.id)
            if current is not None:
                mend(session, current, names, {}, started)
    return None, started


def fold(tags: Iterable[Tag]) -> tuple[dict[str, list[str]], list[Tag]]:
    """Part the tags that sign or describe a digest from those that people look for.

    Returns names by the digest they speak of, and all other tags. A ``sha256-…`` tag
    whose subject has no tag stays among the others (PROTOCOLS 4.4).
    """
    every = list(tags)
    subjects = {tag.digest for tag in every}
    folded: dict[str, list[str]] = defaultdict(list)
    shown = []
    for tag in every:
        subject = subject_of(tag.name)
        if subject in subjects and subject is not None:
            folded[subject].append(tag.name)
        else:
            shown.append(tag)
    return folded, shown


def subject_of(tag: str) -> str | None:
    """Return the digest that a ``sha256-<hex>[.sig|.att|.sbom]`` tag speaks of."""
    matched = _FOLDED.fullmatch(tag)
    return matched[1].replace("-", ":") if matched else None


def _sort(tags: list[Tag], query: Query, repository: str) -> None:
    descending = query.order == "desc"
    tags.sort(key=lambda tag: version_key(tag.name), reverse=descending)
    if query.sort == "name":
        return
    values: dict[int, float | None]
    if query.sort == "size":
        sizes = known_sizes(repository, (tag.digest for tag in tags if tag.digest))
        values = {tag.id: sizes.get(tag.digest or "") for tag in tags}
    else:
        moments = {t.id: t.pushed_at if query.sort == "pushed" else t.last_pulled_at for t in tags}
        values = {key: at.timestamp() if at else None for key, at in moments.items()}
    sign = -1 if descending else 1
    # What is not known comes last, whichever way the rest is sorted.
    tags.sort(key=lambda tag: (values[tag.id] is None, sign * (values[tag.id] or 0)))


def known_sizes(repository: str, digests: Iterable[str]) -> dict[str, float | None]:
    """Return the stored sizes; an index is as large as its platforms together."""
    rows = db.session.execute(
        select(Manifest.digest, Manifest.size, Manifest.kind, Manifest.facts).where(
            Manifest.digest.in_(set(digests))
        )
    ).all()
    parts = {r.digest: [c["digest"] for c in r.facts["children"]] for r in rows if r.size is None}
    inner = {digest for children in parts.values() for digest in children}
    query = select(Manifest.digest, Manifest.size).where(
        Manifest.digest.in_(held(repository, inner))
    )
    children = dict(db.session.execute(query).all())
    return {
        r.digest: r.size
        if r.size is not None
        else sum(children.get(child) or 0 for child in parts[r.digest])
        for r in rows
    }


def _learn(image: ContainerImage, tags: list[Tag]) -> dict[str, str]:
    """Fetch what the store lacks of these tags; note digests that were not known."""
    found = gather(RepositoryName(image.path), {tag.name: tag.digest for tag in tags})
    unknown = [tag for tag in tags if tag.digest is None and tag.name in found.digests]
    if unknown:
        with writing() as session:
            for tag in unknown:
                tag.digest = found.digests[tag.name]
                session.add(tag)
    return {name: str(problem) for name, problem in found.problems.items()}


def _rows(
    image: ContainerImage,
    visible: list[Tag],
    every: list[Tag],
    folded: dict[str, list[str]],
    host: str,
) -> list[TagRow]:
    siblings: dict[str, list[str]] = defaultdict(list)
    for tag in every:
        if tag.digest:
            siblings[tag.digest].append(tag.name)
    manifests = known(tag.digest for tag in visible if tag.digest)
    children = children_of(image.path, manifests.values())
    rows = []
    for tag in visible:
        row = TagRow.of(tag)
        if tag.digest:
            row.folded = sorted(folded.get(tag.digest, []))
            row.signed = any(name.endswith(".sig") for name in row.folded)
            same = (name for name in siblings[tag.digest] if name != tag.name)
            row.same_as = sorted(same, key=version_key)
            describe(row, manifests.get(tag.digest), children)
        row.pull_command = pull_command(row.kind, f"{host}/{image.path}", tag.name)
        rows.append(row)
    return rows


def pull_command(kind: str, repository: str, tag: str) -> str:
    """Return the command that pulls a tag, by the client that can."""
    if kind == "chart":
        # Helm writes the + of a version as _ in the tag (PROTOCOLS 4.4).
        return f"helm pull oci://{repository} --version {tag.replace('_', '+')}"
    if kind in {"artifact", "signature", "attestation"}:
        return f"oras pull {repository}:{tag}"
    return f"docker pull {repository}:{tag}"


def describe(row: TagRow, manifest: Manifest | None, children: dict[str, Manifest]) -> None:
    """Add what the store knows of a manifest to a row."""
    if manifest is None:
        return
    facts = facts_of(manifest)
    row.kind, row.size, row.built_at = facts.kind, facts.size, manifest.built_at
    if facts.kind != "index":
        return
    for child in facts.children:
        if child.is_attestation:
            continue
        known_child = children.get(child.digest)
        row.platforms.append((child.platform, known_child.size if known_child else None))
        if known_child and known_child.built_at and row.built_at is None:
            row.built_at = known_child.built_at
    sizes = [size for _, size in row.platforms if size is not None]
    row.size = sum(sizes) if sizes else None
