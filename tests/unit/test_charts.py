"""What pictures of figures are made of."""

from __future__ import annotations

from datetime import date

import pytest

from registry_ui.formatting import day_name, is_username
from registry_ui.web.charts import bar_chart


def test_columns_are_as_high_as_their_share_of_the_greatest():
    found = bar_chart([0, 5, 10], height=40, step=10)
    assert [(c.x, c.y, c.height) for c in found] == [(0, 40, 0), (10, 20, 20), (20, 0, 40)]


def test_what_is_not_nothing_is_seen_however_little_it_is():
    assert [c.height for c in bar_chart([1, 10**9, 0])] == [1, 40, 0]


@pytest.mark.parametrize("values", [[], [0], [0, 0]])
def test_nothing_has_no_columns_to_see(values):
    assert [c.height for c in bar_chart(values)] == [0.0] * len(values)


def test_days_are_called_as_people_call_them():
    today = date(2026, 11, 2)
    names = [day_name(date(2026, *when), today) for when in ((11, 2), (11, 1), (10, 31))]
    assert names == ["Today", "Yesterday", "31 October 2026"]


@pytest.mark.parametrize("name", ["-/console", "deploy+ci-1a2b", "", None, "<b>", "a b", "A"])
def test_what_no_person_can_be_called_is_no_user_name(name):
    assert not is_username(name)
    assert is_username("alice")
