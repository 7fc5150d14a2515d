"""Parser for image references that people paste from a terminal, a pipeline, or a page."""

from __future__ import annotations

import re

from .names import NameInvalid, Reference, TagName

#: Maximum length of pasted text. A command with a name, a tag, and a digest is shorter.
MAX_PASTED_LENGTH = 1024

_SCHEME = re.compile(r"(?:oci|docker|docker-daemon|https?)://", re.IGNORECASE)
#: Path of a manifest in the registry API, as Docker prints it when access is denied.
_MANIFEST = re.compile(r"v2/(.+)/manifests/([^/?]+)")
_VERSION = re.compile(r"--version[= ]\s*['\"]?([^\s'\"]+)")
#: Words that come before a reference in commands and files, except options.
_COMMAND_WORDS = re.compile(
    r"(?:docker|podman|nerdctl|ctr|crictl|buildah|skopeo|crane|regctl|oras|helm|images?|image:"
    r"|pull|push|run|copy|inspect|manifest|digest|from)",
    re.IGNORECASE,
)


class AnotherRegistry(NameInvalid):
    """A reference that begins with the host of a different registry.

    ``reference`` is the pasted text parsed with the host as the first segment of a path, because a
    mirror can have a namespace with the name of that host; None if such a path is not valid.
    """

    def __init__(self, host: str, own_host: str, reference: Reference | None) -> None:
        super().__init__(f"That is a reference of {host}; this is {own_host}.")
        self.reference = reference


def parse_pasted(text: str, own_host: str) -> Reference:
    """Parse a pasted image reference: bare, with a host, in a command, or in a message.

    >>> str(parse_pasted("docker pull registry.example/group/app:1.0", "registry.example"))
    'group/app:1.0'

    Args:
        own_host: host of this registry, which is removed from the reference.

    Raises:
        AnotherRegistry: the reference begins with the host of a different registry.
        NameInvalid: the text is not a reference.
    """
    if len(text) > MAX_PASTED_LENGTH:
        raise NameInvalid("That is too long for a reference.")
    word = _find_reference_of_host(text, own_host) or _find_reference_word(text)
    host, slash, rest = _SCHEME.sub("", word).partition("/")
    if slash and host.lower() == own_host.lower():
        return _parse(rest, text)
    word = host + slash + rest
    if slash and ("." in host or ":" in host or host == "localhost"):
        try:
            reference = _parse(word, text)
        except NameInvalid:
            reference = None
        raise AnotherRegistry(host, own_host, reference)
    return _parse(word, text)


def _parse(word: str, text: str) -> Reference:
    """Parse a reference without a host; a ``--version`` option in the text gives a chart's tag."""
    reference = Reference.parse(word)
    version = _VERSION.search(text)
    if version and reference.tag is None:
        # Helm writes the + of a version as _ in the tag (PROTOCOLS 4.4).
        tag = TagName(version[1].replace("+", "_"))
        reference = Reference(reference.name, tag, reference.digest)
    return reference


def _find_reference_of_host(text: str, host: str) -> str:
    """Return the first reference in the text that begins with the host, or "" if there is none."""
    match = re.search(
        rf"(?<![\w.:@-]){re.escape(host)}/([^\s\"'`,;()<>\[\]]+)", text, re.IGNORECASE
    )
    if match is None:
        return ""
    reference = match[1].rstrip(".:")
    if manifest := _MANIFEST.fullmatch(reference):
        name, suffix = manifest.groups()
        reference = f"{name}{'@' if ':' in suffix else ':'}{suffix}"
    return f"{host}/{reference}"


def _find_reference_word(text: str) -> str:
    """Return the first word that can be a reference, without quotes; "" if there is none.

    Options, prompts, and words such as ``docker`` and ``pull`` are skipped.
    """
    words = [word.strip("\"'`,;()") for word in text.split()]
    candidates = [word for word in words if word and word[0] not in "-$#" and word != ">"]
    if len(candidates) > 1:
        candidates = [
            word for word in candidates if not _COMMAND_WORDS.fullmatch(word)
        ] or candidates
    return candidates[0] if candidates else ""
