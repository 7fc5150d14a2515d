"""`make run` from a checkout, as a new user runs it: issue text "What a new user does", 1.

A start is the most expensive step of these tests. So each run is looked at, and ended in the one
way that is tested next; the run after it shows that nothing was lost.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess

import pytest
import requests

from tests.support.make_run import (
    START_DEADLINE,
    STOP_DEADLINE,
    Place,
    Run,
    alive,
    checked_out,
    copy_checkout,
    free_ports,
)
from tests.support.processes import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

#: A word in the command of each process, by its name in the Procfile.
COMMANDS = {"registry": "config.yml", "web": "gunicorn", "worker": "registry_ui.worker"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with checked_out(tmp_path_factory.mktemp("clone")) as place:
        yield place


@pytest.fixture
def other(place, tmp_path):
    """Start a second `make run`, with a var and ports of its own unless told otherwise."""
    runs = []

    def start(ports: tuple[int, int] | None = None, **settings: str) -> Run:
        settings = {"VAR": str(tmp_path / "var")} | settings
        runs.append(Run(place.checkout, ports or free_ports(), **settings))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGINT)
            run.process.wait(STOP_DEADLINE)
        run._reader.join(STOP_DEADLINE)


def push_and_see(place: Place, repository: str) -> None:
    """Push an image and wait until the pages know of it, from the registry's event."""
    run = place.run()
    run.push(repository, "1.0", place.password)
    until(lambda: run.shows(repository, place.password))


def refuses(port: int) -> bool:
    """Return whether no program listens at a port of this machine."""
    try:
        socket.create_connection(("localhost", port)).close()
    except ConnectionRefusedError:
        return True
    return False


# -- the first start ---------------------------------------------------------------


#: A registry that dies as soon as it is asked to serve.
DYING_REGISTRY = """#!/bin/sh
[ "$1" = --version ] || kill -9 $$
echo registry github.com/docker/distribution 2.8.3
"""


def test_a_first_start_in_which_the_registry_dies_loses_no_password(place, tmp_path, monkeypatch):
    """All ends before the sign-in was shown: the next start shows it."""
    (tmp_path / "registry").write_text(DYING_REGISTRY)
    (tmp_path / "registry").chmod(0o755)
    with monkeypatch.context() as environ:
        environ.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        first = place.begin()
    assert first.wait() != 0
    assert "registry was ended by SIGKILL" in first.output
    assert str(place.var / "log" / "registry.log") in first.output
    assert "(shown only now)" not in first.output
    assert "(shown only now)" in place.run().output
    assert not (place.var / "first_start").exists()


def test_it_prints_where_it_is_how_to_sign_in_and_what_to_try(place):
    run = place.run()
    host = f"localhost:{run.registry_port}"
    assert f"Address    http://localhost:{run.port}\n" in run.output
    assert f"Sign in    admin, password {place.password} (shown only now)\n" in run.output
    assert f"docker login {host} -u admin\n" in run.output
    assert f"docker tag busybox {host}/admin/hello/app:1.0\n" in run.output
    assert f"docker push {host}/admin/hello/app:1.0\n" in run.output


def test_all_three_answer(place):
    run = place.run()
    answer = run.get("/readyz")
    assert answer.status_code == 200
    assert {"database": True, "registry": True, "worker": True}.items() <= answer.json().items()


def test_the_registry_sends_clients_to_localhost_by_name(place):
    run = place.run()
    answer = requests.get(f"http://localhost:{run.registry_port}/v2/", timeout=60)
    assert answer.status_code == 401
    realm = f'Bearer realm="http://localhost:{run.port}/jwt/auth",service="registry"'
    assert answer.headers["WWW-Authenticate"] == realm


def test_the_printed_password_signs_in_and_another_does_not(place):
    run = place.run()
    assert run.bearer(place.password).status_code == 200
    assert run.bearer(place.password + "x").status_code == 401


def test_a_push_to_the_printed_name_is_on_the_page(place):
    push_and_see(place, "admin/hello/app")


