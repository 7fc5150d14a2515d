"""The words, icons and tones that pages show for stored states."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from registry_ui.formatting import DASH, MINUS, clock_time
from registry_ui.models import Copy, GarbageCollection, Removal
from registry_ui.web.charts import compared_bars, day_chart, usage_bar
from registry_ui.web.comparison_labels import (
    change_badge,
    layer_change,
    side_name,
    side_problem,
    side_suffix,
    versions,
    without_unchanged,
)
from registry_ui.web.form_options import next_order, protection_options, token_options
from registry_ui.web.labels import (
    Badge,
    actor_name,
    answer_badge,
    decision_badge,
    error_title,
    kind_badge,
    visibility_badge,
)
from registry_ui.web.operation_labels import (
    Notice,
    collection_notice,
    collection_outcome,
    copy_notice,
    move_phases,
    moved_repository_badge,
    outcome_badge,
    removal_heading,
    removal_notice,
    removal_noun,
    removal_title,
)

HEX = "0123456789abcdef" * 4
AT_NOON = datetime(2026, 11, 30, 12, 5, tzinfo=UTC)


def part(**values: Any) -> Any:
    return SimpleNamespace(**values)


def test_an_unknown_kind_is_shown_as_it_is() -> None:
    assert kind_badge("index") == Badge("multi-platform", icon="layers")
    assert kind_badge("riddle") == Badge("riddle", icon="circle-question-mark")
    assert change_badge("moved") == Badge("moved")
    assert moved_repository_badge("copied") == Badge("copied")


def test_a_visibility_has_its_icon() -> None:
    assert visibility_badge("public") == Badge("Public", icon="globe")


@pytest.mark.parametrize(
    ("status", "title"),
    [(404, "Not found"), (418, "That did not work"), (500, "Something broke")],
)
def test_every_status_has_a_title(status: int, title: str) -> None:
    assert error_title(status) == title


def test_the_system_acts_under_names_that_people_understand() -> None:
    assert actor_name("-/worker") == "the worker"
    assert actor_name("deploy+ci") == "deploy+ci"
    assert actor_name("") == "somebody"


def test_an_answer_is_good_or_bad() -> None:
    assert answer_badge(True, "works", "fails") == Badge("works", "good", "circle-check")
    assert answer_badge(None, "works", "fails") == Badge("fails", "bad", "circle-alert")


@pytest.mark.parametrize(
    ("outcome", "badge"),
    [
        ("granted", Badge("granted", "good", "circle-check")),
        ("refused", Badge("refused", "bad", "circle-alert")),
        ("partly granted", Badge("only pull, push", "warn", "circle-alert")),
        ("new", Badge("new", "warn", "circle-alert")),
    ],
)
def test_a_decision_says_what_was_granted_of_it(outcome: str, badge: Badge) -> None:
    assert decision_badge(outcome, "pull,push") == badge


def test_the_time_of_day_is_that_of_utc() -> None:
    assert clock_time(AT_NOON) == "12:05 UTC"


# --- removals and copies ---


def test_outcomes_have_words_and_tones() -> None:
    assert outcome_badge("in the bin") == Badge("in the trash", "good")
    assert outcome_badge("kept") == Badge("kept", "warn")
    assert outcome_badge(None) == Badge(DASH)


def test_a_dry_run_is_not_called_a_removal() -> None:
    dry_run = Removal(kind="retention", state="planned")
    assert removal_title(dry_run) == "Dry run of retention in"
    assert removal_heading(dry_run) == "Dry run by a retention policy of"
    removal = Removal(kind="image", state="running")
    assert (removal_title(removal), removal_heading(removal)) == ("Deleting", "Removal of image")
    assert removal_heading(Removal(kind="bin", state="done")) == "Removal from the trash:"


def test_a_selection_of_tags_is_previewed_as_a_tag() -> None:
    assert (removal_noun("tags"), removal_noun("project")) == ("tag", "project")


@pytest.mark.parametrize(
    ("values", "waits_until", "tone", "start"),
    [
        ({"kind": "retention", "state": "planned"}, "", "info", "This is a dry run"),
        ({"state": "planned"}, "", "info", "Nothing has happened yet."),
        ({"state": "done"}, "", "good", "Done: "),
        ({"state": "failed"}, "", "bad", "Not everything was deleted."),
        ({"state": "cancelled"}, "", "warn", "Canceled."),
        ({"state": "running", "cancel_wanted": True}, "x", "info", "Stopping"),
        ({"state": "waiting"}, "all is over", "info", "Waits until all is over, and"),
        ({"state": "running", "problem": "No answer."}, "", "warn", "No answer. You can"),
        ({"state": "waiting"}, "", "info", "Waiting for the worker."),
        ({"state": "running"}, "", "info", "Running."),
    ],
)
def test_a_removal_says_how_it_is(
    values: dict[str, Any], waits_until: str, tone: str, start: str
) -> None:
    removal = Removal(**{"kind": "tags", **values})
    notice = removal_notice(removal, waits_until, has_report=True)
    assert notice.tone == tone
    assert notice.text.startswith(start)


def test_a_plan_that_was_canceled_before_its_first_step_was_discarded() -> None:
    removal = Removal(kind="tags", state="cancelled")
    notice = removal_notice(removal, "", has_report=False)
    assert notice == Notice("info", "The plan was discarded. Nothing was deleted.")


@pytest.mark.parametrize(
    ("state", "outcomes", "tone", "start"),
    [
        ("planned", {}, "info", "Nothing has happened yet."),
        ("done", {"copied": 1}, "good", "Done: the registry confirmed"),
        ("done", {"copied": 1, "kept": 1}, "warn", "Done, but some tags"),
        ("failed", {}, "bad", "Not everything was copied"),
        ("cancelled", {}, "warn", "Canceled."),
        ("running", {}, "info", "Running."),
    ],
)
def test_a_copy_says_how_it_is(state: str, outcomes: dict[str, int], tone: str, start: str) -> None:
    notice = copy_notice(Copy(kind="tags", state=state), "", outcomes)
    assert notice.tone == tone
    assert notice.text.startswith(start)


# --- moves ---


def test_the_steps_of_a_move_are_done_current_or_to_come() -> None:
    phases = move_phases("settling")
    assert [phase.icon for phase in phases] == ["check"] * 2 + ["chevron-right"] + ["clock"] * 3
    assert [phase.is_current for phase in phases].index(True) == 2
    assert sum(phase.is_done for phase in phases) == 2


@pytest.mark.parametrize("state", ["planned", "waiting", "done", "failed"])
def test_a_move_that_is_at_no_step_shows_none(state: str) -> None:
    assert move_phases(state) == []


# --- garbage collections ---


def collection(**values: Any) -> GarbageCollection:
    defaults = {"dry_run": False, "state": "done", "unmeasured": 0, "problem": ""}
    return GarbageCollection(**{**defaults, **values})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, ""),
        ({"blobs": 0}, "Nothing freed"),
        ({"blobs": 2, "freed": 1000}, "2 blobs, 1.0 kB freed"),
        ({"blobs": 2, "freed": 1000, "dry_run": True}, "2 blobs, 1.0 kB would be freed"),
        ({"blobs": 2, "freed": 1000, "state": "failed"}, "2 blobs, 1.0 kB found"),
        (
            {"blobs": 3, "freed": 1000, "unmeasured": 1},
            "3 blobs, at least 1.0 kB freed. The size of 1 is unknown",
        ),
        ({"blobs": 1, "unmeasured": 1}, "1 blob freed. Its size is unknown"),
        ({"blobs": 2, "unmeasured": 2}, "2 blobs freed. Their size is unknown"),
    ],
)
def test_a_collection_says_what_it_freed(values: dict[str, Any], text: str) -> None:
    assert collection_outcome(collection(**values)) == text


@pytest.mark.parametrize(
    ("values", "notice"),
    [
        ({"blobs": 0}, Notice("good", "Nothing freed.")),
        (
            {"state": "failed", "problem": "It broke."},
            Notice("bad", "It broke. Pushes and deletions work again."),
        ),
        (
            {"state": "failed", "problem": "It broke.", "dry_run": True},
            Notice("bad", "It broke."),
        ),
        (
            {"state": "cancelled", "collector_started_at": AT_NOON},
            Notice(
                "warn",
                "Canceled. Pushes and deletions work again. What was collected before is gone.",
            ),
        ),
        ({"state": "cancelled", "dry_run": True}, Notice("warn", "Canceled.")),
    ],
)
def test_an_ended_collection_says_how_it_ended(values: dict[str, Any], notice: Notice) -> None:
    assert collection_notice(collection(**values)) == notice


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "running", "cancel_wanted": True}, "is being stopped"),
        ({"state": "waiting"}, "Waiting for the worker"),
        ({"state": "draining", "quiet_at": AT_NOON}, "at about 12:05 UTC, and"),
        ({"state": "running"}, "The collector runs"),
    ],
)
def test_an_active_collection_says_how_far_it_is(values: dict[str, Any], words: str) -> None:
    notice = collection_notice(collection(**values))
    assert notice.tone == "info"
    assert words in notice.text


# --- comparisons and charts ---


def test_a_side_without_a_tag_is_named_by_its_digest() -> None:
    tagged = part(tag="v1", short=":v1", digest=f"sha256:{HEX}")
    assert (side_name(tagged), side_suffix(tagged)) == (":v1", ":v1")
    bare = part(tag="", short=f"@sha256:{HEX}", digest=f"sha256:{HEX}")
    assert (side_name(bare), side_suffix(bare)) == ("0123456789ab", "@0123456789ab")


def test_a_side_says_why_it_can_be_outdated() -> None:
    problem = side_problem(part(is_unreadable=False, error="the registry answered 503"))
    assert problem.startswith("This tag could not be read just now: the registry answered 503. ")
    assert side_problem(part(is_unreadable=True, error="x")).startswith("This tag can't be read: ")


@pytest.mark.parametrize(
    ("sides", "text"), [("both", DASH), ("to", "+1.0 kB"), ("from", f"{MINUS}1.0 kB")]
)
def test_only_layers_of_one_side_change_the_size(sides: str, text: str) -> None:
    assert layer_change(part(sides=sides, size=1000)) == text


def test_differences_leave_out_what_is_equal() -> None:
    changes = [part(kind="added"), part(kind="unchanged")]
    assert without_unchanged(changes) == changes[:1]
    assert (versions(["1", "2"]), versions([])) == ("1, 2", None)


def test_both_sides_of_a_comparison_have_the_same_scale() -> None:
    small = [part(size=100, sides="both")]
    large = [*small, part(size=300, sides="to")]
    first, second = compared_bars(part(before=small, after=large))
    assert (first.title, first.layers, first.size, first.width) == ("From", 1, 100, 4000)
    assert (second.title, second.layers, second.size, second.width) == ("To", 2, 400, 1000)
    assert [s.css_class for s in second.segments] == ["in-both", "in-to"]
    assert second.segments[1].title == "300 B, only here"


def test_a_side_without_a_size_has_no_bar() -> None:
    (bar,) = compared_bars(part(before=[], after=[part(size=1, sides="to")]))
    assert bar.title == "To"


def test_a_row_and_its_segment_have_one_color() -> None:
    bar = usage_bar(part(pieces=[("a", 5, "0"), ("g", 3, "7"), ("the smaller ones", 2, "rest")]))
    assert [s.css_class for s in bar] == ["tone0", "tone1", "rest"]
    assert bar[0].title == "a: 5 B"


def test_days_without_a_number_have_no_column() -> None:
    days = [part(day=AT_NOON.date(), pushes=0), part(day=AT_NOON.date(), pushes=2)]
    (column,) = day_chart(days, "pushes")
    assert (column.x, column.y, column.height) == (11, 0, 40)


# --- options ---


def test_only_owners_can_reserve_tags_for_owners() -> None:
    assert "owner" not in {option.value for option in protection_options(40)}
    assert "owner" in {option.value for option in protection_options(50)}


def test_the_account_comes_before_its_tokens() -> None:
    options = token_options([part(id=7, name="ci")])
    assert [(option.value, option.label) for option in options] == [
        ("", "no token, as the user"),
        ("7", "access token “ci”"),
    ]


def test_another_click_on_a_header_turns_the_order_around() -> None:
    assert next_order("asc", "desc", is_sorted=False) == "desc"
    assert next_order("asc", "desc", is_sorted=True) == "desc"
    assert next_order("desc", "desc", is_sorted=True) == "asc"
