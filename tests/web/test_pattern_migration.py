"""Stored patterns keep their literal meaning when the pattern language becomes one."""

from __future__ import annotations

import importlib.util
import json
import re
from hashlib import sha256

import flask_migrate
import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from config import ROOT
from registry_ui.db.session import db
from registry_ui.models import AuditEntry, ProtectionRule, Removal, RetentionPolicy
from registry_ui.patterns.glob import IMAGES, TAGS, Glob, PatternInvalid, RegularExpression
from registry_ui.retention.rules import Rules
from tests.web.support import Site

pytestmark = pytest.mark.both_databases

MIGRATIONS = str(ROOT / "migrations")
BEFORE = "0021"
_FILE = next((ROOT / "migrations" / "versions").glob("*_globs.py"))
_SPEC = importlib.util.spec_from_file_location("globs_migration", _FILE)
migration = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(migration)


# --- the languages as they were, to compare with ---


def flat(glob: str):
    """What a policy and a removal understood: no sign stopped at a slash."""
    signs = {"*": ".*", "?": "."}
    tokens = (token[0] for token in re.findall(r"\*+|[^*]", glob))
    expression = re2.compile("(?s)" + "".join(signs.get(t) or re.escape(t) for t in tokens))
    return lambda name: expression.fullmatch(name) is not None


def of_rules(glob: str):
    """What a protection rule understood: stars and double stars."""
    signs = {"*": "[^/]*", "**": ".*"}
    tokens = ("**" if len(t) > 1 else t for t in re.findall(r"\*+|[^*]", glob))
    expression = re2.compile("(?s)" + "".join(signs.get(t) or re.escape(t) for t in tokens))
    return lambda name: expression.fullmatch(name) is not None


def settings(**values) -> dict:
    return {
        "images": "*",
        "keep_matching": "",
        "pattern_kind": "glob",
        "keep_last": 3,
        "keep_pulled_days": None,
        "older_than_days": None,
        **values,
    }


def understood(values, column):
    """How the application matches what the migration made."""
    kind = RegularExpression if values["pattern_kind"] == "regex" else Glob
    return kind(values[column]).matches


NAME = st.from_regex(r"[ab]([._/-]?[ab]){0,4}", fullmatch=True)
IMAGE_TEXT = st.text("ab*?._/-", min_size=1, max_size=8)


@given(IMAGE_TEXT, st.one_of(NAME, st.just("")))
def test_a_pattern_of_images_means_after_the_migration_what_it_meant_before(text, name):
    new = settings() | {"images": text} | migration.in_one_language(settings(images=text))
    assert understood(new, "images")(name) is flat(text)(name)


@given(st.text("aB*?._-", min_size=1, max_size=8), st.text("aB._-", min_size=1, max_size=8))
def test_a_pattern_of_tags_means_after_the_migration_what_it_meant_before(text, tag):
    old = settings(images="a?b?c?d?e?f", keep_matching=text)
    for values in (old, settings(keep_matching=text)):
        new = values | migration.in_one_language(values)
        assert understood(new, "keep_matching")(tag) is flat(text)(tag)


@given(st.text("ab*._/-", max_size=8), NAME)
def test_a_rule_needs_no_migration(text, name):
    assert Glob(text).matches(name) is of_rules(text)(name)


@given(st.text("aB*?._/-,{ ", min_size=1, max_size=6))
def test_exactly_the_policies_are_suspended_whose_pattern_could_match_nothing(text):
    """A comma was a character as any other, so the whole text is one pattern."""
    assert bool(migration.suspension(settings(images=text))) is not can_match(
        text.replace("*", "**"), IMAGES
    )
    assert bool(migration.suspension(settings(keep_matching=text))) is not can_match(text, TAGS)


def can_match(text, grammar):
    try:
        grammar.check(text)
    except PatternInvalid:
        return False
    return True


@given(IMAGE_TEXT, st.text("ab*?._-", max_size=6), NAME)
def test_the_way_back_keeps_the_meaning_as_well(images, keep, name):
    values = settings(images=images, keep_matching=keep)
    old = values | migration.in_old_language(values)
    match = {"glob": flat, "regex": lambda text: RegularExpression(text).matches}
    assert match[old["pattern_kind"]](old["images"])(name) is Glob(images).matches(name)
    if keep:
        tag = name.replace("/", "")
        assert match[old["pattern_kind"]](old["keep_matching"])(tag) is Glob(keep).matches(tag)


# --- a whole database ---


def fingerprint(values: dict) -> str:
    return "sha256:" + sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


#: What was stored, and after the upgrade: the patterns, and whether it is on.
STORED = [
    (settings(images="team/*"), "team/**", "", True),
    (settings(images="web", keep_matching="v?.*"), "web", "v?.*", True),
    (settings(images="a?b"), "a?b, a/b", "", True),
    (settings(images=".*", keep_matching="v1,2", pattern_kind="regex"), ".*", "v1,2", True),
    (settings(keep_matching="v*,latest"), "**", "v*,latest", False),
    (settings(keep_matching="{v*,keep}"), "**", "{v*,keep}", False),
    (settings(images="Team/*"), "Team/**", "", False),
    (settings(images="web,api"), "web,api", "", False),
    (settings(keep_matching="KEEP"), "**", "KEEP", True),
]


