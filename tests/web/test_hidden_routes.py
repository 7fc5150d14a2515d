"""What is hidden answers like what is absent, to the byte and to the statement."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from tests.support.route_rights import (
    PROJECT,
    form,
    rows,
)
from tests.web.support import digest


@pytest.mark.parametrize("who", [None, "stranger"])
@pytest.mark.parametrize(
    "address",
    [
        "/{}",
        "/{}/-/activity",
        "/{}/-/tags/v1",
        "/{}/-/images/web/api/-/tags/v1",
        "/-/compare?from={}:v1",
        "/-/compare?from={}:v1&to={}/web/api:v1",
        "/-/search?q={}:v1",
    ],
)
def test_what_is_hidden_costs_as_much_as_what_is_absent(world, address, who):
    browser = world.browser(who)

    def cost(path):
        with world.statements() as statements:
            browser.get(address.replace("{}", path))
        return len(statements)

    for below in ("", "/private"):
        assert cost(f"veiled{below}") == cost(f"absent{below}"), below


@pytest.mark.parametrize("gone", [False, True], ids=["of the project", "of one that is gone"])
def test_every_route_of_what_is_hidden_answers_and_costs_as_that_of_what_is_absent(
    world, tokens, policies, protection_rules, gone
):
    """By the address of the project, and by numbers that it has, for those who can see neither."""
    path, owner = "veiled/private", None if gone else "veiled/private"
    numbers = {
        "removal": world.removal(owner, path=path),
        "copy": world.copying(path, owner, path=path),
        "move": world.move(path),
        "token": tokens[path],
        "rule": protection_rules[path],
        "policy": policies[path],
    }
    wrong = []
    for who in (None, "stranger"):
        browser = world.browser(who)
        for method, rest, _ in rows(PROJECT):
            found = []
            for path in ("veiled/private", "absent/private"):
                address = f"/{path}{rest.format(**numbers)}"
                with world.statements() as statements:
                    answer = browser.get(address) if method == "GET" else browser.post(address)
                found.append((len(statements), answer.status_code, len(answer.data)))
            if found[0] != found[1]:
                wrong.append(f"{who}: {method} {rest}: hidden {found[0]}, absent {found[1]}")
    assert not wrong, "\n".join(wrong)


def told(answer: TestResponse, path: str) -> tuple[object, ...]:
    """Everything that an answer says, but for the address that was asked for."""
    text = str(sorted(answer.headers.to_wsgi_list())) + answer.text
    text = re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", text)
    text = re.sub(r"'(Content-Length|Set-Cookie)', '[^']*'", r"'\1'", text)
    return answer.status_code, text.replace(path, "PATH").replace(quote(path, safe=""), "PATH")


@pytest.mark.parametrize("who", ["anonymous", "stranger", "guest"])
def test_a_page_that_may_not_be_seen_is_byte_for_byte_one_that_is_not_there(
    world, tokens, protection_rules, who
):
    values = {"token": tokens["veiled/private"], "rule": protection_rules["veiled/private"]}
    number = world.removal("veiled/private")
    values["copy"] = world.copying("veiled/private", "veiled/private")
    values["move"] = world.move("veiled/private")
    for method, rest, _ in rows(PROJECT):
        answers = []
        for path in ("veiled/private", "absent/nothing"):
            browser = world.browser(None if who == "anonymous" else who)
            url = f"/{path}{rest.format(removal=number, policy=1, **values)}"
            data = {**form(path, rest, who), "digest": digest("a")}
            answer = browser.get(url) if method == "GET" else browser.post(url, data)
            answers.append(told(answer, path))
        assert answers[0] == answers[1], f"{method} {rest}"
        assert answers[0][0] in {302, 404}