def test_nobody_else_can_read_what_it_wrote(place):
    place.run()
    open_to_others = {
        str(path.relative_to(place.checkout))
        for path in [place.var, *place.var.rglob("*")]
        if path.stat().st_mode & 0o077
    }
    assert open_to_others == set()
    for file in ("secret_key", "token/key.pem", "token/certificate.pem", "settings.env"):
        assert (place.var / file).stat().st_mode & 0o777 == 0o600
    assert place.var.stat().st_mode & 0o777 == 0o700


def test_no_log_holds_a_secret(place):
    run = place.run()
    run.bearer(place.password)
    secrets = [
        place.registry_token(),
        place.password,
        (place.var / "secret_key").read_text().strip(),
    ]
    logs = {log.name: log.read_text() for log in (place.var / "log").iterdir()}
    assert set(logs) == {"registry.log", "web.log", "worker.log"}
    assert "/jwt/auth" in logs["web.log"]
    assert "service=" not in logs["web.log"]
    assert [name for name, text in logs.items() for secret in secrets if secret in text] == []


def test_commands_work_without_settings(place):
    place.run()
    token = place.flask(
        "token", "create", "admin", "--name", "for a test", "--scopes", "read_registry"
    )
    assert place.run().bearer(token).status_code == 200


def test_a_worker_of_the_pages_that_dies_is_replaced(place):
    run = place.run()
    master, *workers = run.pids("gunicorn")
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: len(run.pids("gunicorn")) == 1 + len(workers) and not alive(workers[0]))
    assert alive(master)
    assert run.get("/readyz").ok


# -- another start beside it -------------------------------------------------------


def test_a_second_start_of_the_same_says_that_it_runs(place, other):
    run = place.run()
    second = other(place.ports, VAR=str(place.var))
    assert second.process.wait(START_DEADLINE) != 0
    until(lambda: "it runs already" in second.output)
    assert run.get("/readyz").ok


def test_a_start_that_is_refused_says_why_in_a_sentence_and_starts_nothing(place, other, tmp_path):
    """Here the port of the registry is taken; test_launch_refusals.py has the other reasons."""
    place.run()
    ports = free_ports()[0], place.ports[1]
    second = other(ports)
    assert second.process.wait(START_DEADLINE) != 0
    until(lambda: f"port {ports[1]} is taken" in second.output)
    assert f"REGISTRY_UI_REGISTRY_PORT={ports[1] + 1} make run" in second.output
    assert "Traceback" not in second.output
    assert "Starting" not in second.output
    assert not (tmp_path / "var" / "log").exists()


# -- how a run ends ----------------------------------------------------------------


def test_processes_that_are_killed_end_all_and_a_new_run_has_lost_nothing(place):
    """All at once. For each that dies alone, another test shows that this ends all."""
    push_and_see(place, "admin/hello/before")
    run = place.run()
    # All are looked up first, because the launcher ends the others as soon as one has died.
    for process in [run.pids(word)[0] for word in COMMANDS.values()]:
        os.kill(process, signal.SIGKILL)
    assert run.wait() != 0
    named = re.search(r"(\w+) was ended by SIGKILL", run.output)[1]
    assert named in COMMANDS
    assert str(place.var / "log" / f"{named}.log") in run.output
    assert place.run().shows("admin/hello/before", place.password)
    push_and_see(place, "admin/hello/after")


@pytest.mark.parametrize("command", ["make run", "registry_ui.launch"])
def test_nothing_outlives_the_launcher_or_make_and_a_new_run_works_at_once(place, command):
    push_and_see(place, "admin/hello/survivor")
    before = place.run().pids()
    os.kill(place.run().pids(command)[0], signal.SIGKILL)
    again = place.run_anew()
    assert [process for process in before if alive(process)] == []
    assert again.shows("admin/hello/survivor", place.password)


