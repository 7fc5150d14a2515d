"""Results of checks that the later steps of a removal can reuse, so that each is made only once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """The checks that a worker has made so far in one operation, by repository.

    Attributes:
        signatures: the signatures that must stay.
        faulty_tags: the tags that make Distribution 2.8 continue to list deleted tags.
        unanswered: the repositories for whose unanswered tags the operation has already waited
            until the timeout.
    """

    signatures: dict[str, SignatureCheck] = field(default_factory=dict)
    faulty_tags: dict[str, set[str]] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
