"""A registry that is silent for a while: work waits for it and goes on."""

from __future__ import annotations

import pytest
from urllib3.exceptions import ReadTimeoutError

from registry_ui.jobs.tasks import resume
from registry_ui.models import Removal
from registry_ui.operations import lease, operation_lease
from tests.support.removal_api import URL, client
from tests.support.removals import IMAGE, adopt, names

TAGS = 40


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """Pauses of hundredths of a second, of which the report tells."""
    monkeypatch.setattr(lease, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(lease, "MAX_PAUSE", 0.02)
    monkeypatch.setattr(operation_lease, "MIN_REPORTED_WAIT", 0.001)


@pytest.fixture
def site(served, graph):
    served.users("owner")
    served.project("acme/app")
    served.member("acme", "owner", "owner")
    graph.tag(IMAGE, **{f"pr-{n}": graph.image(f"{n}") for n in range(TAGS)}, v1=graph.image("v1"))
    adopt(served)
    return served


class Stall:
    """A transport that times out, from the given deletion on, for a number of calls."""

    def __init__(self, site, monkeypatch, *, after, calls):
        pool = site.app.extensions["registry"]._transport._pool
        self.deletions, self.after, self.left = 0, after, calls
        self._request = pool.request
        monkeypatch.setattr(pool, "request", self)

    def __call__(self, method, url, **more):
        self.deletions += method == "DELETE"
        if self.deletions > self.after and self.left > 0:
            self.left -= 1
            raise ReadTimeoutError(None, url, "Read timed out.")
        return self._request(method, url, **more)


def start(site):
    """Confirm the removal of many tags; the worker of the tests works at once."""
    ask = client(site)
    number = ask(URL, {"image": "web", "pattern": "pr-*"}).json["id"]
    one = f"{URL}/{number}"
    assert ask(f"{one}/confirm").status_code == 202
    return ask(one, method="GET").json


def test_a_stall_in_the_middle_is_waited_out_and_reported(site, graph, monkeypatch):
    stall = Stall(site, monkeypatch, after=TAGS // 2, calls=7)
    found = start(site)
    assert stall.left == 0
    assert (found["state"], found["problem"]) == ("done", "")
    assert found["outcomes"] == {"deleted": TAGS + 1}
    assert names(site) == ["v1"]
    waited = [line["detail"] for line in found["report"] if "for the registry" in line["detail"]]
    assert len(waited) == 1
    assert waited[0].startswith("waited ")


def test_a_longer_silence_leaves_the_work_for_later_and_loses_nothing(site, graph, monkeypatch):
    monkeypatch.setattr(lease, "REGISTRY_TIMEOUT", 0.1)
    stall = Stall(site, monkeypatch, after=TAGS // 2, calls=10**6)
    found = start(site)
    assert found["state"] == "waiting"
    assert found["problem"].startswith("The registry does not answer (")
    assert 0 < found["done"] < TAGS
    page = site.browser("owner").get(f"/acme/app/-/removals/{found['id']}").text
    assert "This goes on when it does." in page
    assert site.row(Removal).lease_until is None
    stall.left = 0
    with site.app.app_context():
        resume()
    assert site.row(Removal).state == "done"
    assert site.row(Removal).problem == ""
    assert names(site) == ["v1"]


def test_waiting_work_can_be_cancelled(site, graph, monkeypatch):
    monkeypatch.setattr(lease, "REGISTRY_TIMEOUT", 0.1)
    Stall(site, monkeypatch, after=1, calls=10**6)
    found = start(site)
    assert client(site)(f"{URL}/{found['id']}/cancel").json["state"] == "cancelled"
    assert site.row(Removal).state == "cancelled"
    assert len(graph.tags[IMAGE]) == TAGS + 1