def test_ctrl_c_ends_all_and_the_next_run_goes_on_with_the_same_data(place):
    """It also takes up a registry token that was reset meanwhile."""
    push_and_see(place, "admin/hello/kept")
    run = place.run()
    certificate = (place.var / "token" / "certificate.pem").read_bytes()
    before = place.registry_token()
    place.flask("registry-token", "reset")
    assert len(run.pids()) >= 5  # make, the launcher, and the three of the Procfile
    run.stop()
    assert all(refuses(port) for port in place.ports)
    again = place.run()
    assert again is not run
    assert "(shown only now)" not in again.output
    assert (place.var / "token" / "certificate.pem").read_bytes() == certificate
    assert again.shows("admin/hello/kept", place.password)
    token = place.flask("registry-token", "show")
    assert token != before
    assert token == place.registry_token()
    push_and_see(place, "admin/hello/reset")


def test_make_that_is_told_to_end_ends_all(place):
    run = place.run()
    run.process.terminate()
    run.wait()
    assert run.pids() == []
    assert all(refuses(port) for port in place.ports)


# -- other settings ----------------------------------------------------------------


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A first run with a registry and an administrator of one's own."""
    url = f"http://localhost:{free_ports()[0]}"
    account = {"ADMIN_USERNAME": "root", "ADMIN_PASSWORD": "correct horse battery"}
    with checked_out(tmp_path_factory.mktemp("chosen")) as place:
        yield place, place.run(REGISTRY_URL=url, **account), url


def test_a_registry_of_ones_own_is_used_and_told_how_to_join(chosen):
    place, run, url = chosen
    assert f"the registry does not answer at {url}/v2/" in run.output
    assert f'url: "http://localhost:{run.port}/api/v4/registry_events"' in run.output
    assert f'realm: "http://localhost:{run.port}/jwt/auth"' in run.output
    assert f"docker login {url.removeprefix('http://')} -u root\n" in run.output
    assert not (place.var / "registry").exists()


def test_a_chosen_password_is_taken_and_not_printed(chosen):
    _, run, _ = chosen
    hint = "forgotten? .venv/bin/flask user password root sets a new password"
    assert f"Sign in    root ({hint})\n" in run.output
    assert "correct horse" not in run.output
    answer = requests.get(
        f"http://localhost:{run.port}/jwt/auth?service=registry",
        auth=("root", "correct horse battery"),
        timeout=60,
    )
    assert answer.status_code == 200


def test_a_web_process_that_dies_alone_ends_all(chosen):
    _, run, _ = chosen
    run.end_by_killing("web", COMMANDS["web"])


# -- the packages ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("REGISTRY_UI_TEST_VENV")),
    reason="takes packages from the network; set REGISTRY_UI_TEST_VENV=1",
)
@pytest.mark.parametrize("ensurepip", ["with", "without"])
def test_a_fresh_clone_makes_its_own_venv_and_only_once(tmp_path, ensurepip):
    """With one package: that all can be installed is shown by the clone that runs these tests."""
    checkout = copy_checkout(tmp_path)
    requirements = checkout / "requirements.txt"
    click = re.search(r"^click==.+?(?=^\w)", requirements.read_text(), re.MULTILINE | re.DOTALL)
    requirements.write_text(click[0])
    python = tmp_path / "python"
    without = 'case "$*" in *"import ensurepip"*) exit 1;; esac\n' if ensurepip == "without" else ""
    python.write_text(f'#!/bin/sh\n{without}exec python3 "$@"\n')
    python.chmod(0o755)

    def make() -> str:
        command = ["sh", "deploy/venv.sh", "requirements.txt"]
        environ = os.environ | {"PYTHON": str(python)}
        done = subprocess.run(
            command, cwd=checkout, env=environ, check=True, capture_output=True, text=True
        )
        return done.stderr

    assert "Making .venv" in make()
    subprocess.run([checkout / ".venv/bin/python", "-c", "import click"], check=True)
    assert make() == ""
    requirements.write_text(f"{click[0]}# changed\n")
    assert "Installing requirements.txt" in make()
