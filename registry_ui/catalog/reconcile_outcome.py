"""Result of comparing the tags of one repository in the registry with those in the database."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..enumerations import name_some


@dataclass(slots=True)
class Outcome:
    """The result of comparing the tags of one repository in the registry with the database.

    ``owned`` is False if no project owns the repository; ``exists`` is False if the registry does
    not have it. ``tags`` is the number of tags that the registry lists; ``added``, ``changed``,
    and ``removed`` count the tags that differed in the database, and ``damaged`` the tags that
    can't be read. ``error`` is the registry error that stopped the comparison, or None.
    """

    repository: str
    owned: bool = True
    exists: bool = True
    tags: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    damaged: int = 0
    #: Tags for which the registry gave no answer, and listed names that are not valid tags.
    unanswered: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    error: str | None = None

    def __str__(self) -> str:
        """Return a one-line summary for logs and command output."""
        noun = "tag" if self.tags == 1 else "tags"
        summary = f"{self.tags} {noun}"
        if not self.owned:
            return f"{summary}, unassigned{self._remarks}"
        damage = f", {self.damaged} can't be read" if self.damaged else ""
        changes = f"{self.added} new, {self.changed} changed, {self.removed} gone"
        return f"{summary}; {changes}{damage}{self._remarks}"

    @property
    def _remarks(self) -> str:
        remarks = ""
        if self.unanswered:
            remarks += f"; the registry does not answer for {name_some(self.unanswered)} now"
        if self.unusable:
            names = name_some(map(repr, self.unusable))
            remarks += f"; listed names that can't be tags: {names}"
        return remarks
