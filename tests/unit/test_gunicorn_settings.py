"""What gunicorn is told: a client that falls silent does not hold a thread for ever."""

from __future__ import annotations

import runpy
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask
from jinja2 import DictLoader

from config import ROOT
from registry_ui import create_app
from registry_ui.db.session import db

SETTINGS = ROOT / "deploy" / "gunicorn.conf.py"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("REGISTRY_UI_VAR", str(tmp_path))
    monkeypatch.setenv("REGISTRY_UI_SECRET_KEY", "x" * 32)
    return runpy.run_path(str(SETTINGS))


def test_a_thread_that_reads_from_a_silent_client_is_free_again(settings):
    settings["_limit_silence"].__globals__["SILENCE"] = 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # as gunicorn has it
        settings["_limit_silence"]([listener])
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


def test_a_worker_leaves_a_new_connection_to_those_that_have_fewer(settings, monkeypatch):
    taken, waited = [], []
    worker = settings["FairWorker"].__new__(settings["FairWorker"])
    monkeypatch.setattr(
        settings["ThreadWorker"], "accept", lambda _, listener: taken.append(listener)
    )
    monkeypatch.setattr(settings["time"], "sleep", waited.append)
    for worker.nr_conns in (0, 1, 2, 1000):
        worker.accept("socket")
    assert taken == ["socket"] * 4
    assert waited == [0, settings["HESITATION"], 2 * settings["HESITATION"], settings["LONGEST"]]


def test_the_templates_are_ready_before_the_first_request(settings, monkeypatch):
    monkeypatch.setattr(settings["gc"], "freeze", lambda: None)
    monkeypatch.setattr(settings["gc"], "set_threshold", lambda _: None)
    app = Flask("registry_ui", root_path=str(ROOT), template_folder="templates")
    app.jinja_env.cache.clear()
    app.jinja_loader = DictLoader({"one": "1", "two": "2"})
    settings["when_ready"](SimpleNamespace(LISTENERS=[], app=SimpleNamespace(wsgi=lambda: app)))
    assert len(app.jinja_env.cache) == 2


def test_the_application_that_the_workers_are_forked_from_has_no_connection(
    settings, base_config, tmp_path
):
    assert settings["preload_app"]
    app = create_app(replace(base_config, var=tmp_path))
    with app.app_context():
        assert db.engine.pool.checkedin() + db.engine.pool.checkedout() == 0
    open_files = {str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.exists()}
    assert not [name for name in open_files if name.startswith(str(tmp_path))]
