"""`make dev` from a checkout: the pages follow the files, and the debugger serves this machine."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
import requests

from tests.support.make_run import Run, checked_out
from tests.support.processes import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LISTENING = "0A"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with checked_out(tmp_path_factory.mktemp("clone")) as place:
        with pytest.MonkeyPatch.context() as environ:
            # As another project of the developer wants it.
            environ.setenv("FLASK_RUN_HOST", "0.0.0.0")
            run = place.begin("dev")
        yield run.ready()


def edit(file: Path, old: str, new: str) -> None:
    """Replace the one occurrence of a text, as a developer does in an editor."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def page(run: Run, path: str, status: int = 200) -> str:
    """Return a page; empty if it has another status, or if a reload ended the request."""
    try:
        answer = run.get(path)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return ""
    return answer.text if answer.status_code == status else ""


def listening_addresses(port: int) -> set[str]:
    """Return the addresses at which this machine accepts connections to a port."""
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    places = [row[1].split(":") for row in rows if row[3] == LISTENING]
    return {readable(address) for address, number in places if int(number, 16) == port}


def readable(address: str) -> str:
    """Return an address of /proc/net, which is in words of the machine's byte order."""
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


def test_a_changed_template_is_on_the_next_page(run):
    footer = "<p>A new footer</p>"
    assert footer not in run.get("/").text
    edit(run.checkout / "templates" / "base.html", "</body>", f"{footer}</body>")
    until(lambda: footer in page(run, "/"))


def test_an_error_shows_the_debugger_until_the_module_is_mended(run):
    module = run.checkout / "registry_ui" / "endpoints" / "health.py"
    sound, broken = 'return jsonify(status="alive")', 'raise RuntimeError("a slip")'
    edit(module, sound, broken)
    shown = until(lambda: page(run, "/healthz", status=500))
    assert "RuntimeError: a slip" in shown
    assert "Werkzeug Debugger" in shown
    edit(module, broken, sound)
    until(lambda: "alive" in page(run, "/healthz"))


def test_the_debugger_is_for_this_machine_alone(run):
    assert listening_addresses(run.port) == {"127.0.0.1"}
    console = f"http://127.0.0.1:{run.port}/console"
    assert requests.get(console, timeout=60).status_code == 200
    rebound = requests.get(console, headers={"Host": "attacker.example"}, timeout=60)
    assert rebound.status_code == 400


def test_ctrl_c_ends_the_reloader_and_its_child(run):
    assert len(run.pids("--debug")) == 2
    run.stop()
    assert run.pids() == []
