"""The demonstration asks for the administrator's password, and needs one."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from registry_ui.demo import __main__


def test_the_end_of_the_input_at_the_prompt_is_answered_with_what_to_set(monkeypatch, capsys):
    def end_of_input(_prompt):
        raise EOFError

    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr(__main__.getpass, "getpass", end_of_input)
    monkeypatch.delenv("REGISTRY_UI_ADMIN_PASSWORD", raising=False)
    config = SimpleNamespace(admin_username="root")
    with pytest.raises(__main__.NotRunning, match="set REGISTRY_UI_ADMIN_PASSWORD"):
        __main__.admin_password(config, from_stdin=False)
    assert capsys.readouterr().err == "\n"
