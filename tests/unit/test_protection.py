"""What protection rules refuse, and in which words."""

from __future__ import annotations

import json

import pytest

from registry_ui.access.roles import Permission, Role
from registry_ui.access.tag_rules import RuleKind, TagChange, TagRule, refusal
from registry_ui.patterns.glob import Glob


def rule(tags: str, images: str = "**", minimum: Role | None = None) -> TagRule:
    kind = RuleKind.IMMUTABLE if minimum is None else RuleKind.PROTECTED
    return TagRule("group/project", Glob(images), Glob(tags), kind, minimum)


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("action", [Permission.PUSH, Permission.DELETE])
def test_an_immutable_tag_may_be_created_and_then_stays_whoever_comes(role, action):
    rules = [rule("v*")]
    assert refusal(rules, "", TagChange("v1.2", action, exists=False), role) is None
    words = refusal(rules, "", TagChange("v1.2", action, exists=True), role)
    assert words == "tag v1.2 is immutable in group/project"


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("action", [Permission.PUSH, Permission.DELETE])
@pytest.mark.parametrize("minimum", [Role.MAINTAINER, Role.OWNER])
def test_a_protected_tag_is_pushed_and_deleted_from_a_role_on(minimum, action, exists):
    rules = [rule("latest", minimum=minimum)]
    for role in (None, *Role):
        words = refusal(rules, "web", TagChange("latest", action, exists=exists), role)
        if role is not None and role >= minimum:
            assert words is None
        else:
            needs = f"{action} needs {minimum.label}"
            assert words == f"tag latest is protected in group/project/web: {needs}"


def test_a_rule_holds_for_the_images_and_tags_that_it_covers_and_no_others():
    rules = [rule("v*", images="web/*")]
    for image, tag, refused in (
        ("web/api", "v1", True),
        ("web/api", "latest", False),
        ("web", "v1", False),
        ("", "v1", False),
        ("web/api/deep", "v1", False),
    ):
        assert (
            refusal(rules, image, TagChange(tag, Permission.PUSH, exists=True), Role.OWNER)
            is not None
        ) is refused


def test_of_several_rules_each_one_holds():
    rules = [rule("*", minimum=Role.MAINTAINER), rule("v*")]
    assert "protected" in refusal(
        rules, "", TagChange("v1", Permission.PUSH, exists=False), Role.DEVELOPER
    )
    assert "immutable" in refusal(
        rules, "", TagChange("v1", Permission.PUSH, exists=True), Role.OWNER
    )
    assert refusal(rules, "", TagChange("v1", Permission.PUSH, exists=False), Role.OWNER) is None
    assert refusal([], "", TagChange("v1", Permission.PUSH, exists=True), None) is None


def test_the_words_fit_into_json_as_they_are():
    words = refusal(
        [rule("*")], "a/b__c--d", TagChange("A_1.2-x" * 18, Permission.DELETE, exists=True), None
    )
    assert json.loads(f'{{"message":"{words}"}}')["message"] == words
