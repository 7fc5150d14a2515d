"""What the protection rules of a project say of one tag. Pure.

The gate asks this before a push or a deletion reaches the registry, and whatever plans
removals asks it before it plans.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..names import subject_of
from ..patterns.glob import Glob
from .roles import RULE_OF, Permission, Role

#: No role is let through by a rule of an immutable tag.
_HIGHEST = max(Role) + 1


class RuleKind(StrEnum):
    """What a rule does with the tags that it covers."""

    IMMUTABLE = "immutable"
    PROTECTED = "protected"


@dataclass(frozen=True, slots=True)
class TagRule:
    """A rule of one project.

    Attributes:
        project: the path of the project.
        images: covers names below the project; ``""`` is its root image.
        tags: covers tags.
        minimum: of a protected tag, the least role that may push or delete it.
        open_to_signatures: of immutable tags, whether the tags that hold their signatures can
            be overwritten: that is how clients add a second one.
    """

    project: str
    images: Glob
    tags: Glob
    kind: RuleKind
    minimum: Role | None = None
    open_to_signatures: bool = False

    def covers(self, image_name: str, tag: str) -> bool:
        """Whether the rule holds for this tag of this image."""
        return self.tags.matches(tag) and self.images.matches(image_name)

    @property
    def mark(self) -> str:
        """A word or two beside the name of a tag that it covers."""
        return "immutable" if self.minimum is None else f"{self.minimum.label}s only"

    @property
    def label(self) -> str:
        """What tells its kind from the others in a list of rules."""
        if self.minimum is not None:
            return "Owners only" if self.minimum >= Role.OWNER else "Maintainers and Owners"
        return "Immutable, except signatures" if self.open_to_signatures else "Immutable"

    @property
    def promise(self) -> str:
        """What it means for a tag that is there, as a sentence."""
        if self.minimum is None:
            return "Is never overwritten or deleted."
        return f"Is pushed and deleted by {self._people} alone."

    @property
    def sentence(self) -> str:
        """What it does, as a sentence."""
        which = "All tags" if self.tags.text == "*" else f"Tags {self.tags}"
        if self.images.text == "**":
            where = "all images"
        elif self.images.text:
            where = f"images {self.images}"
        else:
            where = "the root image"
        if self.minimum is None:
            also = "; signatures can be added" if self.open_to_signatures else ""
            return f"{which} of {where} may be created, and are never overwritten or deleted{also}."
        return f"{which} of {where} are pushed and deleted by {self._people} alone."

    @property
    def _people(self) -> str:
        is_owners = self.minimum is not None and self.minimum >= Role.OWNER
        return "Owners" if is_owners else "Maintainers and Owners"


def covering(rules: Iterable[TagRule], image_name: str, tag: str) -> list[TagRule]:
    """Return the rules that hold for a tag."""
    return [rule for rule in rules if rule.covers(image_name, tag)]


def strictest(rules: Iterable[TagRule], image_name: str, tag: str) -> TagRule | None:
    """Return the rule that keeps a tag most: an immutable one, or that for the highest role."""
    found = covering(rules, image_name, tag)
    return max(found, key=lambda rule: rule.minimum or _HIGHEST, default=None)


def is_immutable(rules: Iterable[TagRule], image_name: str, tag: str, action: Permission) -> bool:
    """Whether a rule lets this tag be created, and refuses an action on it from then on."""
    return any(
        rule.kind is RuleKind.IMMUTABLE and not _is_addition(rule, tag, action)
        for rule in covering(rules, image_name, tag)
    )


def releases(
    rules: Iterable[TagRule], image_name: str, tags: Iterable[str], action: Permission
) -> list[str]:
    """Return the immutable tags whose signatures an action may not change.

    Signatures are deleted with no rule's leave, and overwritten where a rule is open to them.
    """
    keeping = [
        rule
        for rule in rules
        if rule.kind is RuleKind.IMMUTABLE
        and not (action is Permission.PUSH and rule.open_to_signatures)
        and rule.images.matches(image_name)
    ]
    return [tag for tag in tags if any(rule.tags.matches(tag) for rule in keeping)]


def _is_addition(rule: TagRule, tag: str, action: Permission) -> bool:
    """Whether an action adds a signature, and the rule lets signatures be added."""
    return rule.open_to_signatures and action is Permission.PUSH and subject_of(tag) is not None


def refusal(
    rules: Iterable[TagRule],
    image_name: str,
    tag: str,
    role: Role | None,
    action: Permission,
    exists: bool,  # noqa: FBT001 - the last of the facts, not a switch
) -> str | None:
    """Return why the rules refuse an action on a tag, in words; None where they do not.

    The words are made of names, tags and roles alone: they fit into JSON as they are.

    Args:
        rules: those of the project that owns the image.
        image_name: what follows the project's path; ``""`` for its root image.
        role: of whoever acts, in the project; an administrator's is Owner.
        action: Right.PUSH or Right.DELETE.
        exists: whether the registry has the tag now.
    """
    for rule in covering(rules, image_name, tag):
        image = f"{rule.project}/{image_name}" if image_name else rule.project
        if rule.kind is RuleKind.IMMUTABLE:
            if exists and not _is_addition(rule, tag, action):
                return f"tag {tag} is immutable in {image}"
        elif rule.minimum is not None and (role is None or role < rule.minimum):
            return f"tag {tag} is protected in {image}: {action} needs {rule.minimum.label}"
    return None


def set_aside(rules: Iterable[TagRule], image_name: str, tag: str, role: Role | None) -> str | None:
    """Return the immutable rules that a role may set aside to remove a damaged tag, as sentences.

    A tag that can't be read holds nothing that could be protected. None if no immutable rule
    covers the tag, if another rule refuses its removal, or if the role may not configure the
    project.
    """
    rules = list(rules)
    if role is None or role < RULE_OF[Permission.CONFIGURE].minimum:
        return None
    if refusal(rules, image_name, tag, role, Permission.DELETE, exists=False):
        return None
    immutable = [r for r in covering(rules, image_name, tag) if r.kind is RuleKind.IMMUTABLE]
    return " ".join(rule.sentence for rule in immutable) or None
