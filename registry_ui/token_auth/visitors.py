"""Limits how many records requests without credentials leave behind.

What a stranger asks for is recorded like everything else, a few times. After that, the requests
of a network about a place are one record for the hour, with a count and some examples: names
are free to make up, and a log that grows with them fills the disk and pushes out everything
else. All limits are those of one process.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from ..networks import network_of

#: Whose decisions are kept apart from the others, so that none of them pushes out another kind.
#: An account, or a token; a visitor at a namespace or project; one who asks for what nobody owns.
ACCOUNT, VISITOR, UNOWNED = "account", "visitor", "unowned"

#: Maximum number of records in an hour: of a network about one place, of a network, of all.
OF_PLACE, OF_NETWORK, OF_ALL = 20, 200, 5000
#: Maximum number of crowds in an hour; what is beyond it is one more.
CROWDS = 500
OTHER_NETWORKS = "other networks"
#: Maximum number of names that are told of a crowd, and characters of each.
EXAMPLES, EXAMPLE_LENGTH = 3, 60
HOUR = timedelta(hours=1)


class DecisionRecord(NamedTuple):
    """One decision, in the columns of its row."""

    username: str
    credential: str
    address: str
    client: str
    repository: str
    place: str
    asked: str
    granted: str
    rule: str
    category: str = ACCOUNT


@dataclass(slots=True)
class Crowd:
    """Requests of a network about a place that are one record, and which row that is."""

    decision: DecisionRecord
    at: datetime
    count: int = 0
    examples: list[str] = field(default_factory=list)
    row_id: int | None = None
    changed: bool = False

    def add(self, decision: DecisionRecord) -> None:
        """Count a request."""
        self.count += 1
        self.changed = True
        name = (decision.repository or decision.username)[:EXAMPLE_LENGTH]
        if name and len(self.examples) < EXAMPLES and name not in self.examples:
            self.examples.append(name)

    @property
    def rule(self) -> str:
        """What the record says in place of a rule; nothing if the requests were granted."""
        if self.decision.granted:
            return ""
        names = ", such as for " + ", ".join(self.examples) if self.examples else ""
        return f"further requests in this hour{names}"


class VisitorLimits:
    """Says of each new decision whether it gets a record of its own; not thread-safe."""

    def __init__(self) -> None:
        self._until: datetime | None = None
        self._places: Counter[tuple[str, str]] = Counter()
        self._networks: Counter[str] = Counter()
        #: The sum of the networks' records: adding them up for each request would take too long.
        self._records = 0
        self._crowds: dict[tuple[str, ...], Crowd] = {}

    def admit(self, decision: DecisionRecord, now: datetime) -> bool:
        """Return True for a record of its own; otherwise the decision was added to its crowd."""
        if self._until is None or now >= self._until:
            self._begin_hour(now)
        network = network_of(decision.address)
        if (
            self._places[network, decision.place] < OF_PLACE
            and self._networks[network] < OF_NETWORK
            and self._records < OF_ALL
        ):
            self._places[network, decision.place] += 1
            self._networks[network] += 1
            self._records += 1
            return True
        self._crowd_of(decision, network, now).add(decision)
        return False

    def changed(self) -> list[Crowd]:
        """Return the crowds that grew since the last time."""
        found = [crowd for crowd in self._crowds.values() if crowd.changed]
        for crowd in found:
            crowd.changed = False
        return found

    def _begin_hour(self, now: datetime) -> None:
        self._until = now + HOUR
        self._places.clear()
        self._networks.clear()
        self._records = 0
        # Those that were not written yet are lost, at most those of a second.
        self._crowds.clear()

    def _crowd_of(self, decision: DecisionRecord, network: str, now: datetime) -> Crowd:
        place, category = decision.place, decision.category
        if (key := (network, place, decision.credential, decision.granted)) not in self._crowds:
            if len(self._crowds) >= CROWDS:
                network, place, category = OTHER_NETWORKS, "", UNOWNED
                key = (network, place, decision.credential, decision.granted)
            whole = DecisionRecord(
                "", decision.credential, network, "", place, place, "", "", "", category
            )
            crowd = Crowd(whole._replace(granted=decision.granted), now)
            return self._crowds.setdefault(key, crowd)
        return self._crowds[key]
