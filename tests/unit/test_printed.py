"""Documents as people read them: bounded, and nothing in them looks like something else."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest

from registry_ui.tag_detail.pretty_json import CUT, MAX_PRINTED, pretty_print

TURNED = "\u202egnp.exe"


def test_a_document_has_a_line_for_each_member():
    assert pretty_print(b'{"a":[1,"x"],"b":{}}') == json.dumps({"a": [1, "x"], "b": {}}, indent=2)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"a": TURNED}, ensure_ascii=False),
        f'{{"a": "{TURNED}", "a": 1}}',
        f'{{"a": "{TURNED}", "b": 1.50}}',
        f"no JSON {TURNED}",
        f'"{TURNED}{"x" * MAX_PRINTED}"',
    ],
    ids=["JSON", "a key twice", "a fraction", "no JSON", "too long"],
)
def test_what_can_not_be_seen_is_written_as_its_number_in_whatever_it_stands(body):
    text = pretty_print(body.encode())
    assert "\u202e" not in text
    assert "\\u202egnp.exe" in text


def test_what_is_stored_otherwise_is_shown_as_it_is_with_its_lines():
    body = b'{\r\n\t"a": 1,\r\n\t"a": 2\r\n}'
    assert pretty_print(body) == body.decode()


@pytest.mark.parametrize("depth", [1, 100, 900])
def test_a_small_document_that_is_huge_when_indented_is_cut_before_it_is(depth):
    body = b"[" * depth + b"1," * 100_000 + b"1" + b"]" * depth
    tracemalloc.start()
    began = time.thread_time()
    text = pretty_print(body)
    took, (_, most) = time.thread_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert text.endswith(CUT)
    assert len(text) == MAX_PRINTED + len(CUT)
    assert took < 5
    assert most < 50 * 2**20
