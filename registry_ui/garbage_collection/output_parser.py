"""Parser for the output of the registry's garbage collector (Distribution 2.8 and 3.x)."""

from __future__ import annotations

import re
from collections import deque

from ..names import DIGEST

#: Maximum number of blob digests that are kept in order to look up their sizes. Further blobs are
#: only counted.
MAX_DIGESTS = 200_000
#: Maximum number of lines that are kept from the beginning and from the end of the output. Lines
#: about manifests and blobs that are in use ("marking …") are never kept.
MAX_FIRST_LINES, MAX_LAST_LINES = 150, 150
MAX_LINE_LENGTH = 400
PROBE_NOTE = (
    "[registry_ui] One of these blobs is a probe that registry_ui pushed before this collection, "
    "and is not counted above: {}"
)
_MARKING = re.compile(r"(\S+): marking (?:manifest|blob) ")
_MANIFEST = re.compile(r"\S+: marking manifest ")
#: Message with which both versions stop, without deleting anything, at an unreadable manifest.
_UNREADABLE = re.compile(rf"failed to retrieve manifest for digest ({DIGEST})\b")
_BLOB = re.compile(rf"blob eligible for deletion: ({DIGEST})\s*")
_SUM = re.compile(r"\d+ blobs marked, (\d+) blobs and \d+ manifests eligible for deletion\s*")


class CollectorOutput:
    """Parses the collector's output line by line, and keeps a summary and the shortened text.

    Attributes:
        marked: number of manifests that the collector has found to be in use so far.
        digests: digests of unreferenced blobs, at most MAX_DIGESTS.
        unreadable: the manifest that the collector could not read and stopped at, as
            ``repository@digest``; "" if there is none.
    """

    def __init__(self) -> None:
        self.marked = 0
        self.digests: set[str] = set()
        self.unreadable = ""
        self._repository = ""
        self._total: int | None = None
        self._first_lines: list[str] = []
        self._last_lines: deque[str] = deque(maxlen=MAX_LAST_LINES)
        self._omitted = 0
        self._note = ""

    def read(self, line: str) -> None:
        """Parse one line of the collector's standard output or standard error."""
        if marking := _MARKING.match(line):
            self._repository = marking[1]
            self.marked += bool(_MANIFEST.match(line))
            return
        if unreadable := _UNREADABLE.search(line):
            self.unreadable = f"{self._repository}@{unreadable[1]}"
        if (blob := _BLOB.fullmatch(line)) and len(self.digests) < MAX_DIGESTS:
            self.digests.add(blob[1])
        if total := _SUM.fullmatch(line):
            self._total = int(total[1])
        if line.strip():
            self._keep_line(line.rstrip()[:MAX_LINE_LENGTH].replace("\x00", ""))

    def exclude_blob(self, digest: str) -> None:
        """Exclude the cache probe's blob, which registry_ui pushed, from the count; add a note."""
        if digest in self.digests:
            self.digests.discard(digest)
            self._note = PROBE_NOTE.format(digest)
            self._total = None if self._total is None else max(0, self._total - 1)

    def _keep_line(self, line: str) -> None:
        if len(self._first_lines) < MAX_FIRST_LINES:
            self._first_lines.append(line)
            return
        self._omitted += len(self._last_lines) == MAX_LAST_LINES
        self._last_lines.append(line)

    @property
    def blobs(self) -> int:
        """Number of unreferenced blobs, as printed by the collector, or else as listed by it."""
        return len(self.digests) if self._total is None else self._total

    @property
    def text(self) -> str:
        """The collector's output without the lines about content that is in use.

        Long output is reduced to its beginning and its end.
        """
        omission = [f"… {self._omitted} lines are left out …"] if self._omitted else []
        note = ["", self._note] if self._note else []
        return "\n".join([*self._first_lines, *omission, *self._last_lines, *note])