@pytest.fixture
def old(site: Site) -> Site:
    """A database of the version before, with policies that are on, and their removals."""
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision=BEFORE)
        connection = db.session.connection()
        run = connection.exec_driver_sql
        for number, (values, *_) in enumerate(STORED, 1):
            run(
                "INSERT INTO places (id, kind, path, description, created_at, visibility) VALUES"
                f" ({number}, 'project', 'acme/p{number}', '', '2026-01-01 00:00:00', 'private')"
            )
            texts = f"'{values['images']}', '{values['keep_matching']}', '{values['pattern_kind']}'"
            run(
                "INSERT INTO retention_policies (id, place_id, images, keep_matching, pattern_kind,"
                " keep_last, is_enabled, seen, created_by, created_at, last_problem) VALUES"
                f" ({number}, {number}, {texts}, 3, true, '{fingerprint(values)}', 'x',"
                " '2026-01-01 00:00:00', '')"
            )
            for state in ("planned", "waiting", "running", "done"):
                run(
                    "INSERT INTO removals (kind, target, project_id, project_path, requested_by,"
                    " state, plan, preview, total, done, cancel_wanted, created_at) VALUES"
                    f" ('retention', 'acme/p{number}', {number}, 'acme/p{number}', 'x', '{state}',"
                    " '[]', '{}', 0, 0, false, '2026-01-01 00:00:00')"
                )
        for image, tag in (("team/*", "v*"), ("", "latest")):
            run(
                "INSERT INTO protection_rules (place_id, image_pattern, tag_pattern, kind,"
                f" created_by, created_at) VALUES (1, '{image}', '{tag}', 'immutable', 'x',"
                " '2026-01-01 00:00:00')"
            )
        db.session.commit()
        db.session.remove()
    return site


def upgrade(site):
    with site.app.app_context():
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()


def downgrade(site):
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision=BEFORE)
        db.session.remove()


def test_policies_keep_their_meaning_or_are_suspended_with_a_reason(old):
    upgrade(old)
    rows = {row.id: row for row in old.rows(RetentionPolicy)}
    for number, (_, images, keep, is_on) in enumerate(STORED, 1):
        row = rows[number]
        assert (row.images, row.keep_matching, row.is_enabled) == (images, keep, is_on), number
        assert bool(row.dry_run_fingerprint) is is_on
        assert bool(row.suspension_reason) is not is_on
    assert "a comma did not separate patterns" in rows[5].suspension_reason
    assert "“{” can't be part of a tag" in rows[6].suspension_reason
    assert "“T” can't be part of an image name" in rows[7].suspension_reason
    audit = [entry for entry in old.rows(AuditEntry) if entry.action == "retention.suspend"]
    assert [entry.subject for entry in audit] == [f"acme/p{n}" for n in (5, 6, 7, 8)]


def test_a_dry_run_of_settings_that_mean_the_same_still_counts(old):
    upgrade(old)
    for row in old.rows(RetentionPolicy):
        assert row.is_enabled is (row.dry_run_fingerprint == Rules.of(row).fingerprint)


def test_what_a_suspended_policy_was_about_to_remove_is_cancelled(old):
    upgrade(old)
    for row in old.rows(Removal):
        suspended = row.project_id in {5, 6, 7, 8}
        if not suspended or row.state == "done":
            assert row.state != "cancelled"
            assert not row.cancel_wanted
        elif row.state == "running":
            assert row.cancel_wanted
        else:
            assert row.state == "cancelled"
            assert row.finished_at


def test_rules_stay_as_they_are(old):
    upgrade(old)
    rules = [(rule.image_pattern, rule.tag_pattern) for rule in old.rows(ProtectionRule)]
    assert sorted(rules) == [("", "latest"), ("team/*", "v*")]


def test_the_way_back_restores_what_was_there(old):
    upgrade(old)
    downgrade(old)
    with old.app.app_context():
        query = "SELECT images, keep_matching, pattern_kind FROM retention_policies ORDER BY id"
        found = db.session.connection().exec_driver_sql(query).all()
        db.session.remove()
    expected = [(v["images"], v["keep_matching"], v["pattern_kind"]) for v, *_ in STORED]
    expected[2] = ("a[^/]b|a/b", "", "regex")
    assert [tuple(row) for row in found] == expected
    upgrade(old)


def test_the_way_back_protects_no_less(site):
    site.project("acme/app")
    site.rule("acme/app", "v?, latest", images="web, team/**")
    downgrade(site)
    with site.app.app_context():
        query = "SELECT image_pattern, tag_pattern FROM protection_rules"
        found = sorted(map(tuple, db.session.connection().exec_driver_sql(query).all()))
        db.session.remove()
    assert found == [
        ("team/**", "latest"),
        ("team/**", "v*"),
        ("web", "latest"),
        ("web", "v*"),
    ]
    upgrade(site)
