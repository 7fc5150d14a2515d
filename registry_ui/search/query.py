"""Parser for the text of the search field. Pure functions without a database."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import Invalid
from ..names import NameInvalid, Reference
from ..reference_parser import MAX_PASTED_LENGTH, AnotherRegistry, parse_pasted

#: Maximum number of characters of a search text; a pasted command with a reference can be longer.
MAX_LENGTH = 255
#: Maximum number of words that are searched for; more hardly narrow the result.
MAX_WORDS = 6
#: Minimum number of hex digits of a digest, because fewer digits would match too many digests.
MIN_DIGEST_DIGITS = 7

#: Matches a complete digest among other words, as docker prints it after a push or a pull.
_COMPLETE_DIGEST = re.compile(r"\bsha256:[0-9a-f]{64}\b")
_DIGEST = re.compile(rf"@?(?:(sha256|sha512):)?([0-9a-f]{{{MIN_DIGEST_DIGITS},128}})")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search text and its possible meanings.

    A hit must contain each of ``words`` in its path or description. ``tag`` is searched for in the
    names of tags of images whose path contains all ``image_words``. ``digest`` is the beginning of
    a digest, with its algorithm. ``reference`` is set if the text is a complete reference to a
    project, an image, a tag, or a digest. ``other_registry_message`` is set if the reference begins
    with the host of a different registry; it is shown only if there are no hits.
    """

    text: str
    words: tuple[str, ...] = ()
    tag: str = ""
    image_words: tuple[str, ...] = ()
    digest: str = ""
    reference: Reference | None = None
    other_registry_message: str = ""

    @property
    def name(self) -> str:
        """The words of the query as one name, which is compared with paths to sort the hits."""
        return " ".join(self.words)


def parse(text: str, host: str) -> SearchQuery:
    """Parse the text of the search field.

    Args:
        text: text that a user typed or pasted, such as words, a reference, or a docker command.
        host: the registry's host name in docker commands.

    Raises:
        Invalid: the text is too long.
    """
    text = " ".join(text.replace("\x00", " ").split())
    if len(text) > MAX_PASTED_LENGTH:
        raise _too_long_error()
    if not text:
        return SearchQuery("")
    if match := _DIGEST.fullmatch(text.lower()):
        digest = f"{match[1] or 'sha256'}:{match[2]}"
        tag = "" if match[1] else text
        return SearchQuery(text, words=() if match[1] else (text.lower(),), tag=tag, digest=digest)
    try:
        reference = parse_pasted(text, host)
    except AnotherRegistry as error:
        return _query_from_foreign_reference(text, error)
    except NameInvalid:
        match = _COMPLETE_DIGEST.search(text.lower())
        return SearchQuery(text, digest=match[0]) if match else _query_from_text(text)
    name = str(reference.name)
    is_complete = "/" in name or reference.tag is not None or reference.digest is not None
    if not is_complete:
        return _query_from_text(text) if " " in text else SearchQuery(text, words=(name,), tag=name)
    return _query_from_reference(text, reference)


def _query_from_foreign_reference(text: str, error: AnotherRegistry) -> SearchQuery:
    """Return the query for a reference that begins with the host of a different registry.

    The reference can still match, because a mirror has namespaces that are named after hosts.
    """
    if error.reference is None:
        return SearchQuery(text, other_registry_message=str(error))
    return replace(
        _query_from_reference(text, error.reference), other_registry_message=str(error), digest=""
    )


def _query_from_reference(text: str, reference: Reference) -> SearchQuery:
    name = str(reference.name)
    return SearchQuery(
        text,
        words=() if reference.digest else (name,),
        tag=str(reference.tag or ""),
        image_words=(name,),
        digest=str(reference.digest or ""),
        reference=reference if "/" in name else None,
    )


def _query_from_text(text: str) -> SearchQuery:
    """Return the query for text that is not a reference: ``App``, ``shop api``, or ``:1.0``."""
    if len(text) > MAX_LENGTH:
        raise _too_long_error()
    image, colon, tag = text.partition(":")
    if colon and " " not in tag:
        words = _split_words(image)
        return SearchQuery(text, words=words, tag=tag, image_words=words)
    return SearchQuery(text, words=_split_words(text), tag="" if " " in text else text)


def _too_long_error() -> Invalid:
    message = f"Search for {MAX_LENGTH} characters at most."
    return Invalid(message, {"q": message})


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(text.lower().split()[:MAX_WORDS])
