"""nginx with the gate, as `make run` starts it and as the documents show it."""

from __future__ import annotations

import re

import pytest

from config import ROOT, Config
from registry_ui.launch import LaunchError, gate
from registry_ui.launch.__main__ import commands, required_ports
from registry_ui.launch.binary import Registry
from registry_ui.launch.gate import GATED, find_nginx, write_gate_files
from registry_ui.launch.registry import listening_port

REGISTRY = Registry("a registry", ("registry", "serve"))


@pytest.fixture
def config(tmp_path):
    def make(**settings: str) -> Config:
        given = {"VAR": str(tmp_path), "SECRET_KEY": "s" * 32, **settings}
        return Config.from_environ({f"REGISTRY_UI_{name}": v for name, v in given.items()})

    return make


def test_without_the_setting_there_is_no_gate(config):
    plain = config()
    assert list(commands(plain, {}, REGISTRY)) == ["registry", "web", "worker"]
    assert listening_port(plain) == 5050
    assert set(required_ports(plain, REGISTRY).values()) == {8080, 5050}


def test_with_it_nginx_has_the_port_of_the_registry_which_stands_behind(config):
    gated = config(GATE="yes")
    started = commands(gated, {"REGISTRY_UI_SECRET_KEY": "x", "PATH": "/bin"}, REGISTRY)
    assert list(started) == ["registry", "gate", "web", "worker"]
    assert "REGISTRY_UI_SECRET_KEY" not in started["gate"][1]
    assert listening_port(gated) == 5051
    assert set(required_ports(gated, REGISTRY).values()) == {8080, 5050, 5051}


def test_a_registry_of_ones_own_has_a_proxy_of_ones_own(config):
    gated = config(GATE="yes", REGISTRY_URL="http://elsewhere:5000")
    assert list(commands(gated, {}, None)) == ["web", "worker"]
    assert set(required_ports(gated, None).values()) == {8080}


def test_without_nginx_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(gate, "NGINX_SEARCH_PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="apt install nginx"):
        find_nginx()


def test_the_files_are_ours_alone_and_leave_nothing_to_be_filled_in(config, tmp_path):
    write_gate_files(config(GATE="yes"), "/usr/sbin/nginx")
    text = (tmp_path / "gate" / "nginx.conf").read_text()
    assert not re.search("@[A-Z]+@", text)
    assert "listen 127.0.0.1:5050;" in text
    assert "server 127.0.0.1:5051;" in text
    assert "proxy_pass http://127.0.0.1:8080/gate/manifest;" in text
    for file in (tmp_path / "gate").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


def test_the_documents_show_what_is_tested():
    """The nginx of the administrators' page does all that the one of `make run` does."""
    page = (ROOT / "docs" / "administrators.md").read_text()
    section = page.partition("## Protect tags: the gate")[2]
    shown = section.partition("```nginx\n")[2].partition("```")[0]
    tested = GATED.replace("@PAGES@", "127.0.0.1:8080").replace("@REGISTRY@", "127.0.0.1:5000")
    tested = tested.replace("@INNER@", "127.0.0.1:5001")
    lines = [line.strip() for line in tested.splitlines() if line.strip()]
    remaining = iter([line.strip() for line in shown.splitlines()])
    missing = [line for line in lines if "@LISTEN@" not in line and line not in remaining]
    assert missing == []
