"""A taken port is said before anything starts, with the setting to change."""

from __future__ import annotations

import socket

import pytest

from registry_ui.launch import LaunchError
from registry_ui.launch.ports import require_free_ports
from tests.support.processes import free_port

FAMILIES = {"127.0.0.1": socket.AF_INET, "0.0.0.0": socket.AF_INET, "::1": socket.AF_INET6}


@pytest.fixture(name="free_port")
def a_free_port():
    return free_port()


@pytest.mark.parametrize("address", FAMILIES)
def test_a_taken_port_is_named_with_its_setting(address):
    with socket.socket(FAMILIES[address]) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError) as refused:
            require_free_ports({"REGISTRY_UI_PORT": port})
    assert f"port {port} is taken" in str(refused.value)
    assert f"REGISTRY_UI_PORT={port + 1} make run" in str(refused.value)


def test_free_ports_are_fine_and_stay_free(free_port):
    require_free_ports({"REGISTRY_UI_PORT": free_port})
    require_free_ports({"REGISTRY_UI_PORT": free_port})


def test_connections_that_linger_after_a_stop_are_not_in_the_way():
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    accepted, _ = server.accept()
    accepted.close()  # the side that closes first keeps the port for a while
    client.close()
    server.close()
    require_free_ports({"REGISTRY_UI_PORT": port})


def test_one_port_cannot_serve_two(free_port):
    with pytest.raises(
        LaunchError, match="REGISTRY_UI_PORT and REGISTRY_UI_REGISTRY_PORT are both"
    ):
        require_free_ports({"REGISTRY_UI_PORT": free_port, "REGISTRY_UI_REGISTRY_PORT": free_port})
