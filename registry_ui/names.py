"""Value types for repository names, tags, and digests. They are validated once, when created.

Grammars: distribution-spec "Pulling manifests" (name, tag), image-spec "Descriptors" (digest). All
matching uses ``fullmatch``, because ``$`` would accept a trailing newline.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass
from functools import total_ordering

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = rf"{COMPONENT}(?:/{COMPONENT})*"
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
#: Pattern of a tag for a signature, attestation, or SBOM (PROTOCOLS 4.4). Groups: the digest of the
#: subject, and the suffix.
DIGEST_TAG = r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.(?:sig|att|sbom))?"
#: Prefix of the tags under which the trash keeps manifests. No list shows these tags. Registries
#: have such tags from when the trash was called *bin*, so the prefix can't change.
TRASH_PREFIX = "_bin."
#: Exclusive upper bound of the tags with TRASH_PREFIX: ``/`` is the character after ``.``.
TRASH_PREFIX_END = "_bin/"
TRASH_TAG = rf"{re.escape(TRASH_PREFIX)}[0-9a-f]{{16}}"
MAX_NAME = 255
MAX_TAG = 128

_COMPONENT = re.compile(COMPONENT)
_NAME = re.compile(NAME)
_TAG = re.compile(TAG)
_DIGEST = re.compile(DIGEST)
_TRASH_TAG = re.compile(TRASH_TAG)
_DIGEST_TAG = re.compile(DIGEST_TAG)

#: Prefixes of digest tags, which attach a signature, attestation, or SBOM to a digest.
DIGEST_TAG_ALGORITHMS = ("sha256-", "sha512-")

#: First path segments that are reserved, because routes of this site or of the registry use them
#: and a path would be ambiguous.
RESERVED_FIRST_SEGMENTS = frozenset(
    [
        "api",
        "auth",
        "gate",
        "healthz",
        "jwt",
        "metrics",
        "readyz",
        "static",
        "v1",
        "v2",
    ]
)
#: First path segments that Docker adds to a short name or reads as a host. Docker also reads a
#: segment with a dot as a host. Mirrors have such repositories; elsewhere they are confusing.
RESTRICTED_FIRST_SEGMENTS = frozenset(["library", "localhost"])


class NameInvalid(ValueError):
    """A name does not match its grammar. The message is for the person who typed it."""


def _is_too_long(value: str) -> bool:
    return len(value) > MAX_NAME


@total_ordering
@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository name by the OCI grammar, at most 255 characters: ``group/project/image``."""

    value: str

    def __post_init__(self) -> None:
        if _is_too_long(self.value):
            raise NameInvalid(f"The name is longer than {MAX_NAME} characters.")
        if not _NAME.fullmatch(self.value):
            raise NameInvalid(
                "A name has lower-case letters and digits, with single '.', '_', '__' or '-' "
                "between them, and '/' between its parts."
            )

    def __str__(self) -> str:
        return self.value

    def __lt__(self, other: RepositoryName) -> bool:
        return self.value < other.value

    @property
    def parts(self) -> tuple[str, ...]:
        """The path components, which are separated by slashes."""
        return tuple(self.value.split("/"))

    def prefixes(self) -> list[str]:
        """Return every path that could own this repository, shortest first, including this name.

        >>> RepositoryName("a/b/c").prefixes()
        ['a', 'a/b', 'a/b/c']
        """
        parts = self.parts
        return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]

    def below(self, path: str) -> str:
        """Return the rest of the name below ``path``, or ``""`` if it is ``path`` itself.

        Raises:
            NameInvalid: this name is neither ``path`` nor below it.
        """
        if self.value == path:
            return ""
        if not self.value.startswith(path + "/"):
            raise NameInvalid(f"{self.value} does not lie below {path}.")
        return self.value[len(path) + 1 :]


@dataclass(frozen=True, slots=True)
class PlacePath:
    """Path of a namespace or project: a repository name whose first segment is not reserved."""

    value: str

    def __post_init__(self) -> None:
        first = RepositoryName(self.value).parts[0]
        if first in RESERVED_FIRST_SEGMENTS:
            raise NameInvalid(f"“{first}” is reserved. Choose another first part.")

    def __str__(self) -> str:
        return self.value

    @property
    def is_restricted(self) -> bool:
        """Whether only administrators can create this path at the top level.

        Unless the registry's host comes first, Docker reads ``quay.io/app`` as a reference to
        another registry, and adds ``library`` to a short name.
        """
        first = self.value.partition("/")[0]
        return "." in first or first in RESTRICTED_FIRST_SEGMENTS

    @property
    def parent(self) -> str | None:
        """Path of the namespace that contains this path; None at the top level."""
        parent, slash, _ = self.value.rpartition("/")
        return parent if slash else None

    @property
    def name(self) -> str:
        """The last path segment."""
        return self.value.rpartition("/")[2]

    def prefixes(self) -> list[str]:
        """Return this path and all paths above it, shortest first."""
        return RepositoryName(self.value).prefixes()


