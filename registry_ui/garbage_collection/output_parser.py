"""Parser for the output of the registry's garbage collector (Distribution 2.8 and 3.x)."""

from __future__ import annotations

import re
from collections import deque

from ..names import DIGEST

#: Maximum number of blob digests that are kept in order to look up their sizes. Further blobs are
#: only counted.
MAX_DIGESTS = 200_000
#: Maximum number of lines that are kept from the beginning and from the end of the output. Lines
#: about marked manifests and blobs do not count.
FIRST, LAST = 150, 150
LONGEST_LINE = 400
NOTE = (
    "[registry_ui] One of these blobs is a probe that registry_ui pushed before this collection, "
    "and is not counted above: {}"
)
_MARKED = re.compile(r"(\S+): marking (?:manifest|blob) ")
_MANIFEST = re.compile(r"\S+: marking manifest ")
#: Message with which both versions stop at a manifest that they can't read. They delete nothing.
_UNREADABLE = re.compile(rf"failed to retrieve manifest for digest ({DIGEST})\b")
_BLOB = re.compile(rf"blob eligible for deletion: ({DIGEST})\s*")
_SUM = re.compile(r"\d+ blobs marked, (\d+) blobs and \d+ manifests eligible for deletion\s*")


class CollectorOutput:
    """Parses the collector's output line by line, and keeps a summary and the shortened text.

    Attributes:
        marked: number of manifests that the collector has found in use so far.
        digests: digests of unreferenced blobs, at most MAX_DIGESTS.
        unreadable: the manifest that the collector could not read and stopped at, as
            ``repository@digest``; "" if there is none.
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
        """Parse one line of the collector's standard output or standard error."""
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
        """Exclude the blob of our cache probe from the count, and add a note to the text."""
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
        """Number of unreferenced blobs: the total that was printed, else the number listed."""
        return len(self.digests) if self._said is None else self._said

    @property
    def text(self) -> str:
        """The output without lines about marked content.

        Long output is reduced to its beginning and its end.
        """
        left_out = [f"… {self._left_out} lines are left out …"] if self._left_out else []
        note = ["", self._note] if self._note else []
        return "\n".join([*self._first, *left_out, *self._last, *note])
