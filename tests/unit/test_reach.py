"""What goes with some tags, on random graphs: no kept tag ever loses anything."""

from __future__ import annotations

import random

import pytest

from registry_ui.manifests.reachability import closure, reach


def graph_of(seed):
    """Random tags, indexes of indexes, shared children, cycles, and pointers to nothing."""
    chance = random.Random(f"{seed}")
    digests = [f"d{n}" for n in range(chance.randint(1, 12))]
    pointers = [*digests, "missing"]
    children = {
        digest: chance.choices(pointers, k=chance.randint(0, 4))
        for digest in digests
        if chance.random() < 0.6
    }
    # What is named is at least what is held: a client may read more than we do.
    named = {
        d: [*c, *chance.choices(pointers, k=chance.randint(0, 2))] for d, c in children.items()
    }
    tags = {f"t{n}": chance.choice(digests) for n in range(chance.randint(1, 8))}
    removed = [tag for tag in tags if chance.random() < 0.5]
    return tags, removed, children, named


@pytest.mark.parametrize("seed", range(50))
def test_no_kept_tag_loses_its_manifest_or_anything_below_it(seed):
    tags, removed, children, named = graph_of(seed)
    doomed = set(reach(tags, removed, children, named).to_delete)
    for tag in tags.keys() - set(removed):
        assert doomed.isdisjoint(closure([tags[tag]], named))


@pytest.mark.parametrize("seed", range(50))
def test_whatever_removed_tags_lead_to_goes_or_is_shared_and_nothing_else(seed):
    tags, removed, children, named = graph_of(seed)
    outcome = reach(tags, removed, children, named)
    led_to = closure([tags[tag] for tag in removed], children)
    assert sorted((*outcome.to_delete, *outcome.shared)) == sorted(led_to)
    safe = closure([d for tag, d in tags.items() if tag not in removed], named)
    assert set(outcome.shared) == set(led_to) & set(safe)


def test_an_index_comes_before_its_children():
    children = {"index": ["inner", "a"], "inner": ["b"]}
    doomed = reach({"v1": "index"}, ["v1"], children, children).to_delete
    assert doomed == ("index", "inner", "a", "b")


def test_what_an_index_may_be_read_to_hold_is_kept():
    """Its JSON names a key twice: we read one child, a client another."""
    tags = {"old": "child", "new": "index"}
    assert reach(tags, ["old"], {"index": []}, {"index": ["child"]}).to_delete == ()