def is_trash_tag(tag: str) -> bool:
    """Return whether a tag is one under which the trash keeps a manifest."""
    return _TRASH_TAG.fullmatch(tag) is not None


def without_trash(names: list[str]) -> list[str]:
    """Return the given tags without those in the trash.

    Args:
        names: all tags of a repository in byte order, so that the tags in the trash are adjacent.
    """
    start, end = bisect_left(names, TRASH_PREFIX), bisect_left(names, TRASH_PREFIX_END)
    return [*names[:start], *(n for n in names[start:end] if not is_trash_tag(n)), *names[end:]]


def path_component(text: str) -> str:
    """Return ``text`` if it is a valid path component; raise NameInvalid otherwise."""
    if not _COMPONENT.fullmatch(text):
        raise NameInvalid(
            "Use lower-case letters and digits, with single '.', '_', '__' or '-' between them."
        )
    return text


def suggest_component(text: str) -> str:
    """Return the most similar valid path component: ``Jane Doe`` becomes ``jane-doe``.

    Returns "" if the text has no usable characters.
    """
    ascii_text = unicodedata.normalize("NFKD", text[:MAX_NAME]).encode("ascii", "ignore")
    parts = re.findall(r"[a-z0-9]+|[._-]+|[^a-z0-9._-]+", ascii_text.decode().lower())
    return "".join(part if part.isalnum() else _normalize_separator(part) for part in parts).strip(
        "._-"
    )


def _normalize_separator(text: str) -> str:
    """Return a valid separator for the characters between two words."""
    return text if text in {".", "_", "__"} or set(text) == {"-"} else "-"


@dataclass(frozen=True, slots=True)
class TagName:
    """A tag by the OCI grammar. Tags are case-sensitive: ``v2`` and ``V2`` are different tags."""

    value: str

    def __post_init__(self) -> None:
        if not _TAG.fullmatch(self.value):
            raise NameInvalid(
                "A tag has up to 128 letters, digits, '_', '.' and '-', "
                "and starts with neither '.' nor '-'."
            )

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256 or SHA-512 digest in lowercase hex. The registry returns 500 for any other."""

    value: str

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.value):
            raise NameInvalid(
                "A digest is sha256: and 64, or sha512: and 128, lower-case hex digits."
            )

    def __str__(self) -> str:
        return self.value

    @classmethod
    def of(cls, body: bytes) -> Digest:
        """Return the SHA-256 digest of some bytes."""
        return cls("sha256:" + hashlib.sha256(body).hexdigest())

    @property
    def algorithm(self) -> str:
        """The hash algorithm: ``sha256`` or ``sha512``."""
        return self.value.partition(":")[0]

    @property
    def hex(self) -> str:
        """The hex digits after the colon."""
        return self.value.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hex digits, as Docker shows them."""
        return self.hex[:12]


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference ``name[:tag][@digest]`` to an image of this registry, without a host."""

    name: RepositoryName
    tag: TagName | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference; raise NameInvalid if it is malformed.

        A bare string of 64 hex digits is refused as a name, as Docker does, because it is an image
        ID.
        """
        rest, at, digest = text.partition("@")
        name, colon, tag = rest.partition(":")
        if re.fullmatch(r"[0-9a-f]{64}", name):
            raise NameInvalid("64 hex digits are an image id, not a name.")
        return cls(
            RepositoryName(name),
            TagName(tag) if colon else None,
            Digest(digest) if at else None,
        )

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def subject_of(tag: str) -> str | None:
    """Return the digest to which a ``sha256-<hex>[.sig|.att|.sbom]`` tag is attached, or None."""
    if not tag.startswith(DIGEST_TAG_ALGORITHMS):  # fast path for most tags
        return None
    match = _DIGEST_TAG.fullmatch(tag)
    return match[1].replace("-", ":") if match else None
