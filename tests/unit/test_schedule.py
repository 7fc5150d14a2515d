"""The order and the groups of test files."""

from __future__ import annotations

from config import ROOT
from tests.support.schedule import GROUPS, NUMBERS


def test_every_listed_file_exists_and_is_in_one_group():
    missing = [key for key in NUMBERS if not ROOT.joinpath("tests", *key).is_file()]
    assert missing == []
    assert len(NUMBERS) == sum(map(len, GROUPS))
