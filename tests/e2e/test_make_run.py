"""`make run` from a checkout, as a new user runs it: issue text "What a new user does", 1."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess

import pytest
import requests

from config import ROOT
from tests.support.make_run import (
    START_DEADLINE,
    STOP_DEADLINE,
    Place,
    Run,
    alive,
    copy_checkout,
    free_ports,
)
from tests.support.processes import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    checkout = copy_checkout(tmp_path_factory.mktemp("clone"))
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    place = Place(checkout)
    yield place
    for run in reversed(place.runs):
        run.stop()


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
        place.flask("registry-token", "show"),
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
    assert place.flask("registry-token", "show") in place.registry_config()


def test_a_second_start_of_the_same_says_that_it_runs(place, other):
    run = place.run()
    second = other(place.ports, VAR=str(place.var))
    assert second.process.wait(START_DEADLINE) != 0
    until(lambda: "it runs already" in second.output)
    assert run.get("/readyz").ok


@pytest.mark.parametrize(("which", "setting"), [(0, "PORT"), (1, "REGISTRY_PORT")])
def test_a_taken_port_is_named_before_anything_starts(place, other, tmp_path, which, setting):
    place.run()
    ports = list(free_ports())
    ports[which] = place.ports[which]
    second = other(tuple(ports))
    assert second.process.wait(START_DEADLINE) != 0
    until(lambda: f"port {ports[which]} is taken" in second.output)
    assert f"REGISTRY_UI_{setting}={ports[which] + 1} make run" in second.output
    assert "Starting" not in second.output
    assert not (tmp_path / "var" / "log").exists()


def test_ctrl_c_ends_all_and_the_next_run_goes_on_with_the_same_data(place):
    push_and_see(place, "admin/hello/kept")
    run = place.run()
    certificate = (place.var / "token" / "certificate.pem").read_bytes()
    assert len(run.pids()) >= 5  # make, the launcher, and the three of the Procfile
    run.stop()
    for port in place.ports:
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("localhost", port)):
            pass
    again = place.run()
    assert again is not run
    assert "(shown only now)" not in again.output
    assert (place.var / "token" / "certificate.pem").read_bytes() == certificate
    assert again.shows("admin/hello/kept", place.password)


def test_make_that_is_told_to_end_ends_all(place):
    run = place.run()
    run.process.terminate()
    run.wait()
    assert place.run() is not run


def test_a_first_start_that_was_cut_short_loses_no_password(other, tmp_path):
    """The registry can't start, so the sign-in was not shown: the next start shows it."""
    blocked = tmp_path / "var" / "registry" / "data"
    blocked.parent.mkdir(parents=True)
    blocked.touch()
    first = other()
    assert first.process.wait(START_DEADLINE) != 0
    assert "(shown only now)" not in first.output
    blocked.unlink()
    assert "(shown only now)" in other().ready().output
    assert not (tmp_path / "var" / "first_start").exists()


def test_a_reset_of_the_registry_token_is_taken_up_by_a_restart(place):
    place.run()
    before = place.flask("registry-token", "show")
    place.flask("registry-token", "reset")
    token = place.flask("registry-token", "show")
    assert token != before
    place.run().stop()
    place.run()
    assert token in place.registry_config()
    push_and_see(place, "admin/hello/reset")


@pytest.mark.parametrize(
    ("name", "command"),
    [("registry", "config.yml"), ("web", "gunicorn"), ("worker", "registry_ui.worker")],
)
def test_a_process_that_dies_ends_all_and_a_new_run_has_lost_nothing(place, name, command):
    push_and_see(place, f"admin/hello/before-{name}")
    run = place.run()
    os.kill(run.pids(command)[0], signal.SIGKILL)
    assert run.wait() != 0
    assert f"{name} was ended by SIGKILL" in run.output
    assert str(place.var / "log" / f"{name}.log") in run.output
    assert place.run().shows(f"admin/hello/before-{name}", place.password)
    push_and_see(place, f"admin/hello/after-{name}")


@pytest.mark.parametrize("command", ["make run", "registry_ui.launch"])
def test_nothing_outlives_the_launcher_or_make_and_a_new_run_works_at_once(place, command):
    push_and_see(place, "admin/hello/survivor")
    before = place.run().pids()
    os.kill(place.run().pids(command)[0], signal.SIGKILL)
    again = place.run_anew()
    assert [process for process in before if alive(process)] == []
    assert again.shows("admin/hello/survivor", place.password)


def test_a_worker_of_the_pages_that_dies_is_replaced(place):
    run = place.run()
    master, *workers = run.pids("gunicorn")
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: len(run.pids("gunicorn")) == 1 + len(workers) and not alive(workers[0]))
    assert alive(master)
    assert run.get("/readyz").ok


def test_a_registry_of_ones_own_is_used_and_told_how_to_join(other, tmp_path):
    url = f"http://localhost:{free_ports()[0]}"
    run = other(REGISTRY_URL=url).ready()
    assert f"the registry does not answer at {url}/v2/" in run.output
    assert f'url: "http://localhost:{run.port}/api/v4/registry_events"' in run.output
    assert f'realm: "http://localhost:{run.port}/jwt/auth"' in run.output
    assert f"docker login {url.removeprefix('http://')} -u admin\n" in run.output
    assert not (tmp_path / "var" / "registry").exists()


def test_a_chosen_password_is_taken_and_not_printed(other):
    run = other(ADMIN_USERNAME="root", ADMIN_PASSWORD="correct horse battery").ready()
    assert "Sign in    root (forgotten? .venv/bin/flask user password root)\n" in run.output
    assert "correct horse" not in run.output
    answer = requests.get(
        f"http://localhost:{run.port}/jwt/auth?service=registry",
        auth=("root", "correct horse battery"),
        timeout=60,
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("ADMIN_PASSWORD", "short", "A password has"),
        ("ADMIN_USERNAME", "No Name", "The user name can't be used"),
        ("PORT", "http", "REGISTRY_UI_PORT is 'http'"),
        ("DATABASE_URL", "postgresql://localhost:1/none", "the database postgresql"),
    ],
)
def test_a_setting_that_cannot_be_used_is_said_in_a_sentence(other, setting, value, message):
    run = other(**{setting: value})
    assert run.process.wait(START_DEADLINE) != 0
    until(lambda: message in run.output)
    assert "Traceback" not in run.output


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
