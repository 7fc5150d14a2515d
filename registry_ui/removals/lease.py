"""Lease on a removal, with the results of checks that the later steps of the removal reuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from ..db.session import writing
from ..models import Removal, RemovalLine, RemovalStep
from ..operations.operation_lease import OperationLease


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Cached result of a check: the signatures of a repository that must stay, and why.

    Attributes:
        reasons: reason by tag name, for each signature that must stay.
        valid_until: time.monotonic() value until which the result is used.
    """

    reasons: Mapping[str, str]
    valid_until: float


@dataclass(slots=True)
class CachedChecks:
    """The checks that a worker has made so far in one removal, by repository.

    Attributes:
        signatures: the signatures that must stay.
        faulty_tags: the tags that make Distribution 2.8 continue to list deleted tags.
        unanswered: the repositories for whose unanswered tags the removal has already waited
            until the timeout.
    """

    signatures: dict[str, SignatureCheck] = field(default_factory=dict)
    faulty_tags: dict[str, set[str]] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


@dataclass(slots=True)
class RemovalLease(OperationLease[Removal]):
    """A lease on a removal, which also records placeholders and caches checks."""

    #: Results of checks that later steps can reuse.
    cached_checks: CachedChecks = field(default_factory=CachedChecks)

    def record_placeholder(self, number: int, step: RemovalStep, digest: str) -> None:
        """Record the digest of a step's placeholder manifest, before the manifest is pushed.

        The record shows after an interruption that the manifest is a placeholder. A tag is pointed
        to a placeholder so that the tag can be deleted without its image (PROTOCOLS 4.3).
        """
        with writing() as session:
            self.update(session)
            self._get_or_add_line(session, number, step).placeholder = digest

    def placeholder_of(self, session: Session, number: int) -> str | None:
        """Return the digest of the placeholder that was last recorded for a step, or None."""
        line = session.get(RemovalLine, (self.row.id, number))
        return line.placeholder if line else None
