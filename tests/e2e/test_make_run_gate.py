"""`make run-gate`: nginx and the gate in front of the registry, from a checkout."""

from __future__ import annotations

import os
import signal
import socket

import pytest
import requests

from config import ROOT
from tests.support.make_run import Place, copy_checkout
from tests.support.processes import free_port, required, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    required("nginx")
    checkout = copy_checkout(tmp_path_factory.mktemp("clone"))
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    place = Place(checkout)
    yield place
    for run in reversed(place.runs):
        run.stop()


@pytest.fixture(scope="module")
def settings():
    return {"GATE": "yes", "REGISTRY_BACKEND_PORT": str(free_port())}


def test_pushes_go_through_the_gate_and_are_on_the_page(place, settings):
    run = place.run(**settings)
    run.push("admin/hello/app", "1.0", place.password)
    until(lambda: run.shows("admin/hello/app", place.password))
    url = f"http://localhost:{run.registry_port}/v2/admin/hello/../hello/app/manifests/1.0"
    request = requests.Request("PUT", url, headers={"Authorization": "Bearer x"}).prepare()
    request.url = url  # as it stands
    with requests.Session() as session:
        answer = session.send(request, timeout=60)
    assert answer.status_code == 403
    words = "the gate takes plain addresses of manifests only"
    assert answer.json()["errors"] == [{"code": "DENIED", "message": words}]


def test_it_prints_the_address_for_clients_not_the_one_behind(place, settings):
    run = place.run(**settings)
    assert f"docker login localhost:{run.registry_port} -u admin\n" in run.output
    assert settings["REGISTRY_BACKEND_PORT"] not in run.output


def test_nobody_else_can_read_what_it_wrote(place, settings):
    place.run(**settings)
    paths = [place.var / "gate", *(place.var / "gate").rglob("*")]
    # Everyone could write to a socket of nginx, but nobody else gets into the directory.
    files = [path for path in paths if not path.is_socket()]
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_an_nginx_that_dies_ends_all_and_nothing_is_left(place, settings):
    run = place.run(**settings)
    os.kill(run.pids("nginx")[0], signal.SIGKILL)
    assert run.wait() != 0
    assert "gate was ended by SIGKILL" in run.output
    again = place.run(**settings)
    again.push("admin/hello/again", "1.0", place.password)
    again.stop()
    for port in (*place.ports, int(settings["REGISTRY_BACKEND_PORT"])):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("localhost", port)):
            pass


def test_without_the_setting_the_registry_is_where_it_was(place):
    run = place.run()
    run.push("admin/hello/plain", "1.0", place.password)
    assert run.pids("nginx") == []
    run.stop()
