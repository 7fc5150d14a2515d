"""Plans and steps as the database has them: their JSON keys are those of earlier versions."""

from __future__ import annotations

from dataclasses import replace

from registry_ui.copies.plan import CopyPlan, PlannedCopy
from registry_ui.models import CopyStep
from registry_ui.removals.plan import PlannedTag, RemovalPlan

STEP = {
    "source": "acme/app",
    "source_tag": "v1",
    "digest": "sha256:aa",
    "repository": "acme/copy",
    "tag": "v1",
    "there": "sha256:bb",
}
TAG = {
    "source_tag": "v1",
    "tag": "v2",
    "digest": "sha256:aa",
    "state": "overwrites",
    "there": "sha256:bb",
    "why": "",
}


def test_a_stored_step_of_a_copy_is_read_and_written_again():
    step = CopyStep.from_json(STEP)
    assert step.target_digest == "sha256:bb"
    assert step.to_json() == STEP


def test_a_stored_plan_of_a_copy_is_read_and_written_again():
    plan = CopyPlan("tag", "acme/app", "acme/copy", counts={"overwrites": 1}, notes=["A note."])
    plan.tags = [PlannedCopy("v1", "v2", "sha256:aa", "overwrites", "sha256:bb")]
    preview = plan.preview()
    assert preview["tags"] == [TAG]
    assert CopyPlan.of_preview(preview) == plan


def test_a_stored_plan_of_a_removal_is_read_and_written_again():
    plan = RemovalPlan("tags", "acme/app", [], [PlannedTag("acme/app:v1")], trash_days=7)
    plan.refused, plan.despite = [("acme/app:v2", "a rule")], [("acme/app:v3", "a rule")]
    preview = plan.preview()
    assert preview["bin_days"] == 7
    assert preview["refused"] == [["acme/app:v2", "a rule"]]
    assert RemovalPlan.of_preview(preview).preview() == preview


def test_plans_of_earlier_versions_lack_what_came_later():
    copy, removal = CopyPlan("tag", "a/b", "a/c"), RemovalPlan("tag", "a/b:v1", [])
    old_copy = {key: value for key, value in copy.preview().items() if key != "unread"}
    later = {"bin_days", "unread", "despite_rules", "despite", "overridable", "policy"}
    old_removal = {key: value for key, value in removal.preview().items() if key not in later}
    assert CopyPlan.of_preview(old_copy) == copy
    assert RemovalPlan.of_preview(old_removal) == replace(removal)
