"""Names of the registry, parsed once at the door and valid ever after.

Grammars: distribution-spec "Pulling manifests" (name, tag), image-spec
"Descriptors" (digest). All matching is ``fullmatch``: ``$`` would let a
trailing newline pass.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import total_ordering

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = rf"{COMPONENT}(?:/{COMPONENT})*"
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
#: A tag that signs or describes a digest (PROTOCOLS 4.4): the digest, and of what kind it is.
DIGEST_TAG = r"(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.(?:sig|att|sbom))?"
#: A tag under which the bin keeps a manifest; no list shows it.
BIN_PREFIX = "_bin."
#: What comes after all that begins so: ``/`` is the character after ``.``.
BIN_PREFIX_END = "_bin/"
BIN_TAG = rf"{re.escape(BIN_PREFIX)}[0-9a-f]{{16}}"
MAX_NAME = 255
MAX_TAG = 128

_COMPONENT = re.compile(COMPONENT)
_NAME = re.compile(NAME)
_TAG = re.compile(TAG)
_DIGEST = re.compile(DIGEST)
_BIN_TAG = re.compile(BIN_TAG)
_DIGEST_TAG = re.compile(DIGEST_TAG)

#: How a tag begins that holds what is attached to a digest.
DIGEST_TAG_ALGORITHMS = ("sha256-", "sha512-")

#: First segments that nothing can have: routes of ours and of the registry, beside which a
#: path would be ambiguous.
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
#: First segments that docker adds to a short name, or reads as a host. So does it read any
#: with a dot. Mirrors have such repositories; for others they are confusing.
RESTRICTED_FIRST_SEGMENTS = frozenset(["library", "localhost"])


class NameInvalid(ValueError):
    """A name breaks its grammar. The message is meant for the person who typed it."""


def _too_long(value: str) -> bool:
    return len(value) > MAX_NAME


@total_ordering
@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A repository name of the OCI grammar, at most 255 characters: ``group/project/image``."""

    value: str

    def __post_init__(self) -> None:
        if _too_long(self.value):
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
        """The components between the slashes."""
        return tuple(self.value.split("/"))

    def prefixes(self) -> list[str]:
        """Return every path that could own this name, shortest first, itself included.

        >>> RepositoryName("a/b/c").prefixes()
        ['a', 'a/b', 'a/b/c']
        """
        parts = self.parts
        return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]

    def below(self, path: str) -> str:
        """Return what follows ``path``: ``""`` for the path itself.

        Raises NameInvalid where this name is not at or below ``path``.
        """
        if self.value == path:
            return ""
        if not self.value.startswith(path + "/"):
            raise NameInvalid(f"{self.value} does not lie below {path}.")
        return self.value[len(path) + 1 :]


@dataclass(frozen=True, slots=True)
class PlacePath:
    """The full path of a namespace or a project: a repository name whose first segment is free."""

    value: str

    def __post_init__(self) -> None:
        first = RepositoryName(self.value).parts[0]
        if first in RESERVED_FIRST_SEGMENTS:
            raise NameInvalid(f"“{first}” is reserved. Choose another first part.")

    def __str__(self) -> str:
        return self.value

    @property
    def is_restricted(self) -> bool:
        """Whether only administrators may create it at the top.

        Without the registry's host before it, docker reads ``quay.io/app`` as a reference of
        another registry, and adds ``library`` to a short name.
        """
        first = self.value.partition("/")[0]
        return "." in first or first in RESTRICTED_FIRST_SEGMENTS

    @property
    def parent(self) -> str | None:
        """The path of the namespace that holds this one; None at the top."""
        head, slash, _ = self.value.rpartition("/")
        return head if slash else None

    @property
    def name(self) -> str:
        """The last segment."""
        return self.value.rpartition("/")[2]

    def prefixes(self) -> list[str]:
        """Return this path and all above it, shortest first."""
        return RepositoryName(self.value).prefixes()


def is_binned(tag: str) -> bool:
    """Whether a tag is one of the bin's."""
    return _BIN_TAG.fullmatch(tag) is not None


def path_component(text: str) -> str:
    """Return ``text`` if it is one component of a path; raise NameInvalid otherwise."""
    if not _COMPONENT.fullmatch(text):
        raise NameInvalid(
            "Use lower-case letters and digits, with single '.', '_', '__' or '-' between them."
        )
    return text


def suggest_component(text: str) -> str:
    """Return the nearest component of a path: ``Jane Doe`` becomes ``jane-doe``.

    "" for a text of which nothing is left.
    """
    plain = unicodedata.normalize("NFKD", text[:MAX_NAME]).encode("ascii", "ignore")
    parts = re.findall(r"[a-z0-9]+|[._-]+|[^a-z0-9._-]+", plain.decode().lower())
    return "".join(part if part.isalnum() else _separator(part) for part in parts).strip("._-")


def _separator(text: str) -> str:
    """Return a separator of the grammar for any characters between two words."""
    return text if text in {".", "_", "__"} or set(text) == {"-"} else "-"


@dataclass(frozen=True, slots=True)
class TagName:
    """A tag of the OCI grammar. Case matters: ``v2`` and ``V2`` are two tags."""

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
    """A sha256 or sha512 digest in lower-case hex. Other forms make the registry answer 500."""

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
        """Return the sha256 digest of some bytes."""
        return cls("sha256:" + hashlib.sha256(body).hexdigest())

    @property
    def algorithm(self) -> str:
        """``sha256`` or ``sha512``."""
        return self.value.partition(":")[0]

    @property
    def hex(self) -> str:
        """The digits after the colon."""
        return self.value.partition(":")[2]

    @property
    def short(self) -> str:
        """Twelve digits, as docker shows them."""
        return self.hex[:12]


@dataclass(frozen=True, slots=True)
class Reference:
    """``name[:tag][@digest]`` of this registry, without a host."""

    name: RepositoryName
    tag: TagName | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference; raise NameInvalid for what is none.

        A bare 64-digit hex string is refused as a name, as docker does: it is an image id.
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
    """Return the digest that a ``sha256-<hex>[.sig|.att|.sbom]`` tag is attached to."""
    if not tag.startswith(DIGEST_TAG_ALGORITHMS):  # of thousands, hardly any
        return None
    found = _DIGEST_TAG.fullmatch(tag)
    return found[1].replace("-", ":") if found else None
