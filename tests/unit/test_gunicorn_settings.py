"""What gunicorn is told: a client that falls silent does not hold a thread for ever."""

from __future__ import annotations

import runpy
import socket
from types import SimpleNamespace

import pytest

from config import ROOT

SETTINGS = ROOT / "deploy" / "gunicorn.conf.py"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REGISTRY_UI_VAR", str(tmp_path))
    monkeypatch.setenv("REGISTRY_UI_SECRET_KEY", "x" * 32)
    return runpy.run_path(str(SETTINGS))


def test_a_thread_that_reads_from_a_silent_client_is_free_again(settings):
    settings["when_ready"].__globals__["SILENCE"] = 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # as gunicorn has it
        settings["when_ready"](SimpleNamespace(LISTENERS=[listener]))
        with socket.create_connection(listener.getsockname()) as client:
            listener.setblocking(True)
            accepted, _ = listener.accept()
            with accepted:
                client.sendall(b"POST ")
                accepted.setblocking(True)  # as gunicorn does before it reads
                assert accepted.recv(100) == b"POST "
                with pytest.raises(BlockingIOError):
                    accepted.recv(100)


def test_the_silence_that_is_borne_is_shorter_than_the_life_of_a_worker(settings):
    assert 0 < settings["SILENCE"] < settings["timeout"]
