"""Versions in the order that people expect."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.tags.version_sort import version_key

ORDERS = [
    ["1.9", "1.10", "1.11", "2.0"],
    ["v1", "v2", "v10"],
    ["1", "1.0", "1.0.0", "1.0.1"],
    ["2.0-dev", "2.0-alpha", "2.0-alpha2", "2.0-beta", "2.0-rc1", "2.0-rc2", "2.0-rc10", "2.0"],
    ["3.19", "3.19-alpine", "3.20"],
    ["latest", "main", "stable", "1.0"],
    ["build-9", "build-10", "build-100"],
    ["2025-12-31", "2026-01-01", "2026-01-10"],
    ["1.0", "v1.1", "1.2", "V1.3"],
    ["20260101", "20260102"],
    ["pr-2-abc", "pr-10-abc"],
    ["0", "00", "1"],
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[0])
def test_tags_are_ordered_as_people_expect(order):
    for _ in range(5):
        shuffled = random.sample(order, len(order))
        assert sorted(shuffled, key=version_key) == order


tags = st.text("abcvV019._-RrcC", min_size=1, max_size=12) | st.sampled_from(
    list(itertools.chain(*ORDERS))
)


@given(st.lists(tags, max_size=8, unique=True))
def test_any_tags_have_one_order_whatever_order_they_come_in(names):
    expected = sorted(names, key=version_key)
    backwards = names[::-1]
    assert sorted(backwards, key=version_key) == expected
    assert sorted(expected, key=version_key) == expected


@given(tags, tags)
def test_two_tags_are_never_equal_in_the_order(one, other):
    assert (version_key(one) == version_key(other)) is (one == other)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_are_ordered_as_numbers(one, other):
    assert (version_key(f"v{one}") < version_key(f"v{other}")) is (
        (one, f"v{one}") < (other, f"v{other}")
    )


def test_a_tag_of_the_greatest_length_is_no_trouble():
    assert version_key("9" * 128) > version_key("9" * 127)
