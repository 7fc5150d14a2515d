"""Passwords and access tokens."""

from __future__ import annotations

import subprocess
import sys

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_ui.accounts.hashing import HashingProcess, verify_password
from registry_ui.accounts.secrets import (
    ACCESS_PREFIX,
    hash_for_unknown_users,
    hash_password,
    mask_secrets,
    new_password,
    new_secret,
    prefix_of,
    secret_hash,
)


def test_a_password_is_kept_as_argon2id_with_a_salt_of_its_own(hashed):
    assert hashed.startswith("$argon2id$")
    assert hash_password("correct horse") != hashed
    assert len(hashed) <= 255


def test_a_password_hash_is_expensive_outside_of_tests():
    # OWASP's recommendation for argon2id is at least 19 MiB with two passes, or 46 MiB with one.
    program = "from registry_ui.accounts.secrets import *\n"
    program += "print(hash_password('x'), hash_for_unknown_users())"
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    for password_hash in printed.split():
        parameters = argon2.extract_parameters(password_hash)
        assert parameters.memory_cost >= 46 * 1024
        assert parameters.time_cost >= 2


def test_to_compare_a_password_with_that_of_an_unknown_user_is_a_whole_computation():
    unknown = hash_for_unknown_users()
    assert argon2.extract_parameters(unknown) == argon2.extract_parameters(hash_password("x"))
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(unknown, "correct horse")


@pytest.mark.parametrize(
    ("password", "right"),
    [
        ("correct horse", True),
        ("Correct horse", False),
        ("correct horse ", False),
        ("correct horse\0", False),
        ("", False),
        ("x" * 100_000, False),
        ("пароль", False),
    ],
)
def test_only_the_password_itself_is_right(hashed, password, right):
    assert verify_password(hashed, password) is right


def test_for_an_unknown_user_nothing_is_right_and_the_work_is_the_same(monkeypatch):
    worked = []
    verify = HashingProcess.verify

    def noting(self, password_hash, password, **more):
        worked.append(argon2.extract_parameters(password_hash))
        return verify(self, password_hash, password, **more)

    monkeypatch.setattr(HashingProcess, "verify", noting)
    assert verify_password(None, "anything") is False
    assert verify_password(None, "") is False
    assert verify_password(hash_password("x"), "anything") is False
    assert len(worked) == 3
    assert worked[0] == worked[1] == worked[2]


@pytest.mark.parametrize("broken", ["", "plain", "$argon2id$broken", "$2b$12$abc", "\0"])
def test_a_hash_that_is_none_is_matched_by_nothing(broken):
    assert verify_password(broken, "plain") is False
    assert verify_password(broken, broken) is False


def test_a_made_up_password_can_be_typed_and_is_never_the_same():
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(text) >= 20 and text.isascii() and text.isalnum() for text in made)


def test_an_access_token_is_known_by_its_form():
    made = {new_secret(ACCESS_PREFIX) for _ in range(200)}
    assert len(made) == 200
    for token in made:
        assert prefix_of(token) == ACCESS_PREFIX
        assert token.startswith("rui_")
        assert len(token) == 50
        assert token[4:].isalnum()
        assert token.isascii()


@given(st.integers(0, 49), st.characters(codec="ascii"))
def test_a_token_with_another_letter_in_it_is_none(position, letter):
    token = new_secret(ACCESS_PREFIX)
    changed = token[:position] + letter + token[position + 1 :]
    assert (prefix_of(changed) == ACCESS_PREFIX) is (changed == token)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-1],
        lambda t: t + "x",
        lambda t: t[4:],
        lambda t: t.upper(),
        lambda t: t + "\n",
        lambda t: " " + t,
        lambda t: "rui_" + t,
        lambda t: t.replace("rui_", "glpat-"),
        lambda _t: "",
        lambda _t: "rui_",
        lambda _t: "rui_" + "0" * 46,
    ],
)
def test_what_only_resembles_a_token_is_none(change):
    assert prefix_of(change(new_secret(ACCESS_PREFIX))) is None


@settings(max_examples=300)
@given(st.text())
def test_any_text_can_be_asked_about(text):
    assert prefix_of(text) is None


def test_a_secret_is_found_by_its_sha256():
    assert secret_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert secret_hash("rui_x") != secret_hash("rui_y")


@pytest.mark.parametrize("prefix", ["rui_", "ruid_", "ruis_"])
def test_what_looks_like_a_secret_is_masked_in_texts(prefix):
    secret = new_secret(prefix)
    assert mask_secrets(f"<{secret}>") == f"<{prefix}***>"
    assert mask_secrets(secret.lower()[:-3]) == f"{prefix}***"
    for name in (
        "rui_team",
        "jane",
        "circuit_breaker0123456789",
        "rui_costa_de_oliveira_junior",
        "",
    ):
        assert mask_secrets(name) == name


@pytest.mark.parametrize("prefix", ["rui_", "ruid_", "ruis_"])
@pytest.mark.parametrize("change", [str, str.lower, str.upper], ids=["as it is", "lower", "upper"])
def test_a_secret_is_masked_wherever_it_is_glued_to(prefix, change):
    secret, other = change(new_secret(prefix)), change(new_secret("rui_"))
    body = secret.partition("_")[2]
    texts = [
        "x{}",
        "alice{}",
        "_{}",
        "9{}",
        "é{}",
        "{}x",
        "{}_x",
        "{}é",
        "a:{}:b",
        "{0}{0}",
        "rui_{}",
    ]
    for text in [*(text.format(secret) for text in texts), secret + other, f"x{other}_{secret}"]:
        masked = mask_secrets(text)
        assert "_***" in masked
        assert body[:8] not in masked, text
        assert other.partition("_")[2][:8] not in masked, text
