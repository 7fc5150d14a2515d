"""What the registry's own garbage collector says, in the words of 2.8 and 3.x alike."""

from __future__ import annotations

import re
from collections import deque

from ..names import DIGEST

#: So many digests are kept to be measured; of more, only the number is known.
MAX_DIGESTS = 200_000
#: Of what it says, apart from what it marks: the first lines and the last.
FIRST, LAST = 150, 150
LONGEST_LINE = 400
NOTE = (
    "[registry_ui] One of these blobs is a probe that registry_ui pushed before this collection, "
    "and is not counted above: {}"
)
_MARKED = re.compile(r"(\S+): marking (?:manifest|blob) ")
_MANIFEST = re.compile(r"\S+: marking manifest ")
#: The message with which both end at a manifest that they can't read: they collect nothing then.
_UNREADABLE = re.compile(rf"failed to retrieve manifest for digest ({DIGEST})\b")
_BLOB = re.compile(rf"blob eligible for deletion: ({DIGEST})\s*")
_SUM = re.compile(r"\d+ blobs marked, (\d+) blobs and \d+ manifests eligible for deletion\s*")


class CollectorOutput:
    """Reads the collector's output line by line, and keeps what people and pages need.

    Attributes:
        marked: manifests in use, so far.
        digests: blobs that nothing needs, up to MAX_DIGESTS.
        unreadable: the manifest at which it ended because it can't read it, by repository and
            digest; "" if there is none.
    """

    def __init__(self) -> None:
        self.marked = 0
        self.digests: set[str] = set()
        self.unreadable = ""
        self._repository = ""
        self._said: int | None = None
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=LAST)
        self._left_out = 0
        self._note = ""

    def read(self, line: str) -> None:
        """Take one line of output or of errors."""
        if marking := _MARKED.match(line):
            self._repository = marking[1]
            self.marked += bool(_MANIFEST.match(line))
            return
        if unreadable := _UNREADABLE.search(line):
            self.unreadable = f"{self._repository}@{unreadable[1]}"
        if (blob := _BLOB.fullmatch(line)) and len(self.digests) < MAX_DIGESTS:
            self.digests.add(blob[1])
        if total := _SUM.fullmatch(line):
            self._said = int(total[1])
        if line.strip():
            self._keep(line.rstrip()[:LONGEST_LINE].replace("\x00", ""))

    def leave_out(self, digest: str) -> None:
        """Leave a probe of ours out of the count, and say so below what the collector said."""
        if digest in self.digests:
            self.digests.discard(digest)
            self._note = NOTE.format(digest)
            self._said = None if self._said is None else max(0, self._said - 1)

    def _keep(self, line: str) -> None:
        if len(self._first) < FIRST:
            self._first.append(line)
            return
        self._left_out += len(self._last) == LAST
        self._last.append(line)

    @property
    def blobs(self) -> int:
        """How many blobs nothing needs: as it says itself, or as it listed them."""
        return len(self.digests) if self._said is None else self._said

    @property
    def text(self) -> str:
        """What it said, but for what it marked; of much, the beginning and the end."""
        left_out = [f"… {self._left_out} lines are left out …"] if self._left_out else []
        note = ["", self._note] if self._note else []
        return "\n".join([*self._first, *left_out, *self._last, *note])
