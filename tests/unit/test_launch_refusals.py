"""`make run` that can't start: it says why in a sentence, and starts nothing."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from config import PREFIX
from registry_ui.launch import LaunchError
from registry_ui.launch import __main__ as launcher
from registry_ui.launch.binary import Registry
from registry_ui.launch.lock import RunLock
from tests.support.processes import free_port


@pytest.fixture
def refuse(monkeypatch, tmp_path, capsys):
    """Return a function that calls the launcher with settings, and returns its last words."""
    locks, supervisors = [], []

    def lock(file):
        locks.append(RunLock(file))
        return locks[-1]

    def supervisor(*arguments):
        supervisors.append(arguments)
        raise LaunchError("a process would be started now")

    monkeypatch.setattr(launcher, "RunLock", lock)
    monkeypatch.setattr(launcher, "Supervisor", supervisor)
    monkeypatch.setattr(launcher, "find_registry", lambda *_: Registry("a registry", ("registry",)))
    monkeypatch.setattr(sys, "argv", ["make run"])
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)

    def call(**settings: object) -> str:
        defaults = {"VAR": tmp_path / "var", "PORT": free_port(), "REGISTRY_PORT": free_port()}
        for name, value in (defaults | settings).items():
            monkeypatch.setenv(PREFIX + name, str(value))
        assert launcher.main() == 1
        assert supervisors == []
        assert not (tmp_path / "var" / "log").exists()
        return capsys.readouterr().err

    umask = os.umask(0o077)
    yield call
    os.umask(umask)
    # The launcher keeps the lock until its process ends.
    for held in locks:
        if held.descriptor >= 0:
            os.close(held.descriptor)


@pytest.mark.parametrize("setting", ["PORT", "REGISTRY_PORT"])
def test_a_taken_port_is_named_before_anything_starts(refuse, setting):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = refuse(**{setting: port})
    assert f"make run: port {port} is taken" in words
    assert f"REGISTRY_UI_{setting}={port + 1} make run" in words


@pytest.mark.parametrize("storage", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("ADMIN_PASSWORD", "short", "A password has"),
        ("ADMIN_USERNAME", "No Name", "The user name can't be used"),
        ("PORT", "http", "REGISTRY_UI_PORT is 'http'"),
        ("DATABASE_URL", "postgresql://localhost:1/none", "the database postgresql"),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_in_a_sentence(
    refuse, storage, tmp_path, setting, value, message
):
    database, _ = storage.new_database(tmp_path)
    assert message in refuse(**{"DATABASE_URL": database, setting: value})
