"""Limits for token decisions about requests without valid credentials.

A token decision is a recorded answer of the token endpoint. Anyone can invent user names and
repositories, and a record for each request would fill the disk and push out other records. So
only the first such requests are recorded individually. After that, all requests from one network
about one namespace or project within an hour are aggregated into one record (a “crowd”) with a
count and some examples. All limits are per process.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from ..networks import network_of

#: Categories of decision records. Each has its own limit, so that none can push out another.
#: ACCOUNT: the credentials were recognized. VISITOR: anonymous, for a path in a namespace or
#: project. UNOWNED: anonymous, for any other path, and sign-ins with wrong credentials.
ACCOUNT, VISITOR, UNOWNED = "account", "visitor", "unowned"

#: Maximum number of individual records per hour: per network and namespace or project,
#: per network, and in total.
MAX_OF_PLACE, MAX_OF_NETWORK, MAX_OF_ALL = 20, 200, 5000
#: Maximum number of crowds per hour. Requests above the limit are counted under OTHER_NETWORKS.
MAX_CROWDS = 500
OTHER_NETWORKS = "other networks"
#: Maximum number of example names in the record of a crowd, and maximum length of each.
MAX_EXAMPLES, MAX_EXAMPLE_LENGTH = 3, 60
HOUR = timedelta(hours=1)


class DecisionRecord(NamedTuple):
    """One token decision; its fields are columns of the table ``token_decisions``."""

    username: str
    credential: str
    address: str = ""
    client: str = ""
    repository: str = ""
    place: str = ""
    requested: str = ""
    granted: str = ""
    rule: str = ""
    category: str = ACCOUNT


@dataclass(slots=True)
class Crowd:
    """An aggregate record of the requests from one network about one namespace or project.

    Attributes:
        decision: the fields that all requests share.
        at: time of the first request.
        examples: some of the requested repositories or user names.
        row_id: id of the record's row in the database; None if it was not written yet.
        changed: whether the record was changed since it was last written.
    """

    decision: DecisionRecord
    at: datetime
    count: int = 0
    examples: list[str] = field(default_factory=list)
    row_id: int | None = None
    changed: bool = False

    def add(self, decision: DecisionRecord) -> None:
        """Count a request; keep its repository or user name as an example if there is room."""
        self.count += 1
        self.changed = True
        name = (decision.repository or decision.username)[:MAX_EXAMPLE_LENGTH]
        if name and len(self.examples) < MAX_EXAMPLES and name not in self.examples:
            self.examples.append(name)

    @property
    def rule(self) -> str:
        """The text for the record's ``rule`` column; empty if the requests were granted."""
        if self.decision.granted:
            return ""
        names = ", such as for " + ", ".join(self.examples) if self.examples else ""
        return f"further requests in this hour{names}"


class VisitorLimits:
    """Decides which requests without valid credentials are recorded individually.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._hour_ends_at: datetime | None = None
        self._places: Counter[tuple[str, str]] = Counter()
        self._networks: Counter[str] = Counter()
        #: Sum of ``_networks``, because adding it up for each request would take too long.
        self._records = 0
        self._crowds: dict[tuple[str, ...], Crowd] = {}

    def admit(self, decision: DecisionRecord, now: datetime) -> bool:
        """Return True if a decision is to be recorded individually.

        Otherwise, count it in the crowd for its network and its namespace or project, and
        return False.
        """
        if self._hour_ends_at is None or now >= self._hour_ends_at:
            self._begin_hour(now)
        network = network_of(decision.address)
        if (
            self._places[network, decision.place] < MAX_OF_PLACE
            and self._networks[network] < MAX_OF_NETWORK
            and self._records < MAX_OF_ALL
        ):
            self._places[network, decision.place] += 1
            self._networks[network] += 1
            self._records += 1
            return True
        self._get_crowd(decision, network, now).add(decision)
        return False

    def changed(self) -> list[Crowd]:
        """Return the crowds that changed since the last call."""
        crowds = [crowd for crowd in self._crowds.values() if crowd.changed]
        for crowd in crowds:
            crowd.changed = False
        return crowds

    def _begin_hour(self, now: datetime) -> None:
        self._hour_ends_at = now + HOUR
        self._places.clear()
        self._networks.clear()
        self._records = 0
        # This loses changes that were not written yet, at most those of one second.
        self._crowds.clear()

    def _get_crowd(self, decision: DecisionRecord, network: str, now: datetime) -> Crowd:
        """Return the crowd that a decision belongs to; create it if there is none."""
        place, category = decision.place, decision.category
        if (key := (network, place, decision.credential, decision.granted)) not in self._crowds:
            if len(self._crowds) >= MAX_CROWDS:
                network, place, category = OTHER_NETWORKS, "", UNOWNED
                key = (network, place, decision.credential, decision.granted)
            common = DecisionRecord(
                username="",
                credential=decision.credential,
                address=network,
                repository=place,
                place=place,
                granted=decision.granted,
                category=category,
            )
            return self._crowds.setdefault(key, Crowd(common, now))
        return self._crowds[key]
