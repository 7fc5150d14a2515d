"""Evaluation of a project's protection rules for a tag. Pure.

The gate (this application's check of pushes and deletions, which the proxy in front of the registry
asks for) applies the rules to clients. Removals apply them when they are planned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ..names import subject_of
from ..patterns.glob import Glob
from .roles import RULE_OF, Permission, Role

#: Rank of immutable rules when rules are compared: above all roles, because they bind everyone.
_HIGHEST = max(Role) + 1


class RuleKind(StrEnum):
    """How a rule protects the tags that it covers.

    IMMUTABLE: existing tags can't be overwritten or deleted. PROTECTED: pushing and deleting
    need a minimum role.
    """

    IMMUTABLE = "immutable"
    PROTECTED = "protected"


@dataclass(frozen=True, slots=True)
class TagRule:
    """A protection rule of one project.

    Attributes:
        project: path of the project.
        images: pattern for image names below the project; ``""`` is its root image.
        tags: pattern for tags.
        minimum: minimum role to push or delete a protected tag; None if the rule is IMMUTABLE.
        open_to_signatures: for an IMMUTABLE rule, whether the tags that hold the signatures
            can be overwritten, which is how clients add one more signature.
    """

    project: str
    images: Glob
    tags: Glob
    kind: RuleKind
    minimum: Role | None = None
    open_to_signatures: bool = False

    def covers(self, image_name: str, tag: str) -> bool:
        """Return whether the rule applies to this tag of this image."""
        return self.tags.matches(tag) and self.images.matches(image_name)

    @property
    def mark(self) -> str:
        """A short label to show next to a tag that the rule covers."""
        return "immutable" if self.minimum is None else f"{self.minimum.label}s only"

    @property
    def label(self) -> str:
        """The effect of the rule in a few words, for a list of rules."""
        if self.minimum is not None:
            return "Owners only" if self.minimum >= Role.OWNER else "Maintainers and Owners"
        return "Immutable, except signatures" if self.open_to_signatures else "Immutable"

    @property
    def promise(self) -> str:
        """The effect of the rule on an existing tag, as a sentence without a subject."""
        if self.minimum is None:
            return "Is never overwritten or deleted."
        return f"Is pushed and deleted by {self._people} alone."

    @property
    def sentence(self) -> str:
        """The whole rule as a sentence, including the tags and images that it covers."""
        tags = "All tags" if self.tags.text == "*" else f"Tags {self.tags}"
        if self.images.text == "**":
            images = "all images"
        elif self.images.text:
            images = f"images {self.images}"
        else:
            images = "the root image"
        if self.minimum is None:
            effect = "may be created, and are never overwritten or deleted"
            exception = "; signatures can be added" if self.open_to_signatures else ""
            return f"{tags} of {images} {effect}{exception}."
        return f"{tags} of {images} are pushed and deleted by {self._people} alone."

    @property
    def _people(self) -> str:
        is_owners = self.minimum is not None and self.minimum >= Role.OWNER
        return "Owners" if is_owners else "Maintainers and Owners"


@dataclass(frozen=True, slots=True)
class TagChange:
    """A push or deletion of one tag.

    Attributes:
        action: Permission.PUSH or Permission.DELETE.
        exists: whether the tag exists in the registry now.
    """

    tag: str
    action: Permission
    exists: bool


def covering(rules: Iterable[TagRule], image_name: str, tag: str) -> list[TagRule]:
    """Return the rules that apply to a tag of an image."""
    return [rule for rule in rules if rule.covers(image_name, tag)]


def strictest(rules: Iterable[TagRule], image_name: str, tag: str) -> TagRule | None:
    """Return the strictest rule for a tag, or None if no rule covers the tag.

    An immutable rule is the strictest; otherwise, the rule with the highest minimum role is.
    """
    matching = covering(rules, image_name, tag)
    return max(matching, key=lambda rule: rule.minimum or _HIGHEST, default=None)


def is_immutable(rules: Iterable[TagRule], image_name: str, tag: str, action: Permission) -> bool:
    """Return whether an immutable rule refuses an action on a tag once the tag exists."""
    return any(
        rule.kind is RuleKind.IMMUTABLE and not _is_addition(rule, tag, action)
        for rule in covering(rules, image_name, tag)
    )


def releases(
    rules: Iterable[TagRule], image_name: str, tags: Iterable[str], action: Permission
) -> list[str]:
    """Return those of ``tags`` whose signatures must not be changed, because they are immutable.

    No immutable rule allows deleting the signatures of the tags that it covers. A rule with
    ``open_to_signatures`` allows overwriting them.
    """
    binding = [
        rule
        for rule in rules
        if rule.kind is RuleKind.IMMUTABLE
        and not (action is Permission.PUSH and rule.open_to_signatures)
        and rule.images.matches(image_name)
    ]
    return [tag for tag in tags if any(rule.tags.matches(tag) for rule in binding)]


def _is_addition(rule: TagRule, tag: str, action: Permission) -> bool:
    """Return whether an action pushes a signature, and the rule allows adding signatures."""
    return rule.open_to_signatures and action is Permission.PUSH and subject_of(tag) is not None


def refusal(
    rules: Iterable[TagRule], image_name: str, change: TagChange, role: Role | None
) -> str | None:
    """Return the reason why the rules refuse a change to a tag, or None if they allow it.

    The text contains only names, tags, and roles, so it needs no escaping in JSON.

    Args:
        rules: protection rules of the project that owns the image.
        image_name: rest of the repository's path below the project; ``""`` for its root image.
        role: role of the principal in the project; Owner for an administrator.
    """
    tag, action = change.tag, change.action
    for rule in covering(rules, image_name, tag):
        image = f"{rule.project}/{image_name}" if image_name else rule.project
        if rule.kind is RuleKind.IMMUTABLE:
            if change.exists and not _is_addition(rule, tag, action):
                return f"tag {tag} is immutable in {image}"
        elif rule.minimum is not None and (role is None or role < rule.minimum):
            return f"tag {tag} is protected in {image}: {action} needs {rule.minimum.label}"
    return None


def set_aside(rules: Iterable[TagRule], image_name: str, tag: str, role: Role | None) -> str | None:
    """Return the immutable rules that a role can override to remove a damaged tag, or None.

    The result is text, one sentence per rule. Overriding is possible because a tag that can't
    be read has no content to protect. Returns None if no immutable rule covers the tag, if
    another rule refuses its removal, or if the role does not allow configuring the project.
    """
    rules = list(rules)
    if role is None or role < RULE_OF[Permission.CONFIGURE].minimum:
        return None
    removal = TagChange(tag, Permission.DELETE, exists=False)
    if refusal(rules, image_name, removal, role):
        return None
    immutable = [r for r in covering(rules, image_name, tag) if r.kind is RuleKind.IMMUTABLE]
    return " ".join(rule.sentence for rule in immutable) or None
