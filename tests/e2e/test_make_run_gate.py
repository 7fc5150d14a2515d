"""`make run-gate`: nginx and the gate in front of the registry, from a checkout."""

from __future__ import annotations

import socket

import pytest
import requests

from tests.support.make_run import STOP_DEADLINE, checked_out
from tests.support.processes import Server, free_port, required, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    required("nginx")
    with checked_out(tmp_path_factory.mktemp("clone")) as place:
        yield place


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


def test_an_nginx_that_dies_ends_all_and_is_not_in_the_way_of_the_next(place, settings):
    place.run(**settings).end_by_killing("gate", "nginx")
    for port in (*place.ports, int(settings["REGISTRY_BACKEND_PORT"])):
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("localhost", port)):
            pass
    # Only nginx starts again: the socket that it left could be in its way, and nothing else.
    assert (place.var / "gate" / "inner.sock").is_socket()
    script = str(place.var / "gate" / "run")
    again = Server(["sh", script], place.var / "log" / "gate.log", cwd=place.checkout)
    try:
        again.wait_for_port(place.ports[1])
        # It is asked to end as the launcher asks it.
        again.process.terminate()
        assert again.process.wait(STOP_DEADLINE) == 0
    finally:
        again.stop()


def test_without_the_setting_the_registry_is_where_it_was(place):
    run = place.run()
    assert run.shows("admin/hello/app", place.password)
    run.push("admin/hello/plain", "1.0", place.password)
    assert run.pids("nginx") == []


def test_a_worker_that_dies_ends_all(place):
    place.run().end_by_killing("worker", "registry_ui.worker")
