"""The trash was called bin: names that are stored, or that programs read, stay as they were."""

from __future__ import annotations

from registry_ui.formatting import DASH, outcome_label
from registry_ui.jobs.tasks import TASKS, purge_trash
from registry_ui.models import RemovalStep, TrashedTag
from registry_ui.names import TRASH_PREFIX
from registry_ui.removals.plan import RemovalPlan
from registry_ui.removals.steps import IN_TRASH


def test_the_table_its_columns_and_the_tags_of_the_registry_keep_their_names():
    assert TrashedTag.__tablename__ == "binned_tags"
    assert "bin_tag" in TrashedTag.__table__.columns
    assert TRASH_PREFIX == "_bin."


def test_the_keys_of_stored_plans_and_of_the_api_stay():
    preview = RemovalPlan("bin", "acme/app", [], trash_days=7).preview()
    assert preview["bin_days"] == 7
    assert "trash_days" not in preview
    assert RemovalPlan.of_preview(preview).trash_days == 7
    step = RemovalStep("tag", "acme/app", tag="v1", trash_tag="_bin.00")
    assert step.to_json() == {"do": "tag", "repository": "acme/app", "tag": "v1", "bin": "_bin.00"}


def test_an_outcome_is_stored_by_its_old_name_and_shown_by_its_new_one():
    assert IN_TRASH == "in the bin"
    assert outcome_label(IN_TRASH) == "in the trash"
    assert outcome_label("cancelled") == "canceled"
    assert (outcome_label("deleted"), outcome_label(None)) == ("deleted", DASH)


def test_a_job_that_was_queued_by_the_old_name_is_still_carried_out():
    assert TASKS["purge_bin"] is purge_trash
